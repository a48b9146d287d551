"""Training logs, the numbers of the learning curves."""

import csv
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError

COLUMNS = {"step", "epoch", "split", "metric", "value"}


@dataclass(frozen=True)
class Log:
    """Training log of an adapter: (step, value) by split and metric, or the reason for its absence."""

    series: dict[tuple[str, str], list[tuple[int, float]]]
    reason: str | None = None

    def get(self, split: str, metric: str) -> list[tuple[int, float]]:
        return self.series.get((split, metric), [])


def read_logs(results: Path, lineages) -> dict[str, Log]:
    """Read the training log of every lineage below `results`; a missing one becomes a reason.

    Raises
    ------
    InputError
        If a file is no training log.
    """
    return {lineage: _read(Path(results) / lineage / "adapter" / "training_log.csv") for lineage in lineages}


def _read(path: Path) -> Log:
    if not path.is_file():
        return Log({}, f"no training log: {path.name} is not there")
    series: dict[tuple[str, str], list[tuple[int, float]]] = {}
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            if missing := sorted(COLUMNS - set(reader.fieldnames or [])):
                raise InputError(f"{path}: a training log needs the column '{missing[0]}'; run the training again")
            for number, row in enumerate(reader, start=2):
                try:
                    point = int(float(row["step"])), float(row["value"])
                except (TypeError, ValueError, OverflowError):
                    raise InputError(f"{path}: line {number} is no log entry; run the training again") from None
                series.setdefault((row["split"], row["metric"]), []).append(point)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a training log ({error}); run the training again") from None
    return Log(series, None if series else "the training log is empty")
