"""Lines over training steps, one for each way of training."""

from typing import NamedTuple

from stagewise.report.figures.style import WIDTH
from stagewise.report.figures.svg import MARKERS, MUTED, Picture, picture


class Line(NamedTuple):
    """One line, and the faint ones of the runs behind it."""

    text: str
    style: tuple[str, int]
    """Colour and marker, as `arm_style` gives them."""
    points: list[tuple[int, float]]
    runs: tuple[list[tuple[int, float]], ...] = ()
    end: str = ""
    """What stands at the line's end."""


def lines(name: str, caption: str, title: str, axis: str, found: list[Line], level: float | None = None) -> Picture:
    """Lines over optimizer steps; `level` is a dashed line across, in the axis's units."""

    def draw(axes):
        axes.set(xlabel="Optimizer step", ylabel=axis)
        axes.grid(axis="y")
        if level is not None:
            axes.axhline(level, color=MUTED, linewidth=1.5, linestyle=(0, (6, 3)))
        for line in found:
            color, shape = line.style
            for run in line.runs:
                axes.plot(*zip(*run, strict=True), color=color, linewidth=1, alpha=0.3)
            many = len(line.points) > 20
            marker = {} if many else {"marker": MARKERS[shape][0], "markersize": 5}
            axes.plot(*zip(*line.points, strict=True), color=color, linewidth=1.8, clip_on=False, **marker)
        values = [value for line in found for points in (line.points, *line.runs) for _, value in points]
        axes.set_ylim(0, 100 if axis.endswith("%") else max([1.05 * v for v in values if v == v] or [1]))
        axes.set_xlim(0, max([step for line in found for step, _ in line.points] or [1]) or 1)
        axes.locator_params(axis="x", integer=True, nbins=6)
        _ends(axes, [line for line in found if line.end])

    spoken = "; ".join(
        f"{line.text} {line.points[0][1]:.3g} at step {line.points[0][0]} to {line.points[-1][1]:.3g} at step "
        f"{line.points[-1][0]}"
        for line in found
    )
    right = 12 + 7 * max([len(line.end) for line in found] or [0])
    return picture(name, (caption, title, f"{spoken}."), WIDTH + right - 12, 230, draw, (52, right, 10, 44))


def _ends(axes, found: list[Line]) -> None:
    """Write at the end of each line, pushed apart where the ends lie close."""
    low, high = axes.get_ylim()
    gap = (high - low) * 12 / 176  # a text is 12 of the 176 pixels between the margins
    place = low - gap
    for line in sorted(found, key=lambda line: line.points[-1][1]):
        step, value = line.points[-1]
        place = max(value, place + gap)
        axes.annotate(line.end, (step, place), (6, -4), textcoords="offset points", color=line.style[0], size=11)
