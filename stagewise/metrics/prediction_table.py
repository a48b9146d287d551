"""Predictions of one model on one split: read from a prediction file and checked against the split."""

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stagewise.errors import InputError
from stagewise.measures import MEASURES, PRIMARY, measures_of
from stagewise.predictions.prediction_files import gold_cell
from stagewise.task_kinds import LABEL_KINDS, TaskKind

Key = tuple[str, str, str]
"""Lineage (or baseline), task and split."""

AGAIN = "run the prediction step again"


@dataclass(frozen=True)
class AnswerFormat:
    """Form of a task's answers."""

    labels: list[str]
    """Label words, in label order; the letters of multiple choice; none of generation."""
    kind: TaskKind = "classification"
    own: str = PRIMARY
    """Name of the task's own measure."""
    no_label: str = "none"
    """Answer to an item of `multi_label` that has no label."""


@dataclass(frozen=True)
class Predictions:
    """Gold answers and answers, in item order."""

    labels: list[str]
    gold: np.ndarray
    """Codes in label order, shape (items,), integers from 0. Of several labels an item: sets, boolean, shape (items,
    labels). Of generated texts: checksums of the references, shape (items,)."""
    answer: np.ndarray
    """Codes, the number of labels standing for an invalid answer; sets, empty where `valid` is false; or the generated
    texts. Shape as `gold`."""
    logprobs: np.ndarray | None = None
    """Natural log-probability of each label, shape (items, labels), not renormalized; None if there is none, minus
    infinity for an option that an item does not have."""
    groups: np.ndarray | None = None
    """Number of each item's group, shape (items,), from 0; None if no two items belong together. Items of a group
    (segments of a post, visits of a patient) are resampled and exchanged together."""
    renormalized: bool = False
    """The probabilities add up to 1 by construction, so their sum says nothing."""
    kind: TaskKind = "classification"
    own: str = PRIMARY
    """Name of the task's own measure."""
    valid: np.ndarray | None = None
    """False for an answer that is no set of labels, shape (items,); None if all are, and for other kinds."""
    item_scores: dict[str, np.ndarray] = field(default_factory=dict)
    """Scores of generated texts by measure, each of shape (items,), from 0 to 1."""

    def __len__(self) -> int:
        return len(self.gold)

    @property
    def units(self) -> int:
        """Number of items, or of groups of items, that vary independently."""
        return len(self) if self.groups is None else int(self.groups.max()) + 1

    @property
    def right(self) -> np.ndarray | None:
        """True for each right answer, shape (items,).

        A set is right if it has exactly the gold labels, a text if the task's own measure says so; None if that
        measure has values between right and wrong.
        """
        if self.kind == "generation":
            return self.item_scores[self.own] == 1 if MEASURES[self.own].test == "sign-flip" else None
        if self.kind == "multi_label":
            return self.is_valid & (self.gold == self.answer).all(1)
        return self.gold == self.answer

    @property
    def is_valid(self) -> np.ndarray:
        """True for each answer that is a label, a set of labels or a text, shape (items,)."""
        if self.kind in LABEL_KINDS:
            return self.answer < len(self.labels)
        return np.ones(len(self), dtype=bool) if self.valid is None else self.valid


def group_codes(items: list[dict]) -> np.ndarray | None:
    """Number the groups of a split's items from 0, an item without a group being its own; None if all are alone."""
    keys = [("group", item["group"]) if "group" in item else ("item", n) for n, item in enumerate(items)]
    numbers = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys]) if len(numbers) < len(items) else None


def label_sets(items: list[dict], labels: list[str]) -> np.ndarray:
    """Gold labels of the items of a multi-label task, boolean, shape (items, labels)."""
    return np.array([[label in item["labels"] for label in labels] for item in items], dtype=bool)


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


def read_predictions(path, task: str, split: str, form: AnswerFormat, items: list[dict]) -> Predictions:
    """Read a prediction file and check that it answers exactly the split's items, in order.

    Raises
    ------
    InputError
        Naming the file, the row (1 is the first below the header) and what is wrong.
    """
    path, is_text = Path(path), form.kind == "generation"
    golds = list(map(gold_cell, items))
    rows = _read_rows(path, _value_columns(form))
    _check_items(path, rows, task, split, items, golds)
    common = {"groups": group_codes(items), "kind": form.kind, "own": form.own}
    if is_text:
        scores = {name: _scores(path, rows, f"score:{name}") for name in measures_of(form.kind)}
        texts = np.array([row["prediction"] for row in rows], dtype=object)
        return Predictions([], np.array(golds), texts, item_scores=scores, **common)
    if form.kind == "multi_label":
        sets, valid = zip(*(_set(path, number, row, form) for number, row in enumerate(rows, 1)), strict=True)
        gold = label_sets(items, form.labels)
        return Predictions(form.labels, gold, np.array(sets), valid=np.array(valid), **common)
    code = {word: number for number, word in enumerate(form.labels)}
    return Predictions(
        form.labels,
        np.array([code[item["label"]] for item in items], dtype=int),
        np.array([_code(path, number, row, code) for number, row in enumerate(rows, 1)], dtype=int),
        _logprobs(path, rows, form, [item.get("options") for item in items]),
        **common,
    )


