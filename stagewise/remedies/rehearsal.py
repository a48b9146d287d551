"""Rehearsal: train again on some of the earlier tasks' items."""

import random
from typing import ClassVar

from pydantic import Field

from stagewise.config.base import Number
from stagewise.remedies.base import Remedy, Row


class Rehearsal(Remedy):
    """A share of each earlier task's training items, label shares kept, is mixed in (Robins 1995; Scialom et al. 2022).

    The stage keeps its number of optimizer steps, so its own items are seen a little less often.
    """

    paper: ClassVar[str] = "Robins 1995, doi:10.1080/09540099550039318; Scialom et al. 2022, arXiv:2205.12393"
    needs_earlier: ClassVar[bool] = True
    needs_parent: ClassVar[bool] = True

    share: Number = Field(0.1, gt=0, le=1, description="Share of each earlier task's training items.")

    @property
    def label(self) -> str:
        return f"rehearsal-{100 * self.share:g}"

    def rows(self, rows: list[Row], earlier_rows: dict[str, list[Row]], seed: int) -> list[Row]:
        return rows + [
            row
            for number, task_rows in enumerate(earlier_rows.values())
            for row in draw_share(task_rows, self.share, seed, number)
        ]


def draw_share(rows: list[Row], share: float, seed: int, task_number: int = 0) -> list[Row]:
    """Draw a share of one task's rows, within each label and at least one of each; their order stays.

    A larger share contains a smaller one of the same seed. `task_number` makes the draws of a stage's tasks differ.
    """
    chosen = set()
    for label in sorted({row["label"] for row in rows}):
        positions = [position for position, row in enumerate(rows) if row["label"] == label]
        random.Random(f"rehearsal {seed} {task_number} {label}").shuffle(positions)
        chosen.update(positions[: max(1, round(share * len(positions)))])
    return [rows[position] for position in sorted(chosen)]
