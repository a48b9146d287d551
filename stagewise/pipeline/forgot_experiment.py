"""The experiment that answers what a fine-tuning cost: adapters or models from elsewhere, and no training."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stagewise.config.adopted import HUB_ADAPTER, short_name
from stagewise.config.base_model import GGUF
from stagewise.config.experiment import Config
from stagewise.config.load_config import check
from stagewise.config.shareable import shareable
from stagewise.config.yaml_files import merge, read_arguments, read_yaml
from stagewise.errors import InputError
from stagewise.provenance.files import atomic
from stagewise.provenance.fingerprints import fingerprint

ARM = "adapter"
"""The only arm of the experiment."""

OWN_TEXT = "data/sample/held-out.txt"
"""The project's own text, which is probed if no other is named."""

OWN_SEGMENTS = 64
"""Tokens of a segment of it: it is short, and an interval needs some two dozen segments."""

EXPERIMENT, PLACES = "experiment.yaml", "places.yaml"

# What belongs to the question; everything else may come from the user's configuration files.
_ASKED = ("experiment", "results", "model", "arms", "orders", "seeds", "folds", "probes", "lora", "published")


@dataclass(frozen=True)
class Question:
    """A user's question, as the command line has it."""

    project: Path
    """Folder of the project, which relative paths of configurations start from."""
    base: str
    """The base model: a folder or GGUF file, `owner/name@revision`, or one of `models`."""
    adapters: list[str] = field(default_factory=list)
    """Adapters from elsewhere, in the order in which they were trained."""
    models: list[str] = field(default_factory=list)
    """Fully fine-tuned models, as `base`, in place of adapters."""
    tasks: list[str] = field(default_factory=list)
    """Tasks of the configuration by name, or YAML files with tasks."""
    learnt: list[str] = field(default_factory=list)
    """Those of the tasks that the adapters learnt."""
    texts: list[str] = field(default_factory=list)
    """Held-out texts."""
    harness: list[str] = field(default_factory=list)
    """Tasks of lm-evaluation-harness."""
    limit: int | None = None
    """Items of a task or probe, at most."""
    results: str | None = None
    """Folder of the results; by default one in the project."""
    config_files: list[str] = field(default_factory=list)
    """Configuration files whose settings hold; by default ``config.yaml``'s tasks and models alone."""
    settings: list[str] = field(default_factory=list)
    """`KEY=VALUE`, as Snakemake's ``--config``; they win."""


def experiment_values(question: Question) -> dict[str, Any]:
    """Write the question as an experiment's configuration: plain data, with the paths of this machine.

    Raises
    ------
    InputError
        If something that is named is not there, or the settings do not go together.
    """
    declared = _declared(question)
    tasks = _tasks(question, declared.get("tasks", {}))
    models: dict[str, dict] = {}
    base = _add_model(question, declared, models, question.base)
    if question.adapters:
        sources = [_adapter(question, source) for source in question.adapters]
        stages = [{"adapter": source} for source in sources]
    else:
        sources = [_add_model(question, declared, models, model) for model in question.models]
        stages = [{"model": name} for name in sources]
    for name in question.learnt:
        if name not in tasks:
            raise InputError(f"--learnt '{name}' is not one of the tasks that --task names ({', '.join(tasks)})")
    names = _distinct([short_name(source) for source in question.adapters or question.models])
    for stage, name in zip(stages, names, strict=True):
        stage |= {"name": name} | ({"learnt": question.learnt} if question.learnt else {})
    name = names[-1]
    values = {
        "experiment": f"forgot-{name}",
        "results": f"results-forgot/{name}-{fingerprint([base, sources])[:8]}",
        "model": base,
        "models": models,
        "tasks": tasks,
        "arms": {ARM: {"stages": stages}},
        "probes": _probes(question, tasks),
        "evaluation": {"splits": ["test"]},
    }
    if question.limit:
        values["limit"] = {"validation": question.limit, "test": question.limit}
    values = merge(values, {key: value for key, value in declared.items() if key not in (*_ASKED, "tasks", "models")})
    values = merge(values, read_arguments(question.settings))
    if question.results:
        values["results"] = _place(question, question.results)
    return values


def check_experiment(question: Question, values: dict[str, Any]) -> Config:
    """Validate the experiment as the workflow will, from the project's folder."""
    before = Path.cwd()
    os.chdir(question.project)  # where the workflow reads relative paths
    try:
        return check(values)
    except InputError as error:
        raise InputError(str(error).removeprefix("--config: ")) from None
    finally:
        os.chdir(before)


