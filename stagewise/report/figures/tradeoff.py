"""Stability against plasticity, and what keeping costs: one point per arm."""

from stagewise.lineage import BASE
from stagewise.metrics.schema import ArmTask, Spread
from stagewise.report.figures.figure import Data, Figure
from stagewise.report.figures.points import Point, draw_points, limits
from stagewise.report.figures.style import MEASURES, arm_keys, arm_style, label
from stagewise.report.figures.svg import MARKERS, MUTED, Key, Picture, picture, variable
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import percent

WIDTH, HEIGHT, MARGINS = 440, 380, (52, 14, 12, 46)

COLUMNS = ("arm", "fold", "seed", "measure", "split", "task_learnt", "learnt", "learnt_low", "learnt_high")

COLUMNS += ("task_kept", "kept", "kept_low", "kept_high")

COSTS = {"tokens": "Tokens read in training, thousands", "seconds": "Training time, minutes"}


def roles(view: View) -> tuple[list[str], list[str]]:
    """Tasks that the reference arm learnt at its last stage, and those it learnt earlier.

    Where the reference has one stage alone, the first arm with several says so instead.
    """
    for arm in dict.fromkeys([view.reference, *view.arms]):
        earlier = {
            task: r.earlier for task in view.tasks if (r := final(view, arm, task, "accuracy")) and r.learnt_stage
        }
        if any(earlier.values()):
            return [task for task in earlier if not earlier[task]], [task for task in earlier if earlier[task]]
    return [], []


def tradeoff(view: View) -> Figure:
    """What was learnt against what was kept, a drawing for each pair of tasks and each measure."""
    data = Data("stability-plasticity", COLUMNS)
    last, earlier = roles(view)
    panels = []
    for kept in earlier:
        for learnt in last:
            drawn = [_tradeoff(view, data, learnt, kept, measure) for measure in MEASURES]
            panels.append((f"{kept} kept, {learnt} learnt", [picture for picture in drawn if picture]))
    caption = (
        "Stability against plasticity: to the right what the last stage was to teach, upwards what was to be kept, "
        f"both after the arm's last stage on the {view.main_split} split. Up and to the right is better. Bars are "
        f"{100 * view.experiment.confidence:g}% intervals{_runs(view)}. Dashed lines: the majority class; hollow: the "
        "untuned model; each only where it lies inside the picture."
    )
    return Figure(data, caption, [panel for panel in panels if panel[1]], _legend(view))


def _runs(view: View) -> str:
    if view.several_runs:
        return f" over items and {view.over_runs()} together; small points are single runs"
    return " over items; training noise is not measured with one run"


def _legend(view: View) -> list[Key]:
    return [*arm_keys(view), Key("untuned base model", variable(MUTED), MARKERS[0][1], hollow=True)]


def final(view: View, arm: str, task: str, measure: str, rule: str = "argmax") -> ArmTask | None:
    """An arm's record of one task on the main split."""
    wanted = arm, task, measure, rule, view.main_split
    return next((r for r in view.metrics.arm_tasks if (r.arm, r.task, r.measure, r.rule, r.split) == wanted), None)


def _scaled(spread: Spread) -> tuple[float | None, float | None]:
    return tuple(None if bound is None else 100 * bound for bound in (spread.both.low, spread.both.high))


