"""Tables as data, so that the page and the Markdown file show the same cells."""

from dataclasses import dataclass, field

from stagewise.metrics.schema import Claim, Value
from stagewise.report.tables import number_format

# A sign beside each verdict, so that colour is never its only carrier.
SIGNS = {
    "better": ("▲", "up"),
    "worse": ("▼", "down"),
    "not claimed": ("○", "open"),
    "not shown": ("○", "open"),
}


@dataclass(frozen=True)
class Cell:
    """One cell: its text, an interval or other detail beside it, and the reason if something is missing."""

    text: str
    detail: str = ""
    reason: str | None = None
    style: str = ""
    """``code`` for checksums and names of files, ``up``/``down``/``open`` for verdicts, else nothing."""
    sign: str = ""


@dataclass(frozen=True)
class Column:
    """One column; neighbours of the same `group` share a heading above theirs."""

    text: str
    group: str = ""
    numeric: bool = False
    wide: bool = False
    """Holds long texts, which a narrow screen must not squeeze."""


@dataclass
class Table:
    """A caption, columns and rows of cells; the first `heads` cells of a row are its headings.

    Rows may stand in parts, each with a heading across all columns.
    """

    name: str
    caption: str
    columns: list[Column]
    rows: list[list[Cell]] = field(default_factory=list)
    heads: int = 1
    parts: dict[int, str] = field(default_factory=dict)
    """Headings by the number of the row that they stand above; an empty one is just a rule."""

    def __post_init__(self):
        self.columns = [Column(c) if isinstance(c, str) else c for c in self.columns]

    def add(self, *cells) -> None:
        """Append a row; a plain text becomes a cell."""
        row = [cell if isinstance(cell, Cell) else Cell(str(cell)) for cell in cells]
        if len(row) != len(self.columns):
            raise ValueError(f"{self.name}: {len(row)} cells for {len(self.columns)} columns")
        self.rows.append(row)

    def part(self, heading: str = "") -> None:
        """Start a new part, unless this one has the same heading."""
        if not self.parts or list(self.parts.values())[-1] != heading or not heading:
            self.parts[len(self.rows)] = heading

    @property
    def bodies(self) -> list[tuple[str, list[list[Cell]]]]:
        """The rows by part, each with its heading."""
        starts = sorted({0, *self.parts})
        ends = [*starts[1:], len(self.rows)]
        return [(self.parts.get(start, ""), self.rows[start:end]) for start, end in zip(starts, ends, strict=True)]

    def drop_empty(self) -> "Table":
        """Drop the columns that are empty in every row."""
        keep = [i for i in range(len(self.columns)) if i < self.heads or any(row[i].text for row in self.rows)]
        self.columns = [self.columns[i] for i in keep]
        self.rows = [[row[i] for i in keep] for row in self.rows]
        return self

    @property
    def reasons(self) -> dict[str, str]:
        """A letter for each distinct reason, in reading order."""
        letters: dict[str, str] = {}
        for row in self.rows:
            for cell in row:
                if cell.reason and cell.reason not in letters:
                    n = len(letters)
                    letters[cell.reason] = (chr(96 + n // 26) if n >= 26 else "") + chr(97 + n % 26)
        return letters

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Headings above the columns and how many columns each spans; empty where there are none."""
        if not any(column.group for column in self.columns):
            return []
        spans: list[list] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1][1] += 1
            else:
                spans.append([column.group, 1])
        return [(text, span) for text, span in spans]


def value_cell(value: Value | None, write=number_format.percent, why: str = "not computed") -> Cell:
    """A number with its interval; a missing one has its reason."""
    if value is None:
        return Cell(number_format.MISSING, reason=why)
    if value.value is None:
        return Cell(number_format.MISSING, reason=value.reason or why)
    bounds = number_format.interval(value.low, value.high, write)
    return Cell(write(value.value), bounds, None if bounds else value.reason)


def bare_cell(value: Value | None, write, why: str = "not computed") -> Cell:
    """A number without its interval."""
    return value_cell(value if value is None or value.value is None else Value(value=value.value), write, why)


def value(number, write, why: str = "not recorded") -> Cell:
    """A number that may be null."""
    return Cell(number_format.MISSING, reason=why) if number is None else Cell(write(number))


def code(text: str, detail: str = "") -> Cell:
    """A checksum, a file name or a lineage."""
    return Cell(text, detail, style="code")


def checksum(text: str) -> Cell:
    """A checksum in full."""
    return Cell(text, style="sum")


def verdict_cell(
    claim: Claim | None, several_runs: bool, why: str = "not compared", higher_is_better: bool = True
) -> Cell:
    """A claim's verdict; its sign stands there with several runs alone: one training says nothing about an arm."""
    if claim is None:
        return Cell(number_format.MISSING, reason=why)
    sign, style = SIGNS[claim.verdict] if several_runs else ("", "")
    reason = (claim.reason or "").rstrip(".") or None
    better, worse = ("higher", "lower") if higher_is_better else ("lower", "higher")
    words = {"better": better, "worse": worse}
    text = claim.verdict if several_runs else words.get(claim.verdict, claim.verdict)
    return Cell(text, reason=reason, style=style, sign=sign)


def numeric(*texts: str, group: str = "") -> list[Column]:
    """Columns of numbers."""
    return [Column(text, group, numeric=True) for text in texts]
