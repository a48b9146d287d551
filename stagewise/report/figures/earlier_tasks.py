"""Earlier tasks of every arm, before and after: the report's first picture."""

from typing import NamedTuple

from stagewise.metrics.schema import MAJORITY, Value
from stagewise.report.figures.axes import CHARACTER, limits
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.style import shorten
from stagewise.report.figures.svg import INK, MARKERS, MUTED, SERIES, Key, Picture, picture, variable
from stagewise.report.lookup import View

WIDTH, ROW, BOTTOM = 400, 22, 42
"""Width of a picture, height of a row and of the axis below the rows, in pixels."""

MAX_ROWS = 30
"""Rows of a picture that fits a first screen; with more, it shows the mean over the earlier tasks of each arm."""

MEAN = "mean"
"""Task of the rows that hold an arm's mean over its earlier tasks."""

COLUMNS = ("arm", "task", "split", "measure", "before", "after", "change", "change_low", "change_high", "verdict")

ARM_STYLES = {"worse": (SERIES[1], 4, "at the end, forgotten"), "better": (SERIES[2], 2, "at the end, improved")}
"""Colour, marker and meaning of a claimed change of an arm; any other has those of `UNCLAIMED`."""

ADAPTER_STYLES = {
    "worse": (SERIES[1], 1, "at the end, lost by these adapters"),
    "better": (SERIES[2], 3, "at the end, gained by these adapters"),
}
"""The same with one run, which says nothing about the arm: no marker is an arrow."""

UNCLAIMED = (SERIES[0], 0, "at the end")


def compute(view: View):
    """Each earlier task of every arm after the stage that learnt it and after the last, and the paired change.

    An arm that learnt the task at its last stage has no score before. With more than one earlier task an arm also has
    their mean, whose change is the backward transfer.
    """
    arms = [arm for group in view.orders.values() for arm in group]
    tasks, rows = view.earlier_tasks(), []
    for task in tasks:
        for arm in arms:
            if task in view.learnt_stages(arm):
                rows += _task_rows(view, arm, task)
    for arm in arms if len(tasks) > 1 else ():
        rows += _mean_rows(view, arm)
    return frame(COLUMNS, rows)


def _task_rows(view: View, arm: str, task: str) -> list[tuple]:
    measure = view.primary.name
    after = view.arm_value(arm, task, measure)
    if after is None or after.value is None:
        return []
    change, before = view.change(arm, task, measure), view.learnt_value(arm, task, measure)
    keys = arm, task, view.main_split, measure
    if change is None or before is None or None in (change.value, before.value):
        return [(*keys, None, after.value, None, None, None, None)]
    claim = view.claim("kept", arm, task)
    return [(*keys, before.value, after.value, change.value, change.low, change.high, claim and claim.verdict)]


def _mean_rows(view: View, arm: str) -> list[tuple]:
    measure = view.primary.name
    transfer: Value | None = view.arm_summary(arm, "backward_transfer", measure)
    before = [view.learnt_value(arm, task, measure) for task in view.earlier_tasks(arm)]
    if transfer is None or transfer.value is None or not all(value and value.value is not None for value in before):
        return []
    mean = sum(value.value for value in before) / len(before)
    keys = arm, MEAN, view.main_split, measure
    return [(*keys, mean, mean + transfer.value, transfer.value, transfer.low, transfer.high, None)]


class Row(NamedTuple):
    """One row of a picture from top to bottom: a heading, or a change with its label."""

    label: str
    before: float | None = None
    after: float | None = None
    low: float | None = None
    high: float | None = None
    """The after end, moved by the bounds of the paired change."""
    verdict: str | None = None
    heading: bool = False


def draw(view: View, data) -> Drawing:
    """Draw every arm and earlier task in one picture, or the means with each task folded away."""
    by_task = {task: rows for task, rows in groups(data, "task") if task != MEAN}
    every, means = group_rows(view, by_task), data[data.task == MEAN]
    if len(every) > MAX_ROWS and len(means):
        pictures = [draw_rows(view, MEAN, "Mean over each arm's earlier tasks", _by_order(view, means), {})]
        for task, rows in by_task.items():
            pictures.append(draw_rows(view, task, task, arm_rows(view, rows), {task: rows}).fold())
    else:
        pictures = [draw_rows(view, "all", "", every, by_task)]
    caption = (
        f"{heading(view, by_task)} on each arm's earlier tasks, {view.main_split} split. Bars: "
        f"interval of the change on the same items ({view.intervals}). Only a marked change is claimed."
    )
    if view.claims_average:
        caption += " Claims are about the mean over tasks; changes of single tasks are tested of the references alone."
    keys = [Key("when learnt", variable(MUTED), MARKERS[0][1], hollow=True)]
    keys += [Key(text, variable(color), MARKERS[shape][1], "") for color, shape, text in _ends(view, data)]
    keys += majority_key(view, by_task)
    return Drawing(caption, [("", pictures)], keys, folded_title="Each earlier task")


def majority_key(view: View, by_task: dict) -> list[Key]:
    """Entry of the legend for the lines of the majority classes; none if there are no lines."""
    if any(view.value(MAJORITY, task, view.main_split, view.primary.name) for task in by_task):
        return [Key("majority class", variable(MUTED), dashes="4 3")]
    return []


def heading(view: View, tasks) -> str:
    """The primary measure at the start of a sentence."""
    if not view.of_tasks.are_mixed:
        return view.primary.heading
    return f"{view.primary.heading} ({view.of_tasks.name_own(tasks)})"


