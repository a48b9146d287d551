"""The stage × task matrix of every arm."""

from stagewise.report.figures.axes import CHARACTER
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.style import named, shorten
from stagewise.report.figures.svg import INK, SERIES, Picture, picture
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure

CELL = (78, 30)
"""Width and height of a cell in pixels."""

COLUMNS = ("arm", "stage", "stage_tasks", "task", "split", "items", "learnt", "measure", "runs", "mean")


def compute(view: View):
    """Score on every task after every stage of every arm, the mean over runs."""
    rows, split = [], view.main_split
    for arm in view.arms:
        stages = list(zip(*(view.steps(arm, run) for run in view.runs), strict=True))
        for measure in view.measures:
            learnt: set[str] = set()
            for by_run in stages:
                learnt |= set(by_run[0].tasks)
                for task in view.tasks:
                    lineages = [step.answers[task] for step in by_run]
                    values = [view.value(lineage, task, split, measure) for lineage in lineages]
                    if any(value is None or value.value is None for value in values):
                        continue
                    items = view.predictions(lineages[0], task, split).items
                    keys = arm, by_run[0].stage, " + ".join(by_run[0].tasks), task, split, items, task in learnt
                    mean = sum(value.value for value in values) / len(values)
                    rows.append((*keys, measure, len(values), mean))
    return frame(COLUMNS, rows)


def draw(view: View, data) -> Drawing:
    """Draw each measure, a picture per arm."""
    if view.compact:
        data = data[data.measure == view.primary.name]  # the other measures are among the numbers
    shown = [name for name, rows in groups(data, "measure") if rows.task.nunique() > 1 or data.task.nunique() == 1]
    data = data[data.measure.isin(shown)]  # a measure of one task alone has no matrix
    panels = [
        (
            view.measures[name].heading,
            [_draw_matrix(view, arm, view.measures[name], cells) for arm, cells in groups(rows, "arm")],
        )
        for name, rows in groups(data, "measure")
    ]
    if not view.several_arms:
        panels = [("", [picture for _, pictures in panels for picture in pictures])]
    mean = f", the mean over {view.over_runs()}" if view.several_runs else ""
    caption = (
        f"The stage × task matrix of each arm, {view.main_split} split, shares in percent{mean}: a row per stage, a "
        "column per task in the order in which the arm learnt them. A frame marks a task that was learnt at that stage "
        f"or before. No intervals: the tables have them.{view.direction_note(set(data.measure))}"
    )
    return Drawing(caption, panels, style="heat")


def _draw_matrix(view: View, arm: str, measure: ShownMeasure, cells) -> Picture:
    names = {cell.stage: shorten(f"{cell.stage} {cell.stage_tasks or 'untuned'}", 17) for cell in cells.itertuples()}
    stages = sorted(names)
    tasks = [task for task in view.order(arm) if task in set(cells.task)]
    left = 8 + CHARACTER * max(map(len, names.values()))

    def draw(axes):
        from matplotlib.patches import Rectangle

        low, high = measure.range
        axes.set(xlim=(0, len(tasks)), ylim=(len(stages), 0))
        axes.set_xticks([n + 0.5 for n in range(len(tasks))], [shorten(task, 11) for task in tasks])
        axes.set_yticks([n + 0.5 for n in range(len(stages))], [names[stage] for stage in stages])
        axes.tick_params(length=0, labelsize=11)
        axes.xaxis.tick_top()
        for spine in axes.spines.values():
            spine.set_visible(False)
        for cell in cells.itertuples():
            x, y = tasks.index(cell.task), stages.index(cell.stage)
            shade = {"facecolor": SERIES[0], "alpha": 0.55 * (cell.mean - low) / (high - low), "lw": 0}
            axes.add_patch(Rectangle((x + 0.02, y + 0.04), 0.96, 0.92, **shade))
            if cell.learnt:
                frame = Rectangle((x + 0.04, y + 0.09), 0.92, 0.82, facecolor="none", edgecolor=INK, lw=1)
                axes.add_patch(frame)
            axes.text(x + 0.5, y + 0.52, measure.write(cell.mean), ha="center", va="center")

    width, height = left + CELL[0] * len(tasks) + 4, 26 + CELL[1] * len(stages)
    spoken = "; ".join(
        f"after stage {cell.stage} {cell.task} {measure.spoken(cell.mean)}" for cell in cells.itertuples()
    )
    caption = named(view, arm) if view.several_arms else measure.heading
    texts = caption, f"{measure.heading} of arm {arm} by stage and task", f"{spoken}."
    drawn = picture(f"matrix-{arm}-{measure.name}", texts, width, height, draw, (left, 4, 22, 4))
    return measure.fold(drawn)


FIGURE = Figure("Every task after every stage", "arms", compute, draw)
