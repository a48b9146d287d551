"""Predictions of one model on one split: read from a prediction file and checked against the split."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stagewise.errors import InputError

Key = tuple[str, str, str]
"""Lineage (or baseline), task and split."""


@dataclass(frozen=True)
class Predictions:
    """Gold labels and answers as codes in label order, in item order."""

    labels: list[str]
    gold: np.ndarray
    """Shape (items,), integers from 0."""
    answer: np.ndarray
    """Shape (items,); the number of labels stands for an invalid answer."""
    logprobs: np.ndarray | None = None
    """Natural log-probability of each label, shape (items, labels), not renormalized; None if there is none."""
    groups: np.ndarray | None = None
    """Number of each item's group, shape (items,), from 0; None if no two items belong together. Items of a group
    (segments of a post, visits of a patient) are resampled and exchanged together."""
    renormalized: bool = False
    """The probabilities add up to 1 by construction, so their sum says nothing."""

    def __len__(self) -> int:
        return len(self.gold)

    @property
    def units(self) -> int:
        """Number of items, or of groups of items, that vary independently."""
        return len(self) if self.groups is None else int(self.groups.max()) + 1

    @property
    def right(self) -> np.ndarray:
        """True for each right answer, shape (items,)."""
        return self.gold == self.answer


def group_codes(items: list[dict]) -> np.ndarray | None:
    """Number the groups of a split's items from 0, an item without a group being its own; None if all are alone."""
    keys = [("group", item["group"]) if "group" in item else ("item", n) for n, item in enumerate(items)]
    numbers = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys]) if len(numbers) < len(items) else None


def read_content_free(path, receipt: dict, task: str, labels: list[str]) -> np.ndarray | None:
    """Read the labels' log-probabilities after inputs without content, shape (inputs, labels); None if there are none.

    Raises
    ------
    InputError
        If the receipt holds something else.
    """
    rows = (receipt.get("content_free") or {}).get(task)
    if not rows:
        return None
    try:
        values = np.array([row["logprobs"] for row in rows], dtype=float)
    except (KeyError, TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (len(rows), len(labels)) or np.isnan(values).any() or (values > 1e-3).any():
        raise InputError(
            f"{path}: content_free of {task} does not hold a log-probability for each of its {len(labels)} labels; "
            "run the prediction step again"
        )
    return values


def read_predictions(path, task: str, split: str, labels: list[str], items: list[dict]) -> Predictions:
    """Read a prediction file and check that it answers exactly the split's items, in order.

    Raises
    ------
    InputError
        Naming the file, the row (1 is the first below the header) and what is wrong.
    """
    path = Path(path)
    columns = [f"logprob:{word}" for word in labels]
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
            missing = [c for c in ("id", "task", "split", "label", "prediction", "valid", *columns)]
            missing = [c for c in missing if c not in (reader.fieldnames or [])]
    except FileNotFoundError:
        raise InputError(f"{path}: the predictions are missing; run the prediction step") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable CSV file ({error}); run the prediction step again") from None
    if missing:
        raise InputError(f"{path}: the column '{missing[0]}' is missing; run the prediction step again")
    if len(rows) != len(items):
        raise InputError(
            f"{path}: {len(rows)} predictions for the {len(items)} items of {task}'s {split} split; "
            "run the prediction step again"
        )
    for number, (row, item) in enumerate(zip(rows, items, strict=True), 1):
        for key, expected in (("id", item["id"]), ("task", task), ("split", split), ("label", item["label"])):
            if row[key] != expected:
                raise InputError(
                    f"{path}: row {number}: {key} is '{row[key]}' where {task}'s {split} split has '{expected}'; "
                    "the predictions are of other items, run the prediction step again"
                )
    code = {word: number for number, word in enumerate(labels)}
    return Predictions(
        labels,
        np.array([code[item["label"]] for item in items], dtype=int),
        np.array([_answer(path, number, row, code) for number, row in enumerate(rows, 1)], dtype=int),
        _logprobs(path, rows, columns),
        group_codes(items),
    )


def _answer(path, number: int, row: dict, code: dict[str, int]) -> int:
    valid = {"true": True, "false": False}.get((row["valid"] or "").casefold())
    if valid and row["prediction"] in code:
        return code[row["prediction"]]
    if valid is False and row["prediction"] == "":
        return len(code)
    raise InputError(
        f"{path}: row {number}: prediction '{row['prediction']}' with valid '{row['valid']}' is neither one of "
        f"{', '.join(code)} nor an empty invalid answer; run the prediction step again"
    )


def _logprobs(path, rows: list[dict], columns: list[str]) -> np.ndarray | None:
    if not any(row[column] for row in rows for column in columns):
        return None
    values = np.empty((len(rows), len(columns)))
    for number, row in enumerate(rows, 1):
        for label, column in enumerate(columns):
            try:
                values[number - 1, label] = float(row[column])
            except (ValueError, TypeError):
                raise InputError(
                    f"{path}: row {number}: {column} is '{row[column]}', not a number; run the prediction step again"
                ) from None
        best = values[number - 1].max()
        # Rounding may lift a certain answer a little above 0.
        if math.isnan(best) or best > 1e-3 or best == -math.inf:
            raise InputError(
                f"{path}: row {number}: log-probabilities {values[number - 1].tolist()} are not those of labels; "
                "run the prediction step again"
            )
    return values
