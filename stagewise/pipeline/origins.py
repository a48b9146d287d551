"""What an output was made from, as plain facts: a step writes them down, and the plan compares them (`current`).

Light, because every plan imports it. An image's checksum stands beside the facts: a run without an image takes what
was made in one, a run with an image takes only what was made in that very image.
"""

from functools import lru_cache
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.step_settings import DataSettings
from stagewise.config.tasks import IdsSplit
from stagewise.data.raw_files import raw_path
from stagewise.data.readers import foreign_code
from stagewise.provenance.files import sha256_file
from stagewise.provenance.fingerprints import fingerprint


def dump(settings) -> dict:
    """Settings as facts; where files come from changes no result."""
    return settings.model_dump(mode="json", exclude_defaults=True, exclude={"mirror"})


def split_inputs(settings: DataSettings, raw_dir, fetched: bool = True) -> list[Path]:
    """Every file that the splits are made of; without the fetched ones, whose checksums the settings hold."""
    files = []
    for name, task in settings.tasks.items():
        found = task.sources[task.source].files.items()
        files += [raw_path(name, role, file, raw_dir) for role, file in found if fetched or not file.url]
        rule = task.splits[task.split]
        files += [Path(rule.ids)] if isinstance(rule, IdsSplit) else []
    return list(dict.fromkeys(files))


def of_splits(settings: DataSettings, raw_dir, checksum=sha256_file) -> str:
    """Fingerprint of what one folder of splits is made from."""
    files = {path.as_posix(): checksum(path) for path in split_inputs(settings, raw_dir, fetched=False)}
    code = foreign_code(settings.tasks)
    return fingerprint({"settings": dump(settings), "files": files} | ({"readers": code} if code else {}))


def metrics_inputs(config: Config, results, folders, lineages) -> list[Path]:
    """The small files that stand for everything the metrics read: they hold checksums of the rest.

    `folders` are those of the splits; `lineages` those of the adapters, without the base model.
    """
    results = Path(results)
    files = [results / folder / "summary.json" for folder in folders]
    files += [results / "base" / "predictions" / "receipt.json"]
    for lineage in lineages:
        names = ("recipe.json", "adapter/receipt.json", "adapter/training.json", "predictions/receipt.json")
        files += [results / lineage / name for name in names]
    return files + ([Path(config.published)] if config.published else [])


def of_metrics(config: Config, inputs: list[Path], checksum=sha256_file) -> str:
    """Fingerprint of what ``report_metrics.json`` is made from; `inputs` are those of `metrics_inputs`."""
    return fingerprint({"settings": dump(config), "files": list(map(checksum, inputs))})


def report_inputs(metrics, results, folders, lineages) -> list[Path]:
    """Every file that the report is made of; the summaries stand for the splits."""
    results = Path(results)
    logs = [results / lineage / "adapter" / "training_log.csv" for lineage in lineages]
    return [Path(metrics), *logs, *(results / folder / "summary.json" for folder in folders)]


def of_report(inputs: list[Path], checksum=sha256_file) -> str:
    """Fingerprint of what the report is made from; `inputs` are those of `report_inputs`, wherever they lie."""
    return fingerprint({"files": list(map(checksum, inputs))})


def remembering():
    """A checksum function that reads no file twice; for one plan, in which files do not change."""
    return lru_cache(maxsize=None)(sha256_file)
