"""Trade-off curves: what each setting that a sweep tried kept and learnt, a picture per arm."""

from itertools import product

from stagewise.metrics.schema import Variant
from stagewise.report.figures.axes import Point, draw_points, limits
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.stability_plasticity import compared_orders
from stagewise.report.figures.style import SMALL, arm_style, shorten
from stagewise.report.figures.svg import INK, MARKERS, MUTED, Key, Picture, picture, variable
from stagewise.report.lookup import View

HEIGHT, MARGINS = 170, (34, 8, 6, 24)

MAX_LABEL = 8
"""Characters of a swept value beside its point."""

OPEN = 2
"""Pairs of tasks that the page does not fold away."""

COLUMNS = ("order", "arm", "setting", "chosen", "measure", "split", "validation", "task_learnt", "learnt")
COLUMNS += ("learnt_low", "learnt_high", "task_kept", "kept", "kept_low", "kept_high")


def compute(view: View):
    """Final scores of every setting on a learnt and a kept task, in the order of the swept value."""
    rows = []
    for order, arms, last, earlier in compared_orders(view, arms_needed=1) if view.metrics.variants else ():
        for kept, learnt, measure, arm in product(earlier, last, view.measures, arms):
            for variant in in_order(view.select("variants", arm=arm)):
                x, y = (variant.final.get(task, {}).get(measure) for task in (learnt, kept))
                if all(value and value.value is not None for value in (x, y)):
                    keys = order, arm, variant.variant, variant.chosen, measure, view.main_split
                    bounds = x.value, x.low, x.high, kept, y.value, y.low, y.high
                    rows.append((*keys, variant.validation.value, learnt, *bounds))
    return frame(COLUMNS, rows)


def in_order(variants: list[Variant]) -> list[Variant]:
    """Settings in the order of the swept value, if one key is swept and its values are numbers; else as declared."""
    values = [swept_value(variant.variant) for variant in variants]
    if None in values:
        return variants
    return [variant for _, variant in sorted(zip(values, variants, strict=True), key=lambda pair: pair[0])]


def swept_value(setting: str) -> float | None:
    """Value of a setting such as ``strength=0.1``; None if several keys are swept or it is no number."""
    try:
        return float(setting.partition("=")[2])
    except ValueError:
        return None


def draw(view: View, data) -> Drawing:
    """Draw each pair of tasks of each order, a picture per arm, all on the same axes."""
    panels = []
    primary = data[data.measure == view.primary.name]
    for (order, kept, learnt), rows in groups(primary, "order", "task_kept", "task_learnt"):
        heading = f"{kept} kept, {learnt} learnt" + (f" ({order})" if len(view.orders) > 1 else "")
        ends = _limits(view, rows)
        panels.append((heading, [_draw_arm(view, of_arm, ends) for _, of_arm in groups(rows, "arm")]))
    caption = (
        f"Every setting that was tried, {view.primary.axis}: to the right what the last stage was to teach, upwards "
        f"what was to be kept, both after the arm's last stage on the {view.main_split} split, all pictures on the "
        "same axes. Full: the setting that validation chose; hollow: the others, of which nothing is claimed; joined "
        "in the order of the swept value where one number is swept. "
    )
    caption += f"Here: {panels[0][0]}. " if len(panels) == 1 else ""  # one panel has no heading
    caption += f"Grey: the chosen setting of {view.named_reference}. " if view.several_arms else ""
    caption += "Intervals are in the table."
    legend = [
        Key("chosen on validation", variable(INK), MARKERS[0][1], ""),
        Key("tried, not chosen", variable(INK), MARKERS[0][1], hollow=True),
    ]
    return Drawing(caption, panels, legend, OPEN, style="small")


def _limits(view: View, rows) -> list[tuple[float, float]]:
    """Limits of both axes, for all arms and their references."""
    points = [view.primary.scaled(row.learnt, row.kept) for row in rows.itertuples()]
    points += filter(None, (_reference_point(view, arm, of_arm) for arm, of_arm in groups(rows, "arm")))
    return [limits(values, room=0.12) for values in zip(*points, strict=True)]


def _draw_arm(view: View, rows, ends: list[tuple[float, float]]) -> Picture:
    """Draw one arm's settings; `ends` are the limits of both axes."""
    arm, measure = rows.arm.iloc[0], view.primary
    color, shape = arm_style(view, [arm])
    marks = [(*measure.scaled(row.learnt, row.kept), row.setting, row.chosen) for row in rows.itertuples()]
    grey = _reference_point(view, arm, rows)
    joined = all(swept_value(setting) is not None for *_, setting, _ in marks)
    points = [
        Point(x, y, shorten(setting.partition("=")[2], MAX_LABEL) if joined else "", (color, shape), hollow=not chosen)
        for x, y, setting, chosen in marks
    ]

    def draw(axes):
        axes.set(xlim=ends[0], ylim=ends[1])
        axes.locator_params(nbins=4)
        axes.grid()
        if grey:
            axes.plot(*[[value] for value in grey], MARKERS[0][0], color=MUTED, markersize=8, alpha=0.7)
        if joined:
            axes.plot(*zip(*(mark[:2] for mark in marks), strict=True), color=color, linewidth=1.2, alpha=0.6)
        draw_points(axes, points, SMALL - MARGINS[0] - MARGINS[1], HEIGHT - MARGINS[2] - MARGINS[3])

    spoken = "; ".join(
        f"{setting}{' (chosen)' if chosen else ''} {x:.1f} and {y:.1f}" for x, y, setting, chosen in marks
    )
    learnt, kept = rows.task_learnt.iloc[0], rows.task_kept.iloc[0]
    title = f"{measure.heading} of {arm} kept on {kept} against learnt on {learnt}, setting by setting"
    name = f"settings-{rows.order.iloc[0]}-{learnt}-{kept}-{arm}"
    caption = shorten(f"{view.number(arm)} {arm}" if view.several_arms else arm, 40)
    return picture(name, (caption, title, f"{spoken}."), SMALL, HEIGHT, draw, MARGINS)


def _reference_point(view: View, arm: str, rows) -> tuple[float, float] | None:
    """Final scores of an arm's reference on the axes; None for the reference itself."""
    reference = view.reference_of(arm)
    values = [view.arm_value(reference, rows[task].iloc[0], view.primary.name) for task in ("task_learnt", "task_kept")]
    if reference == arm or any(value is None or value.value is None for value in values):
        return None
    return view.primary.scaled(*(value.value for value in values))


FIGURE = Figure("Trade-off curves", "tried", compute, draw)
