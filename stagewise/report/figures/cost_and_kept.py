"""Cost against the score kept on an earlier task, a point per arm."""

from itertools import product

from stagewise.report.figures.axes import Point, draw_points, limits
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.stability_plasticity import MARGINS, WIDTH, compared_orders
from stagewise.report.figures.style import arm_keys, arm_style, label
from stagewise.report.figures.svg import Picture, picture
from stagewise.report.lookup import View

HEIGHT = 300

COLUMNS = ("order", "arm", "tokens", "seconds", "task", "split", "kept", "kept_low", "kept_high")

COSTS = {"tokens": ("Tokens read in training, thousands", 1000), "seconds": ("Training time, minutes", 60)}
"""Axis label and divisor by column."""


def compute(view: View):
    """Tokens and seconds of one run of every arm, and its final score on each task that its order learnt earlier."""
    rows = []
    for order, arms, _, earlier in compared_orders(view):
        for task, arm in product(earlier, arms):
            kept, cost = view.arm_value(arm, task, view.primary.name), view.find("costs", arm=arm)
            if cost and kept and kept.value is not None:
                bounds = kept.value, kept.low, kept.high
                keys = order, arm, cost.tokens + cost.extra_tokens, cost.seconds, task, view.main_split
                rows.append((*keys, *bounds))
    return frame(COLUMNS, rows)


def draw(view: View, data) -> Drawing:
    """Draw each earlier task of each order, a picture per kind of cost."""
    panels = [
        (
            task + (f" ({order})" if len(view.orders) > 1 else ""),
            [_draw_cost(view, order, task, kind, rows) for kind in COSTS],
        )
        for (order, task), rows in groups(data, "order", "task")
    ]
    caption = (
        "What it costs to keep: what one run of an arm reads or takes, shared stages included and what remedies read "
        f"beside counted in, against {view.name_primary()} on the earlier task after the last stage, {view.main_split} "
        f"split, with intervals ({view.intervals}). Up and to the left is better."
    )
    return Drawing(caption, panels, arm_keys(view))


def _draw_cost(view: View, order: str, task: str, kind: str, rows) -> Picture:
    title, divisor = COSTS[kind]
    costs = {row.arm: getattr(row, kind) / divisor for row in rows.itertuples()}
    points = [
        Point(
            costs[row.arm],
            view.primary.scale * row.kept,
            label(view, row.arm),
            arm_style(view, [row.arm]),
            y_bounds=view.primary.scaled(row.kept_low, row.kept_high),
        )
        for row in rows.itertuples()
    ]

    def draw(axes):
        axes.set(xlabel=title, ylabel=f"Kept: {task}, {view.of_tasks.axis(task)}")
        axes.set_xlim(0, 1.12 * max([p.x for p in points]) or 1)
        low, high = view.primary.limits
        room = 0.02 * (high - low)
        ends = [value for point in points for value in (point.y, *point.y_bounds)]
        axes.set_ylim(limits(ends, low=low - room, high=high + room))
        axes.locator_params(axis="x", nbins=6)
        axes.grid()
        draw_points(axes, points, WIDTH - MARGINS[0] - MARGINS[1], HEIGHT - MARGINS[2] - MARGINS[3])

    spoken = "; ".join(f"{row.arm} {costs[row.arm]:.4g}, {view.primary.spoken(row.kept)}" for row in rows.itertuples())
    texts = title, f"{title}, against {view.primary.title} kept on {task}", f"{spoken}."
    return picture(f"cost-{order}-{task}-{kind}", texts, WIDTH, HEIGHT, draw, MARGINS)


FIGURE = Figure("What keeping costs", "cost", compute, draw)
