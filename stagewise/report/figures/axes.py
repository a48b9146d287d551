"""Drawing on axes: lines over training steps, labelled points with intervals, and a row for each arm."""

from typing import NamedTuple

from stagewise.report.figures.style import WIDTH, named, shorten
from stagewise.report.figures.svg import MARKERS, MUTED, Picture, picture
from stagewise.report.lookup import View

Bounds = tuple[float | None, float | None]

CHARACTER = 6.8
"""Mean width of a character in pixels."""

ROW = 26
"""Height of an arm's row in pixels."""


class Line(NamedTuple):
    """A line over training steps, with faint lines of the single runs behind it."""

    text: str
    style: tuple[str, int]
    """Colour and marker, as `arm_style` gives them."""
    points: list[tuple[int, float]]
    runs: tuple[list[tuple[int, float]], ...] = ()
    end: str = ""
    """Label at the line's end."""


class Point(NamedTuple):
    """A point in the axes' units; bounds are None without an interval."""

    x: float
    y: float
    label: str
    style: tuple[str, int]
    x_bounds: Bounds = (None, None)
    y_bounds: Bounds = (None, None)
    runs: tuple[tuple[float, float], ...] = ()
    hollow: bool = False


def draw_lines(
    name: str, caption: str, title: str, axis: str, drawn: list[Line], limits: tuple[float, float] | None = None
) -> Picture:
    """Draw lines over optimizer steps; without limits percentages run from 0 to 100, everything else from 0."""

    def draw(axes):
        axes.set(xlabel="Optimizer step", ylabel=axis)
        axes.grid(axis="y")
        for line in drawn:
            color, shape = line.style
            for run in line.runs:
                axes.plot(*zip(*run, strict=True), color=color, linewidth=1, alpha=0.3)
            marker = {} if len(line.points) > 20 else {"marker": MARKERS[shape][0], "markersize": 5}
            axes.plot(*zip(*line.points, strict=True), color=color, linewidth=1.8, clip_on=False, **marker)
        values = [value for line in drawn for points in (line.points, *line.runs) for _, value in points]
        limit_steps(axes, axis, values, [step for line in drawn for step, _ in line.points])
        if limits:
            axes.set_ylim(*limits)
        _label_ends(axes, [line for line in drawn if line.end])

    spoken = "; ".join(
        f"{line.text} {line.points[0][1]:.3g} at step {line.points[0][0]} to {line.points[-1][1]:.3g} at step "
        f"{line.points[-1][0]}"
        for line in drawn
    )
    right = 12 + 7 * max([len(line.end) for line in drawn] or [0])
    return picture(
        name,
        (caption, title, f"{spoken}."),
        WIDTH + right - 12,
        230,
        draw,
        (52 if axis.endswith("%") or limits is None else 64, right, 10, 44),
    )


def limit_steps(axes, axis: str, values: list[float], steps: list[int]) -> None:
    """Set the limits of axes over optimizer steps; `axis` is the label of the values."""
    axes.set_ylim(0, 100 if axis.endswith("%") else max([1.05 * v for v in values if v == v] or [1]))
    axes.set_xlim(0, max(steps or [1]) or 1)
    axes.locator_params(axis="x", integer=True, nbins=6)


def mean_line(logs: list[list[tuple[int, float]]], scale: float = 1) -> list[tuple[int, float]]:
    """Average logs over the steps that all of them have, times `scale`."""
    by_step = [dict(log) for log in logs if log]
    if not by_step:
        return []
    steps = sorted(set.intersection(*map(set, by_step)))
    return [(step, scale * sum(log[step] for log in by_step) / len(by_step)) for step in steps]


def _label_ends(axes, lines: list[Line]) -> None:
    """Write a label at the end of each line, pushed apart if ends lie close."""
    low, high = axes.get_ylim()
    gap = (high - low) * 12 / 176  # a text is 12 of the 176 pixels between the margins
    height = low - gap
    for line in sorted(lines, key=lambda line: line.points[-1][1]):
        step, value = line.points[-1]
        height = max(value, height + gap)
        axes.annotate(line.end, (step, height), (6, -4), textcoords="offset points", color=line.style[0], size=11)


