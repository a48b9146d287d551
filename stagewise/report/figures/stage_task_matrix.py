"""The stage × task matrix of every arm."""

from stagewise.report.figures.figure import Data, Figure
from stagewise.report.figures.style import MEASURES, named
from stagewise.report.figures.svg import INK, SERIES, Picture, picture
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import percent

CELL = (78, 30)

Cells = dict[tuple[int, str], list]


def heatmap(view: View) -> Figure:
    """Every task's score after every stage, the mean over runs, one drawing per arm and measure."""
    columns = ("arm", "stage", "stage_tasks", "task", "split", "items", "learnt", "measure", "runs", "mean")
    data = Data("stage-task-matrix", columns)
    panels: list[tuple[str, list[Picture]]] = [(name, []) for name in MEASURES.values()]
    for arm in view.arms:
        cells: Cells = {}
        for cell in view.metrics.matrix:
            if (cell.arm, cell.split) == (arm, view.main_split):
                cells.setdefault((cell.stage, cell.task), []).append(cell)
        if not cells:
            continue
        for (_, pictures), measure in zip(panels, MEASURES, strict=True):
            means = {}
            for (stage, task), runs in cells.items():
                first = runs[0]
                means[stage, task] = sum(getattr(run, measure) for run in runs) / len(runs)
                own = (arm, stage, " + ".join(first.stage_tasks), task, first.split, first.items, first.learnt)
                data.add(*own, measure, len(runs), means[stage, task])
            pictures.append(_heatmap(view, arm, measure, cells, means))
    if not view.several_arms:
        panels = [("", [picture for _, pictures in panels for picture in pictures])]
    mean = f", the mean over {view.over_runs()}" if view.several_runs else ""
    caption = (
        f"The stage × task matrix of each arm, {view.main_split} split, in percent{mean}: a row per stage, a column "
        "per task. A frame marks a task that was learnt at that stage or before. No intervals: the tables have them."
    )
    return Figure(
        data, caption, [panel for panel in panels if panel[1]], shown=1 if view.compact else None, style="heat"
    )


def _heatmap(view: View, arm: str, measure: str, cells: Cells, means: dict) -> Picture:
    stages = sorted({stage for stage, _ in cells})
    names = {stage: " + ".join(runs[0].stage_tasks) or "untuned" for (stage, _), runs in cells.items()}
    names = {stage: _short(f"{stage} {name}", 17) for stage, name in names.items()}
    left = 8 + 6.8 * max(map(len, names.values()))

    def draw(axes):
        from matplotlib.patches import Rectangle

        axes.set(xlim=(0, len(view.tasks)), ylim=(len(stages), 0))
        axes.set_xticks([n + 0.5 for n in range(len(view.tasks))], [_short(task, 11) for task in view.tasks])
        axes.set_yticks([n + 0.5 for n in range(len(stages))], [names[stage] for stage in stages])
        axes.tick_params(length=0, labelsize=11)
        axes.xaxis.tick_top()
        for spine in axes.spines.values():
            spine.set_visible(False)
        for (stage, task), runs in cells.items():
            x, y, mean = view.tasks.index(task), stages.index(stage), means[stage, task]
            axes.add_patch(Rectangle((x + 0.02, y + 0.04), 0.96, 0.92, facecolor=SERIES[0], alpha=0.55 * mean, lw=0))
            if runs[0].learnt:
                frame = Rectangle((x + 0.04, y + 0.09), 0.92, 0.82, facecolor="none", edgecolor=INK, lw=1)
                axes.add_patch(frame)
            axes.text(x + 0.5, y + 0.52, percent(mean), ha="center", va="center")

    width, height = left + CELL[0] * len(view.tasks) + 4, 26 + CELL[1] * len(stages)
    spoken = "; ".join(f"after stage {stage} {task} {percent(mean)}%" for (stage, task), mean in means.items())
    caption = named(view, arm) if view.several_arms else MEASURES[measure]
    texts = caption, f"{MEASURES[measure]} of arm {arm} by stage and task", f"{spoken}."
    return picture(f"matrix-{arm}-{measure}", texts, width, height, draw, (left, 4, 22, 4))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
