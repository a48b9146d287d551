"""Points with intervals in both directions, labelled so that none covers another."""

from typing import NamedTuple

from stagewise.report.figures.svg import MARKERS, MUTED

Bounds = tuple[float | None, float | None]


class Point(NamedTuple):
    """One point in the axes' units; bounds are None where there is no interval."""

    x: float
    y: float
    label: str
    style: tuple[str, int]
    x_bounds: Bounds = (None, None)
    y_bounds: Bounds = (None, None)
    runs: tuple[tuple[float, float], ...] = ()
    hollow: bool = False


def draw_points(axes, points: list[Point], width: float, height: float) -> None:
    """Draw the points on axes whose limits are set and whose box is `width` by `height` pixels.

    What lies outside the limits is left out.
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
    _labels(axes, points, width, height)


def _labels(axes, points: list[Point], width: float, height: float) -> None:
    """Put each label where it covers no point and no other label, near its point; a thin line leads to far ones."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    at = [((p.x - left) / (right - left) * width, (p.y - bottom) / (top - bottom) * height) for p in points]
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in at]
    for (x, y), point in sorted(zip(at, points, strict=True), key=lambda entry: entry[0]):
        wide, high = 6.8 * len(point.label) + 2, 12
        best = None
        for radius in (9, 16, 24, 34, 46):
            for toward_x, toward_y in ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1)):
                x0 = x + toward_x * radius * 0.8 - wide * (1 - toward_x) / 2
                y0 = y + toward_y * radius * 0.8 - high * (1 - toward_y) / 2
                box = (x0, y0, x0 + wide, y0 + high)
                outside = x0 < 0 or y0 < 0 or x0 + wide > width or y0 + high > height
                cost = radius / 10 + 100 * outside + sum(_overlap(box, other) for other in taken)
                if best is None or cost < best[0]:
                    best = cost, box, radius
        _, box, radius = best
        taken.append(box)
        if radius > 16:
            middle = ((box[0] + box[2]) / 2 - x, (box[1] + box[3]) / 2 - y)
            line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.8}
            axes.annotate("", (point.x, point.y), middle, textcoords="offset points", arrowprops=line)
        place = (box[0] - x + 1, box[1] - y + 2)
        axes.annotate(point.label, (point.x, point.y), place, textcoords="offset points", color=point.style[0], size=12)


def _overlap(one: tuple, other: tuple) -> float:
    """Shared area of two boxes in square pixels."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0) * max(high, 0)


def limits(values, room: float = 0.06, low: float | None = None, high: float | None = None) -> tuple[float, float]:
    """Axis limits with some room around the values, within `low` and `high`."""
    values = [value for value in values if value is not None]
    least, most = (min(values), max(values)) if values else (0.0, 1.0)
    span = max(most - least, 1e-9 + 0.02 * abs(most)) or 1.0
    least, most = least - room * span, most + room * span
    return (least if low is None else max(least, low), most if high is None else min(most, high))
