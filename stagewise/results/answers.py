"""Prediction files and splits of a finished experiment, checked to be those that its metrics were computed from."""

from pathlib import Path

from stagewise.data.items import SplitItem, read_split
from stagewise.errors import InputError
from stagewise.lineage import BASE, data_folder
from stagewise.metrics.prediction_table import Predictions, read_predictions
from stagewise.metrics.schema import ReportMetrics
from stagewise.metrics.task_measures import TaskMeasures
from stagewise.provenance.files import sha256_file
from stagewise.provenance.receipts import RECEIPT, read_receipt


class Answers:
    """Answers of an experiment's base model and adapters, item by item.

    Parameters
    ----------
    results
        The results folder.
    metrics
        Its metrics.
    """

    def __init__(self, results: Path, metrics: ReportMetrics):
        self.results, self.metrics = results, metrics
        self._adapters = {adapter.lineage: adapter for adapter in metrics.adapters}
        self.measures = TaskMeasures.of_records(metrics)
        """Forms and measures of the tasks."""
        self._receipts: dict[str, dict] = {}

    @property
    def lineages(self) -> list[str]:
        """The base model and every adapter."""
        return [BASE, *self._adapters]

    def at_hand(self, lineage: str, task: str, split: str) -> bool:
        """Tell if a lineage's answers and the items that they are about are there, whatever they hold."""
        files = self._prediction_file(lineage, task, split), self._items_file(lineage, task, split)
        return all(path.is_file() for path in files)

    def file(self, lineage: str, task: str, split: str) -> Path:
        """Find a prediction file and check that it is the one that the metrics were computed from.

        Raises
        ------
        InputError
            If there is no such lineage, task or split, or the file is missing or another one.
        """
        _check_name("lineage", lineage, self.lineages)
        _check_name("task", task, self.measures.forms)
        _check_name("split", split, self.metrics.experiment.splits)
        path = self._prediction_file(lineage, task, split)
        expected = self._receipt(lineage)["files"].get(path.name)
        if not path.is_file():
            raise InputError(f"{path}: the predictions are missing; run the workflow again")
        if sha256_file(path) != expected:
            raise InputError(f"{path}: does not match its receipt (edited?); run the workflow again")
        return path

    def items_file(self, lineage: str, task: str, split: str) -> Path:
        """Find the split that a lineage answered, checked likewise. Raises `InputError` as `file` does."""
        path = self._items_file(lineage, task, split)
        if not path.is_file():
            raise InputError(f"{path}: the items are missing; run the workflow again")
        if sha256_file(path) != self.items_checksum(lineage, task, split):
            raise InputError(f"{path}: not the items that {lineage} answered; run the workflow again")
        return path

    def items_checksum(self, lineage: str, task: str, split: str) -> str | None:
        """SHA-256 of the split that a lineage answered: equal ones mean the same items; None if it answered none."""
        return self._receipt(lineage).get("inputs", {}).get("files", {}).get(f"{task}.{split}")

    def items(self, lineage: str, task: str, split: str) -> list[SplitItem]:
        """Read the items that a lineage answered. Raises `InputError` as `file` does."""
        self.file(lineage, task, split)
        return read_split(self.items_file(lineage, task, split), self.measures.forms[task].labels)

    def read(self, lineage: str, task: str, split: str) -> Predictions:
        """Read a lineage's answers with the groups of their items. Raises `InputError` as `file` does."""
        path = self.file(lineage, task, split)
        return read_predictions(path, task, split, self.measures.forms[task], self.items(lineage, task, split))

    def _prediction_file(self, lineage: str, task: str, split: str) -> Path:
        return self.results / lineage / "predictions" / f"{task}.{split}.csv"

    def _items_file(self, lineage: str, task: str, split: str) -> Path:
        adapter = self._adapters.get(lineage)
        folds = self.metrics.experiment.folds or [None]
        return self.results / data_folder(adapter.fold if adapter else folds[0]) / task / f"{split}.jsonl"

    def _receipt(self, lineage: str) -> dict:
        if lineage not in self._receipts:
            folder = self.results / lineage / "predictions"
            if not (folder / RECEIPT).is_file():
                raise InputError(
                    f"{folder}: the predictions are not there; name the results folder that the workflow wrote"
                )
            used = self.metrics.inputs.get("files", {}).get(f"{lineage}/predictions/{RECEIPT}")
            if used and sha256_file(folder / RECEIPT) != used:
                raise InputError(
                    f"{folder}: not the predictions that report_metrics.json was computed from; run the workflow again"
                )
            self._receipts[lineage] = read_receipt(folder, "the predictions", verify=False)
        return self._receipts[lineage]


def _check_name(kind: str, name: str, names) -> None:
    if name not in names:
        raise InputError(f"there is no {kind} '{name}' in these results; there are {', '.join(names)}")