def styles(view: View) -> dict[str, tuple[str, int, str]]:
    """Colour, marker and meaning of each claimed change; no marker of one run is an arrow."""
    return ARM_STYLES if view.several_runs else ADAPTER_STYLES


def _ends(view: View, data) -> list[tuple[str, int, str]]:
    """Colour, marker and meaning of the ends that the picture shows."""
    return [UNCLAIMED, *(style for verdict, style in styles(view).items() if verdict in set(data.verdict))]


def group_rows(view: View, by_task: dict) -> list[Row]:
    """Rows of every task below its heading; of a single arm its tasks, of a single task its arms."""
    if not view.several_arms:
        return [_row(row, row.task) for rows in by_task.values() for row in rows.itertuples()]
    rows = []
    for task, of_task in by_task.items():
        rows += [Row(task, heading=True)] if len(by_task) > 1 else []
        rows += arm_rows(view, of_task)
    return rows


def _by_order(view: View, means) -> list[Row]:
    """Rows of the arms' means below the order in which they learnt the tasks."""
    rows = []
    for order, arms in view.orders.items():
        rows += [Row(shorten(" → ".join(order), 50), heading=True)] if len(view.orders) > 1 else []
        rows += arm_rows(view, means[means.arm.isin(arms)])
    return rows


def arm_rows(view: View, rows) -> list[Row]:
    return [_row(row, f"{view.number(row.arm)} {row.arm}") for row in rows.itertuples()]


def _row(row, label: str) -> Row:
    low, high = (None if bound is None else row.before + bound for bound in (row.change_low, row.change_high))
    return Row(label, row.before, row.after, low, high, row.verdict)


def draw_rows(
    view: View,
    name: str,
    caption: str,
    rows: list[Row],
    by_task: dict,
    title: str = "on earlier tasks when learnt and at the end",
    figure: str = "earlier-tasks",
) -> Picture:
    """Draw the rows of some tasks from top to bottom.

    `name` and `figure` are the picture's id, `caption` stands above it, `title` follows the measure in the text that
    is read aloud. `by_task` has the rows of tasks whose majority class is drawn.
    """
    measure = view.primary
    left = 24 + CHARACTER * max(min(len(row.label), 22) for row in rows if not row.heading)
    height = ROW * len(rows) + 6 + BOTTOM
    levels = _majority_lines(view, rows, by_task)

    def draw(axes):
        axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel=measure.axis)
        axes.set_yticks(range(len(rows)), ["" if row.heading else shorten(row.label, 22) for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        values = [number for row in rows for number in (row.before, row.after, row.low, row.high)]
        values += [level for *_, level in levels]
        low, high = measure.limits
        room = 0.02 * (high - low)
        axes.set_xlim(limits(measure.scaled(*values), low=low - room, high=high + room))
        axes.grid(axis="x")
        for start, end, level in levels:
            line = {"color": MUTED, "linewidth": 1.5, "linestyle": (0, (4, 3))}
            axes.vlines(measure.scale * level, start - 0.5, end + 0.5, **line)
        for y, row in enumerate(rows):
            _draw_row(axes, y, row, styles(view).get(row.verdict, UNCLAIMED), measure.scaled, left)

    spoken = "; ".join(
        f"{row.label} {measure.spoken(row.before)} to {measure.spoken(row.after)}"
        if row.before is not None
        else f"{row.label} {measure.spoken(row.after)}"
        for row in rows
        if not row.heading
    )
    texts = caption, f"{measure.heading} {title}", f"{spoken}."
    return picture(f"{figure}-{name}", texts, WIDTH, height, draw, (left, 14, 6, BOTTOM))


def _majority_lines(view: View, rows: list[Row], by_task: dict) -> list[tuple[int, int, float]]:
    """First row, last row and level of each task's majority class."""
    if not view.several_arms:
        ends = {task: (y, y) for y, task in enumerate(by_task)}
    else:
        starts = [y for y, row in enumerate(rows) if row.heading] or [-1]
        stops = [*starts[1:], len(rows)]
        ends = {task: (a + 1, b - 1) for task, a, b in zip(by_task, starts, stops, strict=False)}
    lines = []
    for task, (start, end) in ends.items():
        value = view.value(MAJORITY, task, view.main_split, view.primary.name)
        if value and value.value is not None:
            lines.append((start, end, value.value))
    return lines


def _draw_row(axes, y: int, row: Row, style: tuple[str, int, str], scaled, left: float) -> None:
    """A ring before, a marker after, a line between them, and the interval of the change at the marker."""
    if row.heading:
        # Headings start where the labels start, beyond the axes.
        place = {"xytext": (8 - left, -4), "textcoords": "offset points", "annotation_clip": False}
        axes.annotate(row.label, (axes.get_xlim()[0], y), color=INK, weight="bold", **place)
        return
    color, shape, _ = style
    before, after, low, high = scaled(row.before, row.after, row.low, row.high)
    if None not in (low, high):
        axes.hlines(y, low, high, color=color, linewidth=6, alpha=0.28)
    if before is not None:
        axes.plot([before, after], [y, y], color=color, linewidth=1.8)
        axes.plot([before], [y], "o", color=MUTED, markerfacecolor="none", markeredgewidth=1.8, markersize=8)
    axes.plot([after], [y], MARKERS[shape][0], color=color, markersize=8)


FIGURE = Figure("Earlier tasks, before → after", "result", compute, draw, order=-1)
