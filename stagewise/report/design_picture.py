"""Picture of what a planned study can show: detectable differences against the number of runs."""

from typing import NamedTuple

from stagewise.report.figures.svg import MARKERS, MUTED, SERIES, Key, Picture, picture, variable
from stagewise.report.figures.svg_file import compose

WIDTH, HEIGHT = 420, 300

MARGINS = (56, 16, 10, 44)


class Panel(NamedTuple):
    """What one kind of claim finds."""

    name: str
    caption: str
    lines: list[list[tuple[int, float]]]
    """Runs and detectable difference in points, one line for each assumed noise; points without one are left out."""


def draw_design(title: str, noise: list[float], panels: list[Panel], planned: int) -> str:
    """Draw a panel for each kind of claim, a line for each assumed noise (points); returns an SVG file's text.

    A thin line marks the planned number of runs.
    """
    keys = [
        Key(f"training noise {points:g} points", variable(SERIES[n % 6]), MARKERS[n % 6][1], "")
        for n, points in enumerate(noise)
    ]
    keys.append(Key("planned", variable(MUTED), dashes="4 3"))
    description = "Differences found with 80 % power, by the number of runs."
    return compose(title, description, [("", [_draw(panel, noise, planned) for panel in panels])], keys, True)


def _draw(panel: Panel, noise: list[float], planned: int) -> Picture:
    def draw(axes):
        runs, values = zip(*(point for line in panel.lines for point in line), strict=True)
        axes.set(xlabel="Runs (seeds)", ylabel="Detectable difference, points")
        axes.set(xlim=(0.5, max(runs) + 0.5), ylim=(0, 1.05 * max(values)))
        axes.grid(axis="y")
        axes.locator_params(axis="x", integer=True)
        axes.axvline(planned, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for number, line in enumerate(panel.lines):
            if line:
                marker = {"marker": MARKERS[number % 6][0], "markersize": 5}
                axes.plot(*zip(*line, strict=True), color=SERIES[number % 6], linewidth=1.8, **marker)

    spoken = "; ".join(
        f"noise {points:g}: {line[0][1]:.1f} with {line[0][0]} runs to {line[-1][1]:.1f} with {line[-1][0]}"
        for points, line in zip(noise, panel.lines, strict=True)
        if line
    )
    texts = panel.caption, panel.caption, f"{spoken}."
    return picture(panel.name, texts, WIDTH, HEIGHT, draw if any(panel.lines) else lambda axes: None, MARGINS)
