"""A figure of the page: one or more drawings, what they show in words, and their numbers as CSV."""

import base64
import csv
import io
from dataclasses import dataclass, field

from stagewise.report.figures.svg import Key, Picture


@dataclass(frozen=True)
class Data:
    """Numbers behind a figure, one observation a row. Shares run from 0 to 1; what is missing is empty."""

    name: str
    """File name without ``.csv``, unique in the report."""
    columns: tuple[str, ...]
    rows: list[tuple] = field(default_factory=list)

    def add(self, *cells) -> None:
        if len(cells) != len(self.columns):
            raise ValueError(f"{self.name}: {len(cells)} cells for {len(self.columns)} columns")
        self.rows.append(cells)

    @property
    def text(self) -> str:
        """The CSV file: comma-separated, one head line, numbers in full precision."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(["" if cell is None else cell for cell in row] for row in self.rows)
        return buffer.getvalue()

    @property
    def uri(self) -> str:
        """The file as a ``data:`` address, so that the page offers it without another file."""
        return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(self.text.encode()).decode()}"


@dataclass(frozen=True)
class Figure:
    """Drawings that belong together."""

    data: Data
    caption: str
    panels: list[tuple[str, list[Picture]]]
    """Drawings under their headings; an empty heading is left out."""
    legend: list[Key] = field(default_factory=list)
    shown: int | None = None
    """Panels that are not folded away; all of them by default."""
    style: str = ""
    """Class of the panels: ``heat`` for shaded cells."""

    @property
    def pictures(self) -> list[Picture]:
        return [picture for _, pictures in self.panels for picture in pictures]