def _value_columns(form: AnswerFormat) -> list[str]:
    if form.kind == "generation":
        return [f"score:{name}" for name in measures_of(form.kind)]
    return [] if form.kind == "multi_label" else [f"logprob:{word}" for word in form.labels]


def _read_rows(path: Path, columns: list[str]) -> list[dict]:
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
    except FileNotFoundError:
        raise InputError(f"{path}: the predictions are missing; run the prediction step") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable CSV file ({error}); {AGAIN}") from None
    for column in ("id", "task", "split", "label", "prediction", "valid", *columns):
        if column not in (reader.fieldnames or []):
            raise InputError(f"{path}: the column '{column}' is missing; {AGAIN}")
    return rows


def _check_items(path: Path, rows: list[dict], task: str, split: str, items: list[dict], golds: list[str]) -> None:
    if len(rows) != len(items):
        raise InputError(
            f"{path}: {len(rows)} predictions for the {len(items)} items of {task}'s {split} split; {AGAIN}"
        )
    for number, (row, item, gold) in enumerate(zip(rows, items, golds, strict=True), 1):
        for key, expected in (("id", item["id"]), ("task", task), ("split", split), ("label", gold)):
            if row[key] != expected:
                raise InputError(
                    f"{path}: row {number}: {key} is '{row[key]}' where {task}'s {split} split has '{expected}'; "
                    f"the predictions are of other items, {AGAIN}"
                )


def _is_valid(row: dict) -> bool | None:
    """Read the column `valid`; None if it says neither."""
    return {"true": True, "false": False}.get((row["valid"] or "").casefold())


def _code(path: Path, number: int, row: dict, code: dict[str, int]) -> int:
    valid = _is_valid(row)
    if valid and row["prediction"] in code:
        return code[row["prediction"]]
    if valid is False and row["prediction"] == "":
        return len(code)
    raise InputError(
        f"{path}: row {number}: prediction '{row['prediction']}' with valid '{row['valid']}' is neither one of "
        f"{', '.join(code)} nor an empty invalid answer; {AGAIN}"
    )


def _set(path: Path, number: int, row: dict, form: AnswerFormat) -> tuple[list[bool], bool]:
    """The labels of an answer, and if it is one."""
    valid, text = _is_valid(row), row["prediction"]
    words = [] if text in ("", form.no_label) else text.split(", ")
    in_order = [word for word in form.labels if word in words]
    if words != in_order or valid is None or valid is (text == ""):
        raise InputError(
            f"{path}: row {number}: prediction '{text}' with valid '{row['valid']}' is neither labels out of "
            f"{', '.join(form.labels)}, in this order, nor '{form.no_label}' nor an empty invalid answer; {AGAIN}"
        )
    return [label in words for label in form.labels], valid


def _scores(path: Path, rows: list[dict], column: str) -> np.ndarray:
    values = np.array([_number(path, number, row, column) for number, row in enumerate(rows, 1)])
    outside = ~((values >= 0) & (values <= 1))
    if outside.any():
        number = int(outside.argmax()) + 1
        raise InputError(f"{path}: row {number}: {column} is '{rows[number - 1][column]}', not from 0 to 1; {AGAIN}")
    return values


def _number(path: Path, number: int, row: dict, column: str) -> float:
    try:
        return float(row[column])
    except (ValueError, TypeError):
        raise InputError(f"{path}: row {number}: {column} is '{row[column]}', not a number; {AGAIN}") from None


def _logprobs(path: Path, rows: list[dict], form: AnswerFormat, options: list[int | None]) -> np.ndarray | None:
    columns = _value_columns(form)
    if not any(row[column] for row in rows for column in columns):
        return None
    values = np.empty((len(rows), len(columns)))
    for number, (row, count) in enumerate(zip(rows, options, strict=True), 1):
        values[number - 1] = logs = [_number(path, number, row, column) for column in columns]
        best = max(logs) if not any(map(math.isnan, logs)) else math.nan
        # Rounding may lift a certain answer a little above 0.
        if math.isnan(best) or best > 1e-3 or best == -math.inf:
            raise InputError(f"{path}: row {number}: log-probabilities {logs} are not those of labels; {AGAIN}")
        if count is not None and any(value > -math.inf for value in logs[count:]):
            raise InputError(
                f"{path}: row {number}: has log-probabilities of more than the item's {count} options; {AGAIN}"
            )
    return values
