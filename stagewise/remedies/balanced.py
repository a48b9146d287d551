"""Balanced: rare labels count as much as frequent ones."""

import random
from collections import Counter
from typing import ClassVar, Literal

from pydantic import Field

from stagewise.remedies.base import Batch, Remedy, Row, TrainingContext, TrainingHook
from stagewise.task_kinds import LABEL_KINDS, TaskKind


class Balanced(Remedy):
    """Every label of a task gets the same weight: by drawing its items more often, or by weighting their loss.

    Both give label k the weight n / (K n_k) (King & Zeng 2001); drawing keeps the number of items.
    """

    paper: ClassVar[str] = "King & Zeng 2001, doi:10.1093/oxfordjournals.pan.a004868"
    kinds: ClassVar[tuple[TaskKind, ...]] = LABEL_KINDS

    by: Literal["sampling", "weights"] = Field(
        "sampling", description="Draw rare labels more often, or weight the loss."
    )

    @property
    def label(self) -> str:
        return f"balanced-{self.by}"

    def rows(self, rows: list[Row], earlier_rows: dict[str, list[Row]], seed: int) -> list[Row]:
        if self.by == "weights":
            return rows
        return [row for task_rows in _group_by_task(rows) for row in resample(task_rows, seed)]

    def hook(self, context: TrainingContext) -> TrainingHook | None:
        return WeightedLoss(context) if self.by == "weights" else None


def resample(rows: list[Row], seed: int) -> list[Row]:
    """Draw as many rows of one task, as equally over its labels as their number allows.

    A rare label's rows are gone through again and again, a frequent one's not to the end, so that the rows of one label
    are drawn equally often, give or take one.
    """
    labels = sorted({row["label"] for row in rows})
    drawn: list[Row] = []
    for position, label in enumerate(labels):
        candidates = [row for row in rows if row["label"] == label]
        missing = len(rows) // len(labels) + (position < len(rows) % len(labels))
        generator = random.Random(f"balanced {seed} {label}")
        while missing > 0:
            generator.shuffle(candidates)
            drawn += candidates[:missing]
            missing -= len(candidates)
    return drawn


def class_weights(rows: list[Row]) -> list[float]:
    """Compute n / (K n_k) for each row's label within its task; the weights add up to the number of rows."""
    rows_of_label = Counter((row["task"], row["label"]) for row in rows)
    rows_of_task = Counter(row["task"] for row in rows)
    labels_of_task = Counter(task for task, _ in rows_of_label)
    return [
        rows_of_task[row["task"]] / (labels_of_task[row["task"]] * rows_of_label[row["task"], row["label"]])
        for row in rows
    ]


def _group_by_task(rows: list[Row]) -> list[list[Row]]:
    return [[row for row in rows if row["task"] == task] for task in dict.fromkeys(row["task"] for row in rows)]


class WeightedLoss(TrainingHook):
    def __init__(self, context: TrainingContext):
        self.weights = class_weights(context.rows)

    def loss(self, batch: Batch):
        import torch

        weights = torch.tensor([self.weights[row] for row in batch.row_numbers], device=batch.nll.device)
        # The trainer's own loss has weight 1 already.
        return ((weights - 1) * batch.nll).sum() / batch.loss_tokens
