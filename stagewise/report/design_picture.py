"""Picture of what a study can show: detectable differences against the number of runs."""

from dataclasses import replace

from stagewise.metrics.design import Assumed, Comparisons, Design
from stagewise.report.figures.svg import MARKERS, SERIES, Key, picture, variable
from stagewise.report.figures.svg_file import compose

WIDTH, HEIGHT = 420, 300

MARGINS = (56, 16, 10, 44)

RUNS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20)

HIGHEST = 0.5
"""Differences above this are not drawn."""


def draw_design(design: Design, assumed: list[Assumed], title: str) -> str:
    """Draw a panel for each kind of claim and task, a line for each assumed noise; returns an SVG file's text."""
    panels = [("", [_panel(design, group, assumed) for group in design.comparisons])]
    keys = [
        Key(f"training noise {100 * each.noise:g} points", variable(SERIES[n % 6]), MARKERS[n % 6][1], "")
        for n, each in enumerate(assumed)
    ]
    description = "; ".join(drawn.caption for _, drawn_panels in panels for drawn in drawn_panels)
    return compose(title, f"Differences found with 80 % power by number of runs: {description}", panels, keys, True)


def _panel(design: Design, group: Comparisons, assumed: list[Assumed]):
    lines = []
    for each in assumed:
        points = [(runs, replace(design, runs=runs).detectable(group, each)) for runs in RUNS]
        lines.append([(runs, 100 * value) for runs, value in points if value is not None and value <= HIGHEST])

    def draw(axes):
        axes.set(xlabel="Runs (seeds)", ylabel="Detectable difference, points", xlim=(1.5, RUNS[-1] + 0.5))
        axes.set_ylim(0, max([value for line in lines for _, value in line] or [1]) * 1.05)
        axes.grid(axis="y")
        axes.locator_params(axis="x", integer=True)
        for number, line in enumerate(lines):
            if line:
                style = {"color": SERIES[number % 6], "marker": MARKERS[number % 6][0], "markersize": 5}
                axes.plot(*zip(*line, strict=True), linewidth=1.8, **style)
        if design.runs > 1:
            axes.axvline(design.runs, color=SERIES[0], linewidth=1, alpha=0.4)

    caption = f"{describe(group)}, {design.tasks[group.task].items} items"
    spoken = "; ".join(
        f"noise {100 * each.noise:g}: {line[0][1]:.1f} with {line[0][0]} runs to {line[-1][1]:.1f} with {line[-1][0]}"
        for each, line in zip(assumed, lines, strict=True)
        if line
    )
    name = f"design-{group.kind}-{group.task}"
    return picture(name, (caption, caption, f"{spoken}."), WIDTH, HEIGHT, draw, MARGINS)


def describe(group: Comparisons) -> str:
    """What claims of a kind are about."""
    if group.kind == "kept":
        return f"{group.task}: kept since it was learnt"
    return f"{group.task}: against the reference arm"
