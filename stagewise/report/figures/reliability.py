"""Reliability diagrams: confidence against the share of right answers."""

import numpy as np

from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.svg import MUTED, RULE, SERIES, Picture, picture
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import count, percent

COLUMNS = ("lineage", "task", "split", "low", "high", "items", "confidence", "accuracy")


def compute(view: View):
    """Calibration bins of the base models and every adapter on every task."""
    rows, edges = [], np.linspace(0, 1, view.experiment.calibration_bins + 1).tolist()
    for task in view.scored_tasks:
        for lineage in (*view.untuned, *view.adapters):
            answers = view.predictions(lineage, task, view.main_split)
            for entry in answers.calibration if answers else ():
                bounds = *edges[entry.bin : entry.bin + 2], entry.items, entry.confidence, entry.right / entry.items
                rows.append((lineage, task, view.main_split, *bounds))
    return frame(COLUMNS, rows)


def draw(view: View, data) -> Drawing:
    """Draw a picture per task and adapter; of many adapters those of the reference arm, their runs in one picture."""
    if view.compact:
        shown = [
            view.base_of(view.reference),
            *(name for name, adapter in view.adapters.items() if view.reference in adapter.arms),
        ]
        data = data[data.lineage.isin(shown)]
    path = data.lineage.map(view.stage_path) if view.compact else data.lineage
    panels = [
        (f"Reliability on {task}", [_draw_bins(view, rows) for _, rows in groups(of_task, "path")])
        for task, of_task in groups(data.assign(path=path), "task")
    ]
    items = ", ".join(f"{view.items(task, view.main_split)} items of {task}" for task in data.task.unique())
    caption = (
        f"Reliability on the {view.main_split} split ({items}): how often the most probable label is right, against "
        "its probability. Dots grow with the items in their bin; on the dashed line confidence and accuracy agree. No "
        "intervals."
    )
    if view.compact and view.several_arms:
        caption += f" Of the arms, {view.reference} is drawn; the numbers hold all."
    if view.compact and view.several_runs:
        caption += f" The dots of {view.over_runs()} stand in one drawing."
    return Drawing(caption, panels)


def _draw_bins(view: View, bins) -> Picture:
    entries = list(bins.itertuples())
    lineage, single = entries[0].lineage, bins.lineage.nunique() == 1
    fullest = max(entry.items for entry in entries)

    def draw(axes):
        axes.set(xlim=(0, 100), ylim=(0, 100), xticks=range(0, 101, 25), yticks=range(0, 101, 25))
        axes.set(xlabel="Confidence, %", ylabel="Right, %")
        axes.grid()
        axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1.5, linestyle=(0, (6, 3)))
        for entry in entries:
            x, y = 100 * entry.confidence, 100 * entry.accuracy
            if single:
                axes.plot([x, x], [x, y], color=RULE, linewidth=3)
            size = 4 + 8 * (entry.items / fullest) ** 0.5
            style = {"color": SERIES[0], "alpha": 0.85 if single else 0.5, "clip_on": False}
            axes.plot([x], [y], "o", markersize=size, **style)

    adapter = lineage in view.adapters
    name = view.title(lineage) if single or not adapter else f"after {view.stage_path(lineage)}"
    spoken = ", ".join(
        f"{percent(e.accuracy)}% right at {percent(e.confidence)}% ({count(e.items)} items)" for e in entries
    )
    texts = name, f"Reliability of {name} on {entries[0].task}", f"{entries[0].split} split: {spoken}."
    return picture(f"reliability-{entries[0].task}-{lineage}", texts, 224, 210, draw, (48, 14, 10, 44))


FIGURE = Figure("Reliability diagrams", "calibration", compute, draw)
