"""Recall of each label of a task with many, in the order of recall, of the untuned model and of the reference arm."""

from stagewise.lineage import BASE
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.svg import MARKERS, MUTED, SERIES, Key, Picture, picture, variable
from stagewise.report.lookup import View
from stagewise.report.tables.scores import few_labels, with_labels

WIDTH, HEIGHT, MARGINS = 440, 230, (52, 14, 10, 44)

COLUMNS = ("lineage", "stage", "task", "split", "label", "items", "answered", "precision", "recall", "f1")

LINES = {"untuned": (MUTED, 3), "learnt": (SERIES[0], 0), "last": (SERIES[1], 1)}
"""Colour and marker of the untuned model and of the reference arm after two stages."""


def compute(view: View):
    """Every label of every such task, of the untuned model and of every adapter."""
    rows = []
    for task in with_labels(view):
        for lineage in (BASE, *view.adapters) if not few_labels(view, task) else ():
            if score := view.score(lineage, task, view.main_split):
                stage = view.adapters[lineage].stage if lineage in view.adapters else 0
                keys = lineage, stage, task, view.main_split
                for entry in score.labels:
                    rates = entry.precision, entry.recall.value, entry.f1.value
                    rows.append((*keys, entry.label, entry.support, entry.predicted, *rates))
    return frame(COLUMNS, rows)


def draw(view: View, data) -> Drawing:
    """Draw a picture per task."""
    pictures = [_draw_task(view, task, rows) for task, rows in groups(data, "task")]
    run = f", {view.run(view.steps(view.reference)[-1].lineage)}" if view.several_runs else ""
    caption = (
        f"Recall of each label that some item of the {view.main_split} split has, every line from its lowest to its "
        f"highest: how many labels are told apart. Of the arms, {view.reference} is drawn{run}; the numbers hold every "
        "label of every adapter. No intervals."
    )
    texts = {"untuned": "untuned model", "learnt": "when learnt", "last": "at the end"}
    drawn = {name for task in data.task.unique() for name in _drawn(view, task)}
    keys = [
        Key(texts[name], variable(color), MARKERS[shape][1], "")
        for name, (color, shape) in LINES.items()
        if name in drawn
    ]
    return Drawing(caption, [("", pictures)], keys)


def _draw_task(view: View, task: str, rows) -> Picture:
    recalls = {}
    for name, lineage in _drawn(view, task).items():
        of_lineage = rows[(rows.lineage == lineage) & rows.recall.notna()]
        recalls[name] = sorted(100 * recall for recall in of_lineage.recall)

    def draw_on(axes):
        axes.set(xlabel="Labels, by recall", ylabel="Recall, %", ylim=(-2, 102))
        axes.grid(axis="y")
        axes.locator_params(axis="x", integer=True)
        for name, values in recalls.items():
            color, shape = LINES[name]
            style = {"color": color, "linewidth": 1.6, "marker": MARKERS[shape][0], "markersize": 3.5}
            axes.plot(range(1, len(values) + 1), values, clip_on=False, **style)

    spoken = "; ".join(
        f"{name} {sum(value == 0 for value in values)} of {len(values)} labels never right"
        for name, values in recalls.items()
    )
    texts = f"{task}, {len(view.find('tasks', task=task).labels)} labels", f"Recall of each label of {task}"
    return picture(f"label-recall-{task}", (*texts, f"{spoken}."), WIDTH, HEIGHT, draw_on, MARGINS)


def _drawn(view: View, task: str) -> dict[str, str]:
    """Lineages of the lines; an arm that learns the task last, or not at all, has no two of its own."""
    steps, stage = view.steps(view.reference), view.learnt_stages(view.reference).get(task)
    drawn = {"untuned": BASE}
    if stage is not None and stage != steps[-1].stage:
        drawn["learnt"] = steps[stage].answers[task]
    return drawn | {"last": steps[-1].answers[task]}


FIGURE = Figure("Recall of each label", "confusion", compute, draw)
