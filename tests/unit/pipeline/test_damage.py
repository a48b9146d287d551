"""Files that a power failure cut or emptied: a plan never stops at one, and makes again what it belongs to."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.stub_experiment import write_stubs
from stagewise.config.load_config import check
from stagewise.config.yaml_files import merge, read_yaml
from stagewise.models.compute_type import experiment_compute_type
from stagewise.pipeline.artifacts import declared_artifacts
from stagewise.pipeline.experiment import Experiment
from stagewise.pipeline.freshness import settle
from stagewise.pipeline.settings_files import write_settings
from stagewise.provenance.checksums import CHECKSUMS, ChecksumMemory
from stagewise.provenance.code import CODE, ProjectCode
from tests.helpers.project_copy import ProjectCopy

DAMAGE = {"cut in half": lambda content: content[: len(content) // 2], "emptied": lambda content: b""}
STUDY = {"model": "mine", "models": {"mine": {"path": "my-model"}}, "dtype": "float32"}


def study():
    return check(merge(read_yaml("config.yaml"), STUDY), ["config.yaml"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished experiment of stubs."""
    path = ProjectCopy(tmp_path_factory.mktemp("damage") / "project").path
    (path / "my-model").mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja"):
        (path / "my-model" / name).write_text('{"model_type": "llama"}\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        code = ProjectCode(root=Path())
        write_stubs(study(), code)
        code.save()
        assert stale() == {}
    return path


@pytest.fixture
def here(finished, monkeypatch) -> Path:
    monkeypatch.chdir(finished)
    return finished


def stale() -> dict[str, tuple[str, ...]]:
    """Plan, as Snakemake's process does; name what is stale and why."""
    checksums = ChecksumMemory()
    experiment = Experiment(study(), checksum=checksums, code=ProjectCode(checksums, root=Path()))
    verdicts = settle(declared_artifacts(experiment), checksums.set_time)
    checksums.save()
    return {verdict.artifact.label: verdict.reasons for verdict in verdicts if verdict.reasons}


def declared_outputs() -> dict[Path, str]:
    artifacts = declared_artifacts(Experiment(study(), code=ProjectCode(root=Path())))
    return {path: artifact.label for artifact in artifacts for path in artifact.outputs}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_output_is_made_again(here, damage):
    outputs = declared_outputs()
    assert len(outputs) > 30
    for path, label in outputs.items():
        content = path.read_bytes()
        path.unlink()  # its second name in the cache keeps the content
        path.write_bytes(damage(content))
        assert experiment_compute_type(study(), "results")
        assert label in stale(), path
        path.write_bytes(content)
    assert stale() == {}


@pytest.mark.parametrize("content", ["", '{"vers', "null", '{"version": "stagewise-checksums-1", "entries": [1]}'])
@pytest.mark.parametrize("memory", [CHECKSUMS, CODE], ids=str)
def test_a_damaged_memory_costs_time_alone(here, memory, content):
    memory.write_text(content)
    assert stale() == {}


@pytest.mark.parametrize("entry", [None, 1, [], {}, ["a", "b"]], ids=str)
@pytest.mark.parametrize("memory", [CHECKSUMS, CODE], ids=str)
def test_a_damaged_entry_of_a_memory_costs_time_alone(here, memory, entry):
    version = {CHECKSUMS: "stagewise-checksums-1", CODE: "stagewise-code-1"}[memory]
    checksums = ChecksumMemory()
    keys = [str(path.resolve()) for path in Path("stagewise").rglob("*.py")]
    keys += [checksums(path) for path in map(Path, keys)]
    memory.write_text(json.dumps({"version": version, "entries": dict.fromkeys(keys, entry)}))
    assert stale() == {}


def test_damaged_settings_of_a_step_are_written_again(here):
    path = Path(write_settings(study()))
    whole = path.read_bytes()
    for damage in DAMAGE.values():
        path.write_bytes(damage(whole))
        assert write_settings(study()) == str(path)
        assert path.read_bytes() == whole


def test_an_emptied_cache_is_no_obstacle(here):
    for path in Path("results/checkpoints").rglob("*"):
        if path.is_file():
            path.unlink()
            path.touch()
    assert stale() == {}
    shutil.rmtree("results/checkpoints")
    assert stale() == {}
