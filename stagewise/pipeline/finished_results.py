"""Finished results, as the records that they leave: recipes, receipts, summaries and metrics."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError
from stagewise.provenance.files import read_json
from stagewise.provenance.receipts import RECEIPT

METRICS = "report_metrics.json"
RECIPE = "recipe.json"
SUMMARY = "summary.json"
TRAINING = "training.json"

RESULTS_FOLDER = "a results folder"
ADAPTER_FOLDER = "an adapter's folder"
PREDICTIONS_FOLDER = "a folder of predictions"
PROBES_FOLDER = "a folder of probes"
DATA_FOLDER = "a folder of splits"


@dataclass(frozen=True)
class Result:
    """A finished result."""

    kind: str
    """Name of its kind, for messages; results of one kind can be compared."""
    records: dict[tuple[str, str], dict]
    """Its JSON records by folder (a lineage or a folder of splits; empty if there is only one) and type."""


def read_result(path) -> Result:
    """Read every record of a finished result.

    Parameters
    ----------
    path
        A results folder, an adapter's folder (or that of its lineage), a folder of predictions, of probes or of splits,
        ``recipe.json`` or ``report_metrics.json``.

    Raises
    ------
    InputError
        If there is no such result, or a record is not valid JSON.
    """
    path = Path(path)
    if path.is_file():
        return Result(*_read_file(path))
    if (path / METRICS).is_file() or (path / "base" / "predictions" / RECEIPT).is_file():
        return Result(RESULTS_FOLDER, dict(_read_results(path)))
    for adapter in (path, path / "adapter"):
        if (adapter / RECEIPT).is_file() and (adapter / TRAINING).is_file():
            return Result(ADAPTER_FOLDER, dict(_read_adapter(adapter, "")))
    if (path / SUMMARY).is_file():
        return Result(DATA_FOLDER, {("", "summary"): _read(path / SUMMARY)})
    if (path / RECEIPT).is_file():
        receipt = _read(path / RECEIPT)
        if "probes" in receipt:
            return Result(PROBES_FOLDER, {("", "probes"): receipt})
        if "adapter" in receipt.get("inputs", receipt):  # null for the base model
            return Result(PREDICTIONS_FOLDER, {("", "predictions"): receipt})
    raise InputError(
        f"{path}: no finished result; name a folder of results, of an adapter, of predictions, of probes or of splits, "
        f"{RECIPE} or {METRICS}"
    )


def _read_file(path: Path) -> tuple[str, dict]:
    values = _read(path)
    if "learns" in values and "lora" in values:
        return "a recipe", {("", "recipe"): values}
    if "experiment" in values and "schema_version" in values:
        return METRICS, {("", "metrics"): values}
    if path.name == SUMMARY and "tasks" in values:
        return DATA_FOLDER, {("", "summary"): values}
    raise InputError(f"{path}: neither a recipe nor {METRICS}; name one of these, or a folder")


def _read_results(path: Path) -> Iterator[tuple[tuple[str, str], dict]]:
    for summary in sorted(path.glob(f"data/**/{SUMMARY}")):
        yield (summary.parent.relative_to(path).as_posix(), "summary"), _read(summary)
    untuned = [path / "base", *sorted(path.glob("base-*"))]
    for folder in (inner for base in untuned for inner in (base, *sorted(p.parent for p in base.rglob(RECIPE)))):
        if folder.name == "adapter":  # it holds a copy of its recipe
            continue
        lineage = folder.relative_to(path).as_posix()
        if (folder / "adapter" / RECEIPT).is_file():
            yield from _read_adapter(folder / "adapter", lineage)
        if (folder / "predictions" / RECEIPT).is_file():
            yield (lineage, "predictions"), _read(folder / "predictions" / RECEIPT)
        if (folder / "probes" / RECEIPT).is_file():
            yield (lineage, "probes"), _read(folder / "probes" / RECEIPT)
    if (path / METRICS).is_file():
        yield ("", "metrics"), _read(path / METRICS)


def _read_adapter(folder: Path, lineage: str) -> Iterator[tuple[tuple[str, str], dict]]:
    inner = folder / RECIPE  # an adapter's folder holds a copy, so that it can be passed on
    yield (lineage, "recipe"), _read(inner if inner.is_file() else folder.parent / RECIPE)
    yield (lineage, "training"), _read(folder / TRAINING)
    yield (lineage, "adapter"), _read(folder / RECEIPT)


def _read(path: Path) -> dict:
    return read_json(path, "the record")
