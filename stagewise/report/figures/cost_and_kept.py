"""Cost against accuracy kept on an earlier task, a point per arm."""

from stagewise.report.figures.axes import Point, draw_points, limits
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.stability_plasticity import MARGINS, WIDTH, describe_runs, task_roles
from stagewise.report.figures.style import arm_keys, arm_style, label
from stagewise.report.figures.svg import Picture, picture
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import percent

HEIGHT = 300

COLUMNS = ("arm", "tokens", "seconds", "task", "split", "kept", "kept_low", "kept_high")

COSTS = {"tokens": ("Tokens read in training, thousands", 1000), "seconds": ("Training time, minutes", 60)}
"""Axis label and divisor by column."""


def compute(view: View):
    """Tokens and seconds of one run of every arm, and its final accuracy on each earlier task."""
    rows = []
    for task in task_roles(view)[1] if view.several_arms else ():
        for cost in view.metrics.costs:
            kept = view.arm_value(cost.arm, task, "accuracy")
            if kept and kept.value is not None:
                bounds = kept.value, kept.low, kept.high
                rows.append((cost.arm, cost.tokens + cost.extra_tokens, cost.seconds, task, view.main_split, *bounds))
    return frame(COLUMNS, rows)


def draw(view: View, data) -> Drawing:
    """Draw each earlier task, a picture per kind of cost."""
    panels = [(task, [_draw_cost(view, task, kind, rows) for kind in COSTS]) for task, rows in groups(data, "task")]
    caption = (
        "What it costs to keep: what one run of an arm reads or takes, shared stages included and what remedies read "
        f"beside counted in, against accuracy on the earlier task after the last stage, {view.main_split} split, with "
        f"intervals{describe_runs(view).split(';')[0]}. Up and to the left is better."
    )
    return Drawing(caption, panels, arm_keys(view))


def _draw_cost(view: View, task: str, kind: str, rows) -> Picture:
    title, divisor = COSTS[kind]
    costs = {row.arm: getattr(row, kind) / divisor for row in rows.itertuples()}
    points = [
        Point(
            costs[row.arm],
            100 * row.kept,
            label(view, row.arm),
            arm_style(view, [row.arm]),
            y_bounds=view.measures["accuracy"].scaled(row.kept_low, row.kept_high),
        )
        for row in rows.itertuples()
    ]

    def draw(axes):
        axes.set(xlabel=title, ylabel=f"Kept: {task}, Accuracy, %")
        axes.set_xlim(0, 1.12 * max([p.x for p in points]) or 1)
        axes.set_ylim(limits([v for p in points for v in (p.y, *p.y_bounds)], low=-2, high=102))
        axes.locator_params(axis="x", nbins=6)
        axes.grid()
        draw_points(axes, points, WIDTH - MARGINS[0] - MARGINS[1], HEIGHT - MARGINS[2] - MARGINS[3])

    spoken = "; ".join(f"{row.arm} {costs[row.arm]:.4g}, {percent(row.kept)}%" for row in rows.itertuples())
    texts = title, f"{title}, against accuracy kept on {task}", f"{spoken}."
    return picture(f"cost-{task}-{kind}", texts, WIDTH, HEIGHT, draw, MARGINS)


FIGURE = Figure("What keeping costs", "cost", compute, draw)
