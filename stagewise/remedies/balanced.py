"""Rare labels count as much as frequent ones."""

import random
from collections import Counter
from typing import ClassVar, Literal

from pydantic import Field

from stagewise.remedies.base import Batch, Effect, Remedy, Row, Scene


class Balanced(Remedy):
    """Every label of a task gets the same weight: by drawing its items more often, or by weighting their loss.

    Both give label k the weight n / (K n_k) (King & Zeng 2001); drawing keeps the number of items.
    """

    paper: ClassVar[str] = "King & Zeng 2001, doi:10.1093/oxfordjournals.pan.a004868"

    by: Literal["sampling", "weights"] = Field(
        "sampling", description="Draw rare labels more often, or weight the loss."
    )

    @property
    def label(self) -> str:
        return f"balanced-{self.by}"

    def rows(self, rows: list[Row], earlier: dict[str, list[Row]], seed: int) -> list[Row]:
        return rows if self.by == "weights" else [row for part in _by_task(rows) for row in resample(part, seed)]

    def effect(self, scene: Scene) -> Effect | None:
        return _Weights(scene) if self.by == "weights" else None


def resample(rows: list[Row], seed: int) -> list[Row]:
    """As many rows of one task, as equally over its labels as their number allows.

    A rare label's rows are gone through again and again, a frequent one's not to the end, so that no row comes twice
    more often than another of its label.
    """
    labels = sorted({row["label"] for row in rows})
    found: list[Row] = []
    for place, label in enumerate(labels):
        own = [row for row in rows if row["label"] == label]
        wanted = len(rows) // len(labels) + (place < len(rows) % len(labels))
        draw = random.Random(f"balanced {seed} {label}")
        while wanted > 0:
            draw.shuffle(own)
            found += own[:wanted]
            wanted -= len(own)
    return found


def class_weights(rows: list[Row]) -> list[float]:
    """n / (K n_k) of each row's label within its task; they add up to the number of rows."""
    labels = Counter((row["task"], row["label"]) for row in rows)
    items, kinds = Counter(row["task"] for row in rows), Counter(task for task, _ in labels)
    return [items[r["task"]] / (kinds[r["task"]] * labels[r["task"], r["label"]]) for r in rows]


def _by_task(rows: list[Row]) -> list[list[Row]]:
    return [[row for row in rows if row["task"] == task] for task in dict.fromkeys(row["task"] for row in rows)]


class _Weights(Effect):
    def __init__(self, scene: Scene):
        self.weights = class_weights(scene.rows)

    def loss(self, batch: Batch):
        import torch

        weights = torch.tensor([self.weights[row] for row in batch.rows], device=batch.nll.device)
        # The trainer's own loss has weight 1 already.
        return ((weights - 1) * batch.nll).sum() / batch.tokens