def draw_points(axes, points: list[Point], width: float, height: float) -> None:
    """Draw points on axes whose limits are set and whose box is `width` by `height` pixels.

    Points outside the limits are left out.
    """
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    points = [point for point in points if left <= point.x <= right and bottom <= point.y <= top]
    for point in points:
        color, shape = point.style
        for x, y in point.runs:
            axes.plot([x], [y], MARKERS[shape][0], color=color, markersize=3.5, alpha=0.35, markeredgewidth=0)
        bar = {"color": color, "linewidth": 1.3, "alpha": 0.55}
        if None not in point.x_bounds:
            axes.hlines(point.y, *point.x_bounds, **bar)
        if None not in point.y_bounds:
            axes.vlines(point.x, *point.y_bounds, **bar)
    for point in points:
        color, shape = point.style
        fill = "none" if point.hollow else color
        axes.plot([point.x], [point.y], MARKERS[shape][0], color=color, markerfacecolor=fill, markersize=8)
    _label_points(axes, points, width, height)


def _label_points(axes, points: list[Point], width: float, height: float) -> None:
    """Put each label near its point where it covers no point and no other label; a thin line leads to far ones."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    pixels = [((p.x - left) / (right - left) * width, (p.y - bottom) / (top - bottom) * height) for p in points]
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in pixels]
    for (x, y), point in sorted(zip(pixels, points, strict=True), key=lambda entry: entry[0]):
        box, radius = _free_box(x, y, CHARACTER * len(point.label) + 2, taken, width, height)
        taken.append(box)
        if radius > 16:
            middle = ((box[0] + box[2]) / 2 - x, (box[1] + box[3]) / 2 - y)
            line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.8}
            axes.annotate("", (point.x, point.y), middle, textcoords="offset points", arrowprops=line)
        shift = (box[0] - x + 1, box[1] - y + 2)
        axes.annotate(point.label, (point.x, point.y), shift, textcoords="offset points", color=point.style[0], size=12)


def _free_box(x: float, y: float, wide: float, taken: list[tuple], width: float, height: float) -> tuple[tuple, float]:
    """Find the box for a label near (x, y) that covers least, and its distance."""
    high, best = 12, None
    for radius in (9, 16, 24, 34, 46):
        for toward_x, toward_y in ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1)):
            x0 = x + toward_x * radius * 0.8 - wide * (1 - toward_x) / 2
            y0 = y + toward_y * radius * 0.8 - high * (1 - toward_y) / 2
            box = (x0, y0, x0 + wide, y0 + high)
            outside = x0 < 0 or y0 < 0 or x0 + wide > width or y0 + high > height
            cost = radius / 10 + 100 * outside + sum(_overlap(box, other) for other in taken)
            if best is None or cost < best[0]:
                best = cost, box, radius
    return best[1:]


def _overlap(one: tuple, other: tuple) -> float:
    """Shared area of two boxes in square pixels."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0) * max(high, 0)


def limits(values, room: float = 0.06, low: float | None = None, high: float | None = None) -> tuple[float, float]:
    """Axis limits with some room around the values, within `low` and `high`."""
    values = [value for value in values if value is not None]
    start, end = (min(values), max(values)) if values else (0.0, 1.0)
    span = max(end - start, 1e-9 + 0.02 * abs(end)) or 1.0
    start, end = start - room * span, end + room * span
    return (start if low is None else max(start, low), end if high is None else min(end, high))


def arm_names(view: View) -> tuple[list[str], float]:
    """Names of the arms as row labels, and their width in pixels."""
    names = [shorten(named(view, arm), 22) for arm in view.arms]
    return names, 12 + CHARACTER * max(map(len, names))


def label_rows(axes, names: list[str]) -> None:
    """Make the axes a list of rows from top to bottom."""
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
