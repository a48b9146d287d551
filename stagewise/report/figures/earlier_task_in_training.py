"""Earlier tasks on validation while a later stage is trained: when does the model forget? A picture per arm."""

from stagewise.report.figures.axes import Line, draw_lines, limit_steps, limits, mean_line
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.style import SMALL, arm_style, shorten
from stagewise.report.figures.svg import INK, MUTED, Key, Picture, picture, variable
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables.number_format import listed

HEIGHT, MARGINS = 140, (34, 8, 8, 24)

OPEN = 4
"""Panels that the page does not fold away."""

COLUMNS = ("arms", "lineage", "fold", "seed", "stage", "stage_tasks", "task", "measure", "step", "value")

Log = list[tuple[int, float]]


def compute(view: View):
    """An earlier task's validation scores over the steps of every later stage, log by log."""
    rows = []
    stages: dict[tuple[int, str], list[str]] = {}
    for lineages in view.by_stage_path().values():
        adapter = view.adapters[lineages[0]]
        stages.setdefault((adapter.stage, adapter.task), []).extend(lineages)
    for _, lineages in sorted(stages.items()):
        for task in view.tasks:
            for measure in view.of_tasks.measures_of(task):
                for lineage in lineages:
                    adapter, log = view.adapters[lineage], view.logs.get(lineage)
                    keys = " ".join(adapter.arms), lineage, adapter.fold, adapter.seed, adapter.stage, adapter.task
                    points = sorted(log.get("validation", f"{measure}:{task}")) if log else []
                    rows += [(*keys, task, measure, step, value) for step, value in points]
    return frame(COLUMNS, rows)


def draw(view: View, data) -> Drawing:
    """Draw each later stage and earlier task: of several arms a small picture each, of one a picture per measure."""
    if view.several_arms or view.compact:
        # The first of each task's measures that is logged; the others are among the numbers.
        first = {
            task: next(m for m in view.of_tasks.measures_of(task) if m in set(rows.measure))
            for task, rows in groups(data, "task")
        }
        data = data[data.measure == data.task.map(first)]
    panels = []
    for (stage, learnt, task), rows in groups(data, "stage", "stage_tasks", "task"):
        heading = f"{task} while stage {stage} learns {learnt}"
        make = _draw_arms if view.several_arms else _draw_measures
        panels.append((heading, make(view, heading, rows)))
    sizes = listed(f"{s.items} of {s.task}" for s in view.metrics.splits if s.split == "validation")
    caption = (
        f"When does it forget? An earlier task on its validation items ({sizes}) during a later stage; step 0 is "
        "before the stage. "
    )
    if view.several_arms:
        caption += f"Here: {panels[0][0]}. " if len(panels) == 1 else ""  # one panel has no heading
        caption += (
            f"A picture per arm, all on the same axes: {_logged_measures(view, data)}, over optimizer steps. Grey: "
            f"{view.named_reference}. "
        )
        if any(adapter.sources for adapter in view.adapters.values()):
            caption += "Of an arm that merges adapters: the training before the merge. "
    caption += "Thick: the mean over runs; faint: single runs. " if view.several_runs else ""
    caption += "No intervals: validation splits are small, so read the shape and not the single point."
    caption += view.direction_note(set(data.measure))
    legend = [Key("the arm", variable(INK), dashes=""), Key("its reference", variable(MUTED), dashes="")]
    if not view.several_arms:
        return Drawing(caption, panels, [], OPEN)
    return Drawing(caption, panels, legend, OPEN, style="small")


def _logged_measures(view: View, data) -> str:
    """The measures of the pictures in a caption."""
    if not view.of_tasks.are_mixed:
        return view.primary.axis
    named = [f"{view.measures[name].title} of {task}" for (task, name), _ in groups(data, "task", "measure")]
    return listed(named) + (", %" if all(view.measures[name].is_share for name in data.measure) else "")


def _draw_measures(view: View, heading: str, rows) -> list[Picture]:
    """A picture per measure of the one arm."""
    pictures = []
    for name, of_measure in groups(rows, "measure"):
        measure = view.measures[name]
        logs = _logs(of_measure, measure)
        style, mean = arm_style(view, view.arms), mean_line(list(logs.values()))
        lines = [Line(view.arms[0], style, mean, tuple(logs.values()) if len(logs) > 1 else ())] if mean else []
        title = f"{measure.heading} on {heading}"
        texts = f"during-{heading}-{name}", f"{measure.heading} on {rows.task.iloc[0]}", title
        pictures.append(measure.fold(draw_lines(*texts, measure.axis, lines, measure.limits)))
    return pictures


def _logs(rows, measure: ShownMeasure) -> dict[str, Log]:
    """Logs by lineage, in the units of an axis."""
    return {
        lineage: [(row.step, measure.scale * row.value) for row in log.itertuples()]
        for lineage, log in groups(rows, "lineage")
    }


def _draw_arms(view: View, heading: str, rows) -> list[Picture]:
    """A picture per arm on the same axes, each with its reference arm in grey."""
    logs = _logs(rows, view.measures[rows.measure.iloc[0]])
    by_arm = {arm: {name: log for name, log in logs.items() if arm in view.adapters[name].arms} for arm in view.arms}
    points = [point for log in logs.values() for point in log]
    return [
        _draw_arm(view, (heading, rows.measure.iloc[0]), arm, own, by_arm[view.reference_of(arm)], points)
        for arm, own in by_arm.items()
        if mean_line(list(own.values()))
    ]


def _draw_arm(view: View, panel: tuple[str, str], arm: str, logs: dict[str, Log], reference, points) -> Picture:
    """Draw one arm's logs over those of its reference; `points` of all arms set the limits.

    `panel` is its heading and the measure.
    """
    heading, name = panel
    measure, (color, _) = view.measures[name], arm_style(view, [arm])
    mean, grey = mean_line(list(logs.values())), mean_line(list(reference.values()))
    low, high = limits([value for _, value in points], room=0.08, low=measure.limits[0], high=measure.limits[1])

    def draw_on(axes):
        axes.grid(axis="y")
        if grey and reference is not logs:
            axes.plot(*zip(*grey, strict=True), color=MUTED, linewidth=1.8, alpha=0.8)
        for log in logs.values() if len(logs) > 1 else ():
            axes.plot(*zip(*log, strict=True), color=color, linewidth=1, alpha=0.3)
        axes.plot(*zip(*mean, strict=True), color=color, linewidth=1.8)
        limit_steps(axes, measure.axis, [], [step for step, _ in points])
        axes.set_ylim(low, high)
        axes.locator_params(nbins=4)

    caption = shorten(f"{view.number(arm)} {arm}", 40)
    if reference is not logs and reference.keys() == logs.keys():
        caption += ", the same training as its reference"
    (first, start), (last, end) = mean[0], mean[-1]
    spoken = f"{arm} {start:.3g} at step {first} to {end:.3g} at step {last}."
    texts = caption, f"{measure.heading} of {arm} on {heading}", spoken
    return picture(f"during-{heading}-{arm}", texts, SMALL, HEIGHT, draw_on, MARGINS)


FIGURE = Figure("When does it forget?", "forgotten", compute, draw)
