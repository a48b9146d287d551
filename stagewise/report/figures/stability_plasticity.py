"""Stability against plasticity: accuracy kept on an earlier task against accuracy on the last one, a point per arm."""

from itertools import product

from stagewise.lineage import BASE
from stagewise.report.figures.axes import Point, draw_points, limits
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.style import MEASURES, arm_keys, arm_style, label
from stagewise.report.figures.svg import MARKERS, MUTED, Key, Picture, picture, variable
from stagewise.report.lookup import View, final
from stagewise.report.tables.number_format import percent

WIDTH, HEIGHT, MARGINS = 440, 380, (52, 14, 12, 46)

COLUMNS = ("arm", "fold", "seed", "measure", "split", "task_learnt", "learnt", "learnt_low", "learnt_high")
COLUMNS += ("task_kept", "kept", "kept_low", "kept_high")


def task_roles(view: View) -> tuple[list[str], list[str]]:
    """Tasks that the reference arm learnt at its last stage, and those it learnt earlier.

    If the reference has a single stage, the first arm with several decides.
    """
    for arm in dict.fromkeys([view.reference, *view.arms]):
        records = {task: final(view, arm, task, "accuracy") for task in view.tasks}
        earlier = {task: record.earlier for task, record in records.items() if record and record.learnt_stage}
        if any(earlier.values()):
            return [task for task in earlier if not earlier[task]], [task for task in earlier if earlier[task]]
    return [], []


def compute(view: View):
    """Final scores of every arm on a learnt and a kept task: over runs, then run by run, then of the base model."""
    rows = []
    last, earlier = task_roles(view) if view.several_arms else ([], [])
    for kept, learnt, measure in product(earlier, last, MEASURES):
        arm_rows = [row for arm in view.arms for row in _arm_rows(view, arm, learnt, kept, measure)]
        rows += arm_rows
        base = [view.score(BASE, task, view.main_split) for task in (learnt, kept)]
        if arm_rows and all(base):
            x, y = (getattr(score, measure) for score in base)
            bounds = (x.value, x.low, x.high, kept, y.value, y.low, y.high)
            rows.append((BASE, None, None, measure, view.main_split, learnt, *bounds))
    return frame(COLUMNS, rows)


def _arm_rows(view: View, arm: str, learnt: str, kept: str, measure: str) -> list[tuple]:
    records = [final(view, arm, task, measure) for task in (learnt, kept)]
    if any(record is None or record.final.value is None for record in records):
        return []
    x, y = (record.final for record in records)
    keys = measure, view.main_split, learnt
    bounds = x.value, x.both.low, x.both.high, kept, y.value, y.both.low, y.both.high
    rows = [(arm, None, None, *keys, *bounds)]
    for (fold, seed), one, other in zip(view.runs, x.values, y.values, strict=False) if view.several_runs else ():
        rows.append((arm, fold, seed, *keys, one, None, None, kept, other, None, None))
    return rows


def draw(view: View, data) -> Drawing:
    """Draw each pair of tasks, a picture per measure."""
    panels = [
        (
            f"{kept} kept, {learnt} learnt",
            [_draw_pair(view, learnt, kept, measure, rows) for measure, rows in groups(pair, "measure")],
        )
        for (kept, learnt), pair in groups(data, "task_kept", "task_learnt")
    ]
    caption = (
        "Stability against plasticity: to the right what the last stage was to teach, upwards what was to be kept, "
        f"both after the arm's last stage on the {view.main_split} split. Up and to the right is better. Bars are "
        f"{100 * view.experiment.confidence:g}% intervals{describe_runs(view)}. Dashed lines: the majority class; "
        "hollow: the untuned model; each only where it lies inside the picture."
    )
    legend = [*arm_keys(view), Key("untuned base model", variable(MUTED), MARKERS[0][1], hollow=True)]
    return Drawing(caption, panels, legend)


def describe_runs(view: View) -> str:
    """Say in a caption what the intervals are over."""
    if view.several_runs:
        return f" over items and {view.over_runs()} together; small points are single runs"
    return " over items; training noise is not measured with one run"


def scale(*values: float | None) -> tuple[float | None, ...]:
    """Shares in percent; missing ones stay missing."""
    return tuple(None if value is None else 100 * value for value in values)


def _draw_pair(view: View, learnt: str, kept: str, measure: str, rows) -> Picture:
    points, base, spoken = [], [], []
    for arm, of_arm in groups(rows, "arm"):
        mean, *runs = of_arm.itertuples()
        if arm not in view.arms:
            base.append(Point(*scale(mean.learnt, mean.kept), "untuned", (MUTED, 0), hollow=True))
            continue
        bounds = scale(mean.learnt_low, mean.learnt_high), scale(mean.kept_low, mean.kept_high)
        pairs = tuple(scale(run.learnt, run.kept) for run in runs if None not in (run.learnt, run.kept))
        style = arm_style(view, [arm])
        points.append(Point(*scale(mean.learnt, mean.kept), label(view, arm), style, *bounds, pairs))
        spoken.append(f"{arm} {percent(mean.learnt)}% and {percent(mean.kept)}%")
    majority = [view.score("majority", task, view.main_split) for task in (learnt, kept)]
    levels = [100 * getattr(score, measure).value if score else None for score in majority]

    def draw(axes):
        axes.set(xlabel=f"Learnt: {learnt}, {MEASURES[measure]}, %", ylabel=f"Kept: {kept}, {MEASURES[measure]}, %")
        xs = [value for p in points for value in (p.x, *p.x_bounds, *(x for x, _ in p.runs))]
        ys = [value for p in points for value in (p.y, *p.y_bounds, *(y for _, y in p.runs))]
        axes.set_xlim(limits(xs, low=-2, high=102))
        axes.set_ylim(limits(ys, low=-2, high=102))
        axes.grid()
        spans = (axes.get_xlim(), axes.get_ylim())
        for level, (low, high), line in zip(levels, spans, (axes.axvline, axes.axhline), strict=True):
            if level is not None and low < level < high:
                line(level, color=MUTED, linewidth=1.5, linestyle=(0, (6, 3)))
        draw_points(axes, [*points, *base], WIDTH - MARGINS[0] - MARGINS[1], HEIGHT - MARGINS[2] - MARGINS[3])

    title = f"{MEASURES[measure]} kept on {kept} against learnt on {learnt}"
    texts = MEASURES[measure], title, f"{'; '.join(spoken)}."
    return picture(f"tradeoff-{learnt}-{kept}-{measure}", texts, WIDTH, HEIGHT, draw, MARGINS)


FIGURE = Figure("Stability against plasticity", "result", compute, draw)
