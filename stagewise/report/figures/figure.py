"""A figure: its declaration, its numbers, and its drawings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

import pandas as pd

from stagewise.provenance.csv_cells import inert
from stagewise.report.environment import plain
from stagewise.report.figures.svg import Key, Picture
from stagewise.report.figures.svg_file import compose
from stagewise.report.lookup import View


@dataclass(frozen=True)
class Drawing:
    """Pictures that belong together, with their caption and legend."""

    caption: str
    panels: list[tuple[str, list[Picture]]]
    """Pictures under their headings; an empty heading is left out."""
    legend: list[Key] = field(default_factory=list)
    open_panels: int | None = None
    """Number of panels that the page does not fold away; all of them by default."""
    folded_title: str = "Other measures"
    """Title over the pictures that are folded away."""
    style: str = ""
    """CSS class: ``heat`` for shaded cells, ``keyed`` for a legend beside the pictures on a wide screen, ``small`` for
    pictures of the width `SMALL` close to each other."""


@dataclass(frozen=True)
class Figure:
    """Declaration of a figure, the constant FIGURE of its module."""

    title: str
    section: str
    """Section or part of the report that shows the figure, by its id."""
    data: Callable[[View], pd.DataFrame]
    """Compute the numbers; without rows the figure is left out."""
    draw: Callable[[View, pd.DataFrame], Drawing]
    """Draw those numbers."""
    order: int = 0
    """Rank among the figures of the section."""


@dataclass(frozen=True)
class DrawnFigure:
    """A figure of one experiment."""

    id: str
    """Name of its files, and unique on the page."""
    figure: Figure
    data: pd.DataFrame
    drawing: Drawing

    @property
    def title(self) -> str:
        return self.figure.title

    @property
    def section(self) -> str:
        return self.figure.section

    @property
    def caption(self) -> str:
        return self.drawing.caption

    @property
    def pictures(self) -> list[Picture]:
        return [picture for _, pictures in self.drawing.panels for picture in pictures]

    @property
    def csv(self) -> str:
        """The numbers as CSV: one head line, full precision, shares from 0 to 1, empty cells for missing values."""
        rows = [tuple(map(inert, row)) for row in self.data.itertuples(index=False, name=None)]
        return frame(tuple(self.data.columns), rows).to_csv(index=False, lineterminator="\n")

    @property
    def csv_uri(self) -> str:
        """The CSV as a ``data:`` address, so that the page offers it without a second file."""
        return f"data:text/csv;charset=utf-8,{quote(self.csv, safe=',/:;+()')}"

    @property
    def svg(self) -> str:
        """The whole figure as one SVG file, readable on light and dark backgrounds."""
        drawing = self.drawing
        return plain(compose(self.title, drawing.caption, drawing.panels, drawing.legend, halo=drawing.style != "heat"))


def frame(columns: tuple[str, ...], rows: list[tuple]) -> pd.DataFrame:
    """Build a figure's numbers; integers stay integers beside missing values."""
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def groups(data: pd.DataFrame, *columns: str):
    """Iterate over key and rows of each group, in order of first appearance."""
    return data.groupby(columns[0] if len(columns) == 1 else list(columns), sort=False, dropna=False)
