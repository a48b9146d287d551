"""The experiment as DVC stages: each calls snakemake for its targets, so that both tools run the same steps.

Stages, outputs and dependencies follow from the declared artifacts. Every output persists: DVC would delete the others
before a stage, and Snakemake decides what must be made again.

DVC copies the values of parameters into ``dvc.lock``, which is passed on. A configuration file whose parameters hold a
credential or a path of one machine is therefore a dependency, of which DVC writes down a checksum alone.
"""

import shlex
from collections import defaultdict
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.shareable import is_local_path, shareable
from stagewise.config.sources_lock import SOURCES_LOCK, UPDATE, SourcesLock, is_used, open_revisions
from stagewise.errors import InputError
from stagewise.pipeline.artifact import Artifact, DvcOut
from stagewise.pipeline.artifacts import declared_artifacts
from stagewise.pipeline.experiment import DEFINITION, Experiment

HEAD = """\
# The experiment as DVC stages, each calling snakemake for its targets: both tools run the same steps.
# Written by `python -m scripts.write_dvc{arguments}`; write it again when arms, tasks, seeds or the model change.
"""

# By stage: its description, and the top-level keys of the configuration that it depends on.
_PLAN_KEYS = ("arms", "orders", "seeds", "folds")
_TRAINING_KEYS = ("model", "models", "tasks", *_PLAN_KEYS, "quantization", "dtype", "prompting", "lora")
_SCORING_KEYS = ("arms", "orders", "quantization", "dtype", "prompting", "probes")
_STAGES = {
    "fetch": ("The base model and the raw files, checked by checksum", ("model", "models", "tasks", "probes")),
    "splits": (
        "Items per task and split, and what was set aside; texts without a licence are never pushed",
        ("tasks", "limit", "duplicates", "folds", "arms", "orders", "probes"),
    ),
    "stage-1": ("Adapters that learn a first task", (*_TRAINING_KEYS, "training")),
    "predictions": (
        "Every model, scored on every task",
        ("model", "models", "tasks", *_SCORING_KEYS, "training", "evaluation"),
    ),
    "probes": (
        "Every model, scored on texts and on tasks of lm-evaluation-harness",
        ("model", "models", *_SCORING_KEYS),
    ),
    "report": ("All figures, and the page that shows them", tuple(Config.model_fields)),
}


def stages(config: Config, files: dict[str, dict]) -> dict:
    """Write the contents of ``dvc.yaml``.

    Parameters
    ----------
    config
        The experiment.
    files
        Content of each configuration file by path, later ones winning.

    Raises
    ------
    InputError
        If the results go to a folder outside the project, which DVC cannot track, or a commit is not written down.
    """
    if is_local_path(config.results):
        raise InputError(f"results: {config.results} is outside the project; DVC tracks folders inside it only")
    if names := open_revisions(config):
        raise InputError(
            f"{SOURCES_LOCK} does not say which commit {names[0]} is; write it down with {UPDATE}, then write dvc.yaml"
        )
    phases: dict[str, list[Artifact]] = defaultdict(list)
    for artifact in declared_artifacts(Experiment(config)):
        phases[artifact.phase].append(artifact)
    trainings = sorted((name for name in phases if name.startswith("stage-")), key=lambda name: int(name[6:]))
    made_by = {path: artifact for artifacts in phases.values() for artifact in artifacts for path in artifact.outputs}
    overlays = [path for path in files if path != "config.yaml"]
    # `--` ends the list of configuration files.
    command = ["snakemake", "--cores", "all", *(["--configfile", *overlays, "--"] if overlays else [])]
    order = ["fetch", "splits", *trainings, "predictions", *(["probes"] if "probes" in phases else []), "report"]
    document = {name: _stage(name, phases[name], made_by, command, files) for name in order}
    if is_used(config, SourcesLock.read()):
        document["fetch"].setdefault("deps", []).append(str(SOURCES_LOCK))
    return {"stages": document, "plots": _plots(Path(config.results) / "figures")}


def _stage(name: str, artifacts: list[Artifact], made_by, command: list[str], files: dict[str, dict]) -> dict:
    number = name.removeprefix("stage-")
    about, keys = _STAGES.get(name) or (
        f"Adapters of stage {number}, and their parents' weights",
        _STAGES["stage-1"][1],
    )
    if any(artifact.rule == "fetch_adapter" for artifact in artifacts):
        keys = (*keys, *_PLAN_KEYS)  # stages name these adapters
    outs = [out for artifact in artifacts for out in artifact.tracked]
    metrics = [_tracked(out) for out in outs if out.metrics]
    given = {path: {key: content[key] for key in keys if key in content} for path, content in files.items()}
    private = [path for path, values in given.items() if shareable(values) != values]
    dependencies = _dependencies(name, artifacts, made_by)
    elsewhere = [path for path in dependencies if is_local_path(path)]
    dependencies = [path for path in dependencies if path not in elsewhere] + private
    return {
        "desc": about,
        "cmd": shlex.join([*command, artifacts[0].phase_target]),
        # A file outside the project has no name for others; the command looks at it every time instead.
        **({"always_changed": True} if elsewhere else {}),
        **({"deps": dependencies} if dependencies else {}),
        "params": [{path: [*values]} for path, values in given.items() if values and path not in private],
        "outs": [_tracked(out) for out in outs if not out.metrics],
        **({"metrics": metrics} if metrics else {}),
    }


def _dependencies(phase: str, artifacts: list[Artifact], made_by: dict[Path, Artifact]) -> list[str]:
    """List the files and folders of other stages, or of the user, that a stage reads."""
    paths = []
    for artifact in artifacts:
        for path in artifact.inputs:
            if path == DEFINITION:  # there for Snakemake alone
                continue
            maker = made_by.get(path)
            if maker is None:
                paths.append(path)
            elif maker.phase != phase:
                paths += [out.dependency or out.path for out in maker.tracked if path.is_relative_to(out.path)]
    return list(dict.fromkeys(map(str, paths)))


def _tracked(out: DvcOut) -> dict:
    settings = {"persist": True}
    settings |= {} if out.cache else {"cache": False}
    settings |= {} if out.push else {"push": False}
    return {str(out.path): settings}


def _plots(figures: Path) -> list[dict]:
    return [
        {"learning curves": {"template": "curves", "x": "step", "y": {f"{figures}/curves.csv": "value"}}},
        {"stage and task": {"template": "matrix", "x": "stage", "y": {f"{figures}/stage-task-matrix.csv": "mean"}}},
    ]
