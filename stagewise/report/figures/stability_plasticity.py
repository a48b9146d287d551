"""Stability against plasticity: accuracy kept on an earlier task against accuracy on the last one, a point per arm."""

from itertools import product

from stagewise.metrics.schema import MAJORITY
from stagewise.report.figures.axes import Point, draw_points, limits
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.style import arm_keys, arm_style, label
from stagewise.report.figures.svg import MARKERS, MUTED, Key, Picture, picture, variable
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables.number_format import listed

WIDTH, HEIGHT, MARGINS = 440, 380, (52, 14, 12, 46)

COLUMNS = ("order", "arm", "fold", "seed", "measure", "split", "task_learnt", "learnt", "learnt_low", "learnt_high")
COLUMNS += ("task_kept", "kept", "kept_low", "kept_high")


def compared_orders(view: View, arms_needed: int = 2) -> list[tuple[str, list[str], list[str], list[str]]]:
    """Orders of tasks in which several arms learnt: the order, its arms, tasks learnt last, and tasks learnt earlier.

    Arms that learnt the tasks in different orders have other tasks to keep, so they are not compared.
    """
    orders = []
    for order, arms in view.orders.items():
        earlier = {task for arm in arms for task in view.earlier_tasks(arm)}
        last = [task for task in order if task not in earlier]
        if len(arms) >= arms_needed and earlier:
            orders.append((" → ".join(order), arms, last, [task for task in order if task in earlier]))
    return orders


def compute(view: View):
    """Final scores of every arm on a learnt and a kept task: over runs, then run by run, then of the base models."""
    rows = []
    for order, arms, last, earlier in compared_orders(view):
        for kept, learnt, measure in product(earlier, last, view.measures):
            arm_rows = [(order, *row) for arm in arms for row in _arm_rows(view, arm, learnt, kept, measure)]
            rows += arm_rows
            for base in dict.fromkeys(map(view.base_of, arms)):
                x, y = (view.value(base, task, view.main_split, measure) for task in (learnt, kept))
                if arm_rows and all(value and value.value is not None for value in (x, y)):
                    bounds = (x.value, x.low, x.high, kept, y.value, y.low, y.high)
                    rows.append((order, base, None, None, measure, view.main_split, learnt, *bounds))
    return frame(COLUMNS, rows)


def _arm_rows(view: View, arm: str, learnt: str, kept: str, measure: str) -> list[tuple]:
    x, y = (view.arm_value(arm, task, measure) for task in (learnt, kept))
    if any(value is None or value.value is None for value in (x, y)):
        return []
    keys = measure, view.main_split, learnt
    rows = [(arm, None, None, *keys, x.value, x.low, x.high, kept, y.value, y.low, y.high)]
    if view.several_runs:
        sides = [view.answered_by(arm, task) for task in (learnt, kept)]
        for (fold, seed), *lineages in zip(view.runs, *sides, strict=True):
            one, other = (
                view.value(lineage, task, view.main_split, measure).value
                for lineage, task in zip(lineages, (learnt, kept), strict=True)
            )
            rows.append((arm, fold, seed, *keys, one, None, None, kept, other, None, None))
    return rows


def draw(view: View, data) -> Drawing:
    """Draw each pair of tasks of each order, a picture per measure; with many adapters of the primary one alone."""
    if view.compact:
        data = data[data.measure == view.primary.name]  # the other measures are among the numbers
    panels = [
        (
            f"{kept} kept, {learnt} learnt" + (f" ({order})" if len(view.orders) > 1 else ""),
            [_draw_pair(view, order, view.measures[name], rows) for name, rows in groups(pair, "measure")],
        )
        for (order, kept, learnt), pair in groups(data, "order", "task_kept", "task_learnt")
    ]
    caption = (
        "Stability against plasticity: to the right what the last stage was to teach, upwards what was to be kept, "
        f"both after the arm's last stage on the {view.main_split} split. Up and to the right is better"
        f"{_lower_is_better(view, set(data.measure))}. Bars are {100 * view.experiment.confidence:g}% intervals"
        f"{describe_runs(view)}. Dashed lines: the majority class; hollow: the untuned model; each only where it lies "
        "inside the picture."
    )
    if view.metrics.variants:
        caption += " Of an arm with a sweep: the chosen setting; all that were tried stand under “What was tried”."
    legend = [*arm_keys(view), Key("untuned base model", variable(MUTED), MARKERS[0][1], hollow=True)]
    return Drawing(caption, panels, legend)


