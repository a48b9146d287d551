"""Measures as the report writes them."""

from dataclasses import dataclass

from stagewise.metrics.schema import MeasureRecord
from stagewise.report.figures.svg import Picture
from stagewise.report.tables import number_format


@dataclass(frozen=True)
class ShownMeasure:
    """A measure as the report writes it: shares in percent, everything else as it is."""

    name: str
    title: str
    """Name inside a sentence."""
    range: tuple[float, float]
    higher_is_better: bool
    rank: int
    """Its place among the measures; the first two are shown open, pictures of the others are folded."""
    unit: str = ""
    """Unit after a difference in a sentence, of what is no share."""

    @classmethod
    def of(cls, record: MeasureRecord, rank: int) -> "ShownMeasure":
        return cls(record.name, record.title, record.range, record.higher_is_better, rank)

    def fold(self, drawn: Picture) -> Picture:
        """Fold a picture of this measure away if the measure is not one of the first two."""
        return drawn.fold() if self.rank >= 2 else drawn

    @property
    def heading(self) -> str:
        return self.title[0].upper() + self.title[1:]

    @property
    def is_share(self) -> bool:
        return self.range == (0, 1)

    @property
    def scale(self) -> int:
        """Factor of a value on an axis."""
        return 100 if self.is_share else 1

    def scaled(self, *values: float | None) -> tuple[float | None, ...]:
        """Values on an axis; missing ones stay missing."""
        return tuple(None if value is None else self.scale * value for value in values)

    @property
    def limits(self) -> tuple[float, float]:
        """Limits of an axis."""
        low, high = self.range
        return self.scale * low, self.scale * high

    @property
    def axis_room(self) -> int:
        """Pixels that an axis needs beside those for percentages: its numbers have a sign or decimals."""
        return 0 if self.is_share else 12

    @property
    def axis(self) -> str:
        """Label of an axis."""
        return f"{self.heading}, %" if self.is_share else self.heading

    @property
    def difference_unit(self) -> str:
        """Unit after a difference in a sentence."""
        return " points" if self.is_share else self.unit

    def write(self, value: float | None) -> str:
        return number_format.percent(value) if self.is_share else number_format.decimal(value)

    def spoken(self, value: float | None) -> str:
        """A value in a sentence."""
        return f"{self.write(value)}%" if self.is_share else self.write(value)

    def write_difference(self, value: float | None) -> str:
        return number_format.points(value) if self.is_share else number_format.signed_decimal(value)
