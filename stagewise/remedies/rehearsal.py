"""Rehearsal: some of the earlier tasks' training items are trained on again."""

import random
from typing import ClassVar

from pydantic import Field

from stagewise.remedies.base import Remedy, Row


class Rehearsal(Remedy):
    """A share of each earlier task's training items, label shares kept, is mixed in (Robins 1995; Scialom et al. 2022).

    The stage keeps its number of optimizer steps, so its own items are seen a little less often.
    """

    paper: ClassVar[str] = "Robins 1995, doi:10.1080/09540099550039318; Scialom et al. 2022, arXiv:2205.12393"
    needs_earlier: ClassVar[bool] = True
    needs_parent: ClassVar[bool] = True

    share: float = Field(0.1, gt=0, le=1, description="Share of each earlier task's training items.")

    @property
    def label(self) -> str:
        return f"rehearsal-{100 * self.share:g}"

    def rows(self, rows: list[Row], earlier: dict[str, list[Row]], seed: int) -> list[Row]:
        return rows + [
            row for number, kept in enumerate(earlier.values()) for row in sample(kept, self.share, seed, number)
        ]


def sample(rows: list[Row], share: float, seed: int, number: int = 0) -> list[Row]:
    """So large a share of the rows, drawn within each label, at least one of each; in their old order.

    A larger share contains a smaller one of the same seed. `number` tells the tasks of one stage apart.
    """
    chosen = set()
    for label in sorted({row["label"] for row in rows}):
        places = [place for place, row in enumerate(rows) if row["label"] == label]
        random.Random(f"rehearsal {seed} {number} {label}").shuffle(places)
        chosen.update(places[: max(1, round(share * len(places)))])
    return [rows[place] for place in sorted(chosen)]
