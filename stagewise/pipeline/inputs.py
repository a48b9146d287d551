"""Inputs records: the plain facts that each output is made from.

A step stores its record in what it writes, a plan builds the same record anew, and where the two differ the output is
stale for just that reason. Groups of a record: `settings`, `prompts` (text by task), `files` (SHA-256 by name), `code`
(hash by package), `behaviour` (version by name), `model`, `adapter`, `parents`.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.identity import facts
from stagewise.config.shareable import shareable_file
from stagewise.lineage import untuned_lineages
from stagewise.provenance.code import code_packages
from stagewise.provenance.differences import Difference, differences
from stagewise.provenance.files import sha256_file
from stagewise.recipe import Recipe

Checksum = Callable[[Path], str]
Code = Callable[[str], dict[str, str]]
"""Hashes of a step's code by package, as `code_packages` gives them."""


def checksum_if_there(path, checksum: Checksum = sha256_file) -> str | None:
    """SHA-256 of a file; None if it is not made yet, or lost."""
    return checksum(path) if Path(path).is_file() else None


def metrics_files(config: Config, results, folders: Iterable[str], lineages: Iterable[str]) -> list[Path]:
    """List the small files that stand for everything the metrics read: they hold the checksums of the rest.

    `folders` are those of the splits; `lineages` those of the adapters, without the base models.
    """
    results = Path(results)
    files = [results / folder / "summary.json" for folder in folders]
    scored = ["predictions/receipt.json", *(["probes/receipt.json"] if config.probes.item_scored else [])]
    files += [results / base / name for base in untuned_lineages(config) for name in scored]
    for lineage in lineages:
        names = ("recipe.json", "adapter/receipt.json", "adapter/training.json", *scored)
        files += [results / lineage / name for name in names]
    return files + ([Path(config.published)] if config.published else [])


def metrics_inputs(
    config: Config, files: list[Path], results, code: Code = code_packages, checksum: Checksum = sha256_file
) -> dict:
    """Record what ``report_metrics.json`` is made from; `files` are those of `metrics_files`."""
    return {
        "settings": facts(config),
        "files": {_name(path, results): checksum(path) for path in files},
        "code": code("scripts.metrics"),
    }


def report_files(metrics, results, folders: Iterable[str], lineages: Iterable[str]) -> list[Path]:
    """List the files that the report is made of; the summaries stand for the splits."""
    results = Path(results)
    logs = [results / lineage / "adapter" / "training_log.csv" for lineage in lineages]
    return [Path(metrics), *logs, *(results / folder / "summary.json" for folder in folders)]


def report_inputs(files: list[Path], results, code: Code = code_packages, checksum: Checksum = sha256_file) -> dict:
    """Record what the report is made from; `files` are those of `report_files`."""
    return {
        "files": {_name(path, results): checksum(path) for path in files},
        "code": code("scripts.report"),
    }


def _name(path: Path, results) -> str:
    """Name a file so that the results folder may lie anywhere."""
    path = Path(path)
    return path.relative_to(results).as_posix() if path.is_relative_to(results) else shareable_file(path.as_posix())


def recipe_inputs(recipe: Recipe) -> dict:
    """Sort a recipe's facts into the groups of an inputs record."""
    values = recipe.model_dump(mode="json", serialize_as_any=True, exclude={"lineage", "stage", "fingerprint"})
    groups = {name: values.pop(name) for name in ("code", "behaviour", "model", "parents", "tasks")}
    tasks = groups.pop("tasks")
    if adopted := values.get("adopted"):
        del adopted["origin"]  # its files alone count
    options = {
        name: {key: value for key, value in task.items() if key not in ("prompt", "data")}
        for name, task in tasks.items()
    }
    return {
        "settings": values | {"tasks": options},
        "prompts": {name: task["prompt"]["text"] for name, task in tasks.items()},
        "files": {
            f"{name}/{split}.jsonl": sha256 for name, task in tasks.items() for split, sha256 in task["data"].items()
        },
        **groups,
        "parents": {parent["lineage"]: parent["fingerprint"] for parent in groups["parents"]},
    }


def reasons(recorded: dict, expected: dict, prompts: dict[str, str] | None = None) -> list[str]:
    """Phrase what differs between two inputs records, such as ``training.learning_rate 0.001 -> 0.002``.

    `prompts` names the prompt file of each task.
    """
    changed_tasks = set(recorded.get("prompts", {})) ^ set(expected.get("prompts", {}))
    phrases = [f"task {task} {'removed' if task in recorded['prompts'] else 'added'}" for task in sorted(changed_tasks)]
    recorded, expected = (_without_tasks(record, changed_tasks) for record in (recorded, expected))
    for group in dict.fromkeys([*recorded, *expected]):
        changed = differences(recorded.get(group, {}), expected.get(group, {}))
        if group == "files":
            # A file that is not here has not changed: a clone may lack raw data, and what a rule makes is made again.
            changed = [difference for difference in changed if difference.new is not None]
        named = changed[:1] if group == "files" and len(changed) > 2 else changed
        phrases += [_phrase(group, difference, prompts or {}) for difference in named]
        if len(named) < len(changed):
            phrases.append(f"{len(changed) - len(named)} more input files changed")
    return list(dict.fromkeys(phrases))


def _without_tasks(record: dict, tasks: set[str]) -> dict:
    """Leave out all facts of some tasks; their files are called ``task.split`` or ``task/split.jsonl``."""
    if not tasks:
        return record
    settings = record["settings"]
    return record | {
        "settings": settings | {"tasks": {name: v for name, v in settings["tasks"].items() if name not in tasks}},
        "prompts": {name: text for name, text in record["prompts"].items() if name not in tasks},
        "files": {
            name: sha256
            for name, sha256 in record["files"].items()
            if name.rpartition(".")[0] not in tasks and name.rpartition("/")[0] not in tasks
        },
    }


def _phrase(group: str, difference: Difference, prompts: dict[str, str]) -> str:
    name = difference.key
    match group:
        case "settings":
            return difference.text
        case "prompts":
            return f"prompt {Path(prompts.get(name, name)).name} changed"
        case "code":
            return f"code of {name.removeprefix('stagewise.')} changed"
        case "behaviour":
            return f"behaviour of {difference.text}"
        case "model" | "adapter":
            return f"{'base model' if group == 'model' else group} changed"
        case "recipe":
            return "recipe changed"
        case "parents":
            return "weights of a parent changed" if name.startswith("[") else f"parent {name} changed"
    return f"{name} changed"
