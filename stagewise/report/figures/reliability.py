"""Reliability diagrams: confidence against how often it is right."""

from stagewise.lineage import BASE
from stagewise.report.figures.figure import Data, Figure
from stagewise.report.figures.svg import MUTED, RULE, SERIES, Picture, picture
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import count, percent


def reliability(view: View) -> Figure:
    """Share of right answers against confidence, of the base model and every adapter on every task.

    Where there are many adapters, the runs of each stand in one drawing.
    """
    data = Data("reliability", ("lineage", "task", "split", "low", "high", "items", "confidence", "accuracy"))
    panels = []
    for task in view.tasks:
        groups = view.variants().values() if view.compact else [[lineage] for lineage in view.adapters]
        found = []
        for lineages in ([BASE], *groups):
            scores = [score for lineage in lineages if (score := view.score(lineage, task, view.main_split))]
            scores = [score for score in scores if score.calibration]
            for score in scores:
                for entry in score.calibration:
                    bounds = entry.low, entry.high, entry.items, entry.confidence, entry.accuracy
                    data.add(score.lineage, task, score.split, *bounds)
            if scores:
                found.append(_reliability(view, scores))
        if found:
            panels.append((f"Reliability on {task}", found))
    items = ", ".join(f"{view.items(task, view.main_split)} items of {task}" for task in view.tasks)
    caption = (
        f"Reliability on the {view.main_split} split ({items}): how often the most probable label is right, against "
        "its probability. Dots grow with the items in their bin; on the dashed line confidence and accuracy agree. No "
        "intervals."
    )
    if view.compact and view.several_runs:
        caption += f" The dots of {view.over_runs()} stand in one drawing."
    return Figure(data, caption, panels)


def _reliability(view: View, scores: list) -> Picture:
    entries = [entry for score in scores for entry in score.calibration]
    most = max(entry.items for entry in entries)
    first = scores[0]

    def draw(axes):
        axes.set(xlim=(0, 100), ylim=(0, 100), xticks=range(0, 101, 25), yticks=range(0, 101, 25))
        axes.set(xlabel="Confidence, %", ylabel="Right, %")
        axes.grid()
        axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1.5, linestyle=(0, (6, 3)))
        for entry in entries:
            x, y = 100 * entry.confidence, 100 * entry.accuracy
            if len(scores) == 1:
                axes.plot([x, x], [x, y], color=RULE, linewidth=3)
            size = 4 + 8 * (entry.items / most) ** 0.5
            axes.plot([x], [y], "o", markersize=size, color=SERIES[0], alpha=0.85 if len(scores) == 1 else 0.5)

    adapter = first.lineage in view.adapters
    name = f"after {view.variant(first.lineage)}" if len(scores) > 1 and adapter else view.title(first.lineage)
    spoken = ", ".join(
        f"{percent(e.accuracy)}% right at {percent(e.confidence)}% ({count(e.items)} items)" for e in entries
    )
    texts = name, f"Reliability of {name} on {first.task}", f"{first.split} split: {spoken}."
    return picture(f"reliability-{first.task}-{first.lineage}", texts, 220, 210, draw, (48, 10, 10, 44))
