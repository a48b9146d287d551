"""A finished experiment of stubs: recipes and receipts as they would be, and small texts in the files they vouch for.

`benchmarks.scale` runs it in a copy of the project where nothing is made yet.
"""

import os
import sys
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.load_config import load
from stagewise.models.adopted import fetch_adapter
from stagewise.models.compute_type import with_compute_type
from stagewise.models.receipts import write_model_receipt
from stagewise.pipeline.artifact import Artifact
from stagewise.pipeline.artifacts import declared_artifacts
from stagewise.pipeline.experiment import Experiment
from stagewise.provenance.code import ProjectCode
from stagewise.provenance.files import sha256_file
from stagewise.provenance.packages import package_versions
from stagewise.provenance.sealed_json import write_sealed
from stagewise.recipe import Recipe


def write_stubs(config: Config, code: ProjectCode | None = None) -> None:
    """Write every output of an experiment whose tasks fetch nothing; all of them count as current."""
    experiment = Experiment(with_compute_type(config), config, code=code)
    for artifact in declared_artifacts(experiment):
        for path in artifact.outputs:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{path}\n", encoding="utf-8")
        folder = artifact.outputs[0].parent
        if artifact.rule == "fetch_model":
            model = config.used_models[folder.name]
            if model.path is None:
                (folder / "config.json").write_text('{"model_type": "llama"}\n', encoding="utf-8")
            write_model_receipt(folder, folder.name, model.origin, model.path)
        elif artifact.rule == "fetch_adapter":
            fetch_adapter(experiment.adopted_adapters[folder.name].adopted, folder)
        elif artifact.record or artifact.expected:
            _write_record(artifact)


def _write_record(artifact: Artifact) -> None:
    expected = artifact.expected()
    if isinstance(expected, Recipe):
        expected.write(artifact.outputs[0])
        return
    files = [path for path in artifact.outputs if path != artifact.record]
    names = {os.path.relpath(path, artifact.record.parent): path for path in files}
    if artifact.packages not in (None, artifact.record):
        write_sealed(artifact.packages, {"packages": package_versions()})
    record = {"inputs": expected, "files": {name: sha256_file(path) for name, path in names.items()}}
    if artifact.rule == "make_splits":
        record["tasks"] = _split_checksums(record["files"])
    if artifact.rule == "probe":
        record["probes"] = {}  # so that nothing goes to the cache
    write_sealed(artifact.record, record | {"packages": package_versions()})


def _split_checksums(files: dict[str, str]) -> dict:
    tasks: dict[str, dict] = {}
    for name, sha256 in files.items():
        path = Path(name)
        tasks.setdefault(path.parent.name, {"splits": {}})["splits"][path.stem] = {"sha256": sha256}
    return tasks


if __name__ == "__main__":
    write_stubs(load(*sys.argv[1:]))