def _tradeoff(view: View, data: Data, learnt: str, kept: str, measure: str) -> Picture | None:
    points, spoken = [], []
    for arm in view.arms:
        x, y = final(view, arm, learnt, measure), final(view, arm, kept, measure)
        if x is None or y is None or x.final.value is None or y.final.value is None:
            continue
        x, y = x.final, y.final
        own = measure, view.main_split, learnt
        data.add(arm, None, None, *own, x.value, x.both.low, x.both.high, kept, y.value, y.both.low, y.both.high)
        runs = []
        if view.several_runs:
            for (fold, seed), one, other in zip(view.runs, x.values, y.values, strict=False):
                data.add(arm, fold, seed, *own, one, None, None, kept, other, None, None)
                if one is not None and other is not None:
                    runs.append((100 * one, 100 * other))
        style, bounds = arm_style(view, [arm]), (_scaled(x), _scaled(y))
        points.append(Point(100 * x.value, 100 * y.value, label(view, arm), style, *bounds, tuple(runs)))
        spoken.append(f"{arm} {percent(x.value)}% and {percent(y.value)}%")
    if not points:
        return None
    scores = [view.score(BASE, task, view.main_split) for task in (learnt, kept)]
    if all(scores):
        x, y = (getattr(score, measure) for score in scores)
        bounds = (x.value, x.low, x.high, kept, y.value, y.low, y.high)
        data.add(BASE, None, None, measure, view.main_split, learnt, *bounds)
        points.append(Point(100 * x.value, 100 * y.value, "untuned", (MUTED, 0), hollow=True))
    majority = [view.score("majority", task, view.main_split) for task in (learnt, kept)]
    levels = [100 * getattr(score, measure).value if score else None for score in majority]

    def draw(axes):
        axes.set(xlabel=f"Learnt: {learnt}, {MEASURES[measure]}, %", ylabel=f"Kept: {kept}, {MEASURES[measure]}, %")
        arms = [p for p in points if not p.hollow]
        axes.set_xlim(limits([v for p in arms for v in (p.x, *p.x_bounds, *(r[0] for r in p.runs))], low=-2, high=102))
        axes.set_ylim(limits([v for p in arms for v in (p.y, *p.y_bounds, *(r[1] for r in p.runs))], low=-2, high=102))
        axes.grid()
        spans = (axes.get_xlim(), axes.get_ylim())
        for level, (low, high), line in zip(levels, spans, (axes.axvline, axes.axhline), strict=True):
            if level is not None and low < level < high:
                line(level, color=MUTED, linewidth=1.5, linestyle=(0, (6, 3)))
        draw_points(axes, points, WIDTH - MARGINS[0] - MARGINS[1], HEIGHT - MARGINS[2] - MARGINS[3])

    title = f"{MEASURES[measure]} kept on {kept} against learnt on {learnt}"
    texts = MEASURES[measure], title, f"{'; '.join(spoken)}."
    return picture(f"tradeoff-{learnt}-{kept}-{measure}", texts, WIDTH, HEIGHT, draw, MARGINS)


def cost(view: View) -> Figure:
    """What an arm costs against what it keeps of each earlier task."""
    data = Data("cost-and-kept", ("arm", "tokens", "seconds", "task", "split", "kept", "kept_low", "kept_high"))
    panels = []
    for kept in roles(view)[1]:
        found = []
        for record in view.metrics.costs:
            entry = final(view, record.arm, kept, "accuracy")
            if entry and entry.final.value is not None:
                spread, tokens = entry.final, record.tokens + record.extra_tokens
                bounds = spread.value, spread.both.low, spread.both.high
                data.add(record.arm, tokens, record.seconds, kept, view.main_split, *bounds)
                found.append((record.arm, {"tokens": tokens / 1000, "seconds": record.seconds / 60}, spread))
        if found:
            panels.append((kept, [_cost(view, kept, kind, found) for kind in COSTS]))
    caption = (
        "What it costs to keep: what one run of an arm reads or takes, shared stages included and what remedies read "
        f"beside counted in, against accuracy on the earlier task after the last stage, {view.main_split} split, with "
        f"intervals{_runs(view).split(';')[0]}. Up and to the left is better."
    )
    return Figure(data, caption, panels, arm_keys(view))


def _cost(view: View, kept: str, kind: str, found: list) -> Picture:
    points = [
        Point(costs[kind], 100 * spread.value, label(view, arm), arm_style(view, [arm]), y_bounds=_scaled(spread))
        for arm, costs, spread in found
    ]
    height = 300

    def draw(axes):
        axes.set(xlabel=COSTS[kind], ylabel=f"Kept: {kept}, Accuracy, %")
        axes.set_xlim(0, 1.12 * max([p.x for p in points]) or 1)
        axes.set_ylim(limits([v for p in points for v in (p.y, *p.y_bounds)], low=-2, high=102))
        axes.locator_params(axis="x", nbins=6)
        axes.grid()
        draw_points(axes, points, WIDTH - MARGINS[0] - MARGINS[1], height - MARGINS[2] - MARGINS[3])

    spoken = "; ".join(f"{arm} {costs[kind]:.4g}, {percent(spread.value)}%" for arm, costs, spread in found)
    texts = COSTS[kind], f"{COSTS[kind]}, against accuracy kept on {kept}", f"{spoken}."
    return picture(f"cost-{kept}-{kind}", texts, WIDTH, height, draw, MARGINS)