def _lower_is_better(view: View, names: set[str]) -> str:
    """Name the measures of which the opposite corner is the better one."""
    titles = [m.title for name, m in view.measures.items() if name in names and not m.higher_is_better]
    return f" (of {listed(titles)} down and to the left)" if titles else ""


def describe_runs(view: View) -> str:
    """Say in a caption what the intervals are over."""
    if view.several_runs:
        return f" over items and {view.over_runs()} together; small points are single runs"
    return " over items; training noise is not measured with one run"


def _draw_pair(view: View, order: str, measure: ShownMeasure, rows) -> Picture:
    learnt, kept = rows.task_learnt.iloc[0], rows.task_kept.iloc[0]
    points, base, spoken, scale = [], [], [], measure.scaled
    for arm, of_arm in groups(rows, "arm"):
        mean, *runs = of_arm.itertuples()
        if arm not in view.arms:
            name = view.name(arm) if len(view.untuned) > 1 else "untuned"
            base.append(Point(*scale(mean.learnt, mean.kept), name, (MUTED, 0), hollow=True))
            continue
        bounds = scale(mean.learnt_low, mean.learnt_high), scale(mean.kept_low, mean.kept_high)
        pairs = tuple(scale(run.learnt, run.kept) for run in runs if None not in (run.learnt, run.kept))
        style = arm_style(view, [arm])
        points.append(Point(*scale(mean.learnt, mean.kept), label(view, arm), style, *bounds, pairs))
        spoken.append(f"{arm} {measure.spoken(mean.learnt)} and {measure.spoken(mean.kept)}")
    majority = [view.value(MAJORITY, task, view.main_split, measure.name) for task in (learnt, kept)]
    levels = scale(*(value and value.value for value in majority))

    left = MARGINS[0] + measure.axis_room

    def axis(task: str) -> str:
        return view.of_tasks.axis(task) if measure.name == view.primary.name else measure.axis

    def draw(axes):
        axes.set(xlabel=f"Learnt: {learnt}, {axis(learnt)}", ylabel=f"Kept: {kept}, {axis(kept)}")
        xs = [value for p in points for value in (p.x, *p.x_bounds, *(x for x, _ in p.runs))]
        ys = [value for p in points for value in (p.y, *p.y_bounds, *(y for _, y in p.runs))]
        low, high = measure.limits
        room = 0.02 * (high - low)
        axes.set_xlim(limits(xs, low=low - room, high=high + room))
        axes.set_ylim(limits(ys, low=low - room, high=high + room))
        axes.grid()
        spans = (axes.get_xlim(), axes.get_ylim())
        for level, (low, high), line in zip(levels, spans, (axes.axvline, axes.axhline), strict=True):
            if level is not None and low < level < high:
                line(level, color=MUTED, linewidth=1.5, linestyle=(0, (6, 3)))
        draw_points(axes, [*points, *base], WIDTH - left - MARGINS[1], HEIGHT - MARGINS[2] - MARGINS[3])

    title = f"{measure.heading} kept on {kept} against learnt on {learnt}"
    texts = measure.heading, title, f"{'; '.join(spoken)}."
    name = f"tradeoff-{order}-{learnt}-{kept}-{measure.name}"
    return measure.fold(picture(name, texts, WIDTH, HEIGHT, draw, (left, *MARGINS[1:])))


FIGURE = Figure("Stability against plasticity", "arms", compute, draw, order=-1)