def write_experiment(question: Question, values: dict[str, Any]) -> list[Path]:
    """Write the experiment into its results folder; return the configuration files to run, which read one another over.

    ``experiment.yaml`` may be passed on. Paths that mean nothing on another machine stand in ``places.yaml`` alone.
    """
    folder = question.project / values["results"]
    public = shareable(values)
    written = [(folder / EXPERIMENT, "What was asked, to be passed on", public)]
    if private := _difference(values, public):
        written.append((folder / PLACES, "Folders of this machine; not to be passed on", private))
    for path, about, content in written:
        with atomic(path, private=path.name == PLACES) as temporary:
            text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
            temporary.write_text(f"# {about}. Written by `python -m scripts.forgot`.\n{text}", encoding="utf-8")
    return [path for path, _, _ in written]


def _declared(question: Question) -> dict[str, Any]:
    """Read the user's configuration files; of the default one the tasks and models alone, whose rest is a sample's."""
    declared: dict[str, Any] = {}
    for path in question.config_files or [question.project / "config.yaml"]:
        declared = merge(declared, read_yaml(path))
    return declared if question.config_files else {key: declared.get(key, {}) for key in ("tasks", "models")}


def _place(question: Question, path: str) -> str:
    """Name a file or folder of the user's as the workflow finds it: below the project's folder, or from the root."""
    absolute = Path(path).absolute()
    inside = absolute.is_relative_to(question.project)
    return os.path.normpath(absolute.relative_to(question.project) if inside else absolute)


def _adapter(question: Question, source: str) -> str:
    if "@" in source and not Path(source).exists():
        return source  # the configuration says what is wrong with a hub's name
    if not Path(source).is_dir():
        raise InputError(
            f"--adapter '{source}': there is no such folder, and a hub adapter is written owner/name@REVISION"
        )
    return _place(question, source)


def _add_model(question: Question, declared: dict, models: dict[str, dict], model: str) -> str:
    """Add a model to `models`, and return its name there."""
    names = [name for name, settings in declared.get("models", {}).items() if settings is not None]
    if (match := HUB_ADAPTER.fullmatch(model)) and not Path(model).exists():
        settings = match.groupdict()
    elif model in names:
        models[model] = declared["models"][model]
        return model
    elif Path(model).is_dir() or (Path(model).is_file() and model.endswith(GGUF)):
        settings = {"path": _place(question, model)}
    else:
        raise InputError(
            f"'{model}' is no model: neither a folder or GGUF file, nor owner/name@REVISION, nor one of the "
            f"configuration's models ({', '.join(names)})"
        )
    # Models of one name would replace each other in models/.
    name = f"{short_name(model)}-{fingerprint(settings)[:8]}"
    models[name] = settings
    return name


def _tasks(question: Question, declared: dict) -> dict[str, dict]:
    tasks: dict[str, dict] = {}
    for name in question.tasks:
        if Path(name).suffix in (".yaml", ".yml"):
            tasks |= _tasks_of_file(question, Path(name))
        elif declared.get(name) is not None:
            tasks[name] = declared[name]
        else:
            names = ", ".join(name for name, settings in declared.items() if settings is not None)
            raise InputError(f"--task '{name}' is neither one of the configuration's tasks ({names}) nor a YAML file")
    return tasks


def _tasks_of_file(question: Question, path: Path) -> dict[str, dict]:
    """Read tasks from a file, as under `tasks:`; paths in it start at its folder, or else at the project's."""
    values = read_yaml(path)
    tasks = values["tasks"] if isinstance(values.get("tasks"), dict) else values
    if not tasks:
        raise InputError(f"{path}: holds no task; write tasks by name, as under 'tasks:' in config.yaml")

    def placed(value, key: str = ""):
        if isinstance(value, dict):
            return {name: placed(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [placed(inner, key) for inner in value]
        beside = path.parent / value if key in ("path", "prompt", "ids") and isinstance(value, str) else None
        return _place(question, str(beside)) if beside and beside.is_file() else value

    return placed(tasks)


def _probes(question: Question, tasks: dict) -> dict[str, Any]:
    probes: dict[str, Any] = {"tasks": [name for name in tasks if name not in question.learnt]}
    texts = question.texts or [str(question.project / OWN_TEXT)]
    for path in texts:
        if not Path(path).is_file():
            raise InputError(f"--text '{path}': there is no such file; name a text in UTF-8")
    names = _distinct([short_name(str(Path(path).with_suffix(""))) for path in texts])
    probes["texts"] = {name: {"path": _place(question, path)} for name, path in zip(names, texts, strict=True)}
    if not question.texts:
        probes["texts"][names[0]]["segment_tokens"] = OWN_SEGMENTS
    if question.harness:
        limit = {"limit": question.limit} if question.limit else {}
        probes["harness"] = {"tasks": question.harness} | limit
    return probes


def _distinct(names: list[str]) -> list[str]:
    """Number names that come again."""
    return [name if names.index(name) == n else f"{name}-{n + 1}" for n, name in enumerate(names)]


def _difference(values, public):
    """Settings that a copy to be passed on shows otherwise: mappings of them; a list is taken whole."""
    if not (isinstance(values, dict) and isinstance(public, dict)):
        return values
    return {key: _difference(value, public[key]) for key, value in values.items() if value != public[key]}
