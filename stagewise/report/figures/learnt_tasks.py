"""Tasks of every arm, untuned and when learnt: the first picture of a report in which no task is an earlier one."""

from stagewise.lineage import BASE
from stagewise.report.figures.earlier_tasks import (
    COLUMNS,
    MAX_ROWS,
    UNCLAIMED,
    arm_rows,
    draw_rows,
    group_rows,
    heading,
    majority_key,
    styles,
)
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.svg import MARKERS, MUTED, Key, variable
from stagewise.report.lookup import View

MEANINGS = {"better": "when learnt, better", "worse": "when learnt, worse"}
"""Meaning of a claimed difference from the untuned model."""

TITLE = "of the untuned model and when learnt"


def compute(view: View):
    """Each task of every arm before training and after it, and the paired difference; no rows with earlier tasks."""
    rows = []
    if not view.earlier_tasks():
        for task in view.ordered_tasks:
            for arm in view.arms:
                rows += _task_rows(view, arm, task) if task in view.learnt_stages(arm) else []
    return frame(COLUMNS, rows)


def _task_rows(view: View, arm: str, task: str) -> list[tuple]:
    measure, claim = view.primary.name, view.claim("learnt", arm, task, BASE)
    before, after = view.arm_value(arm, task, measure, stage=0), view.arm_value(arm, task, measure)
    if not before or not after or None in (before.value, after.value):
        return []
    low = high = None
    if claim and view.own(task).higher_is_better == view.primary.higher_is_better:
        low, high = claim.difference.low, claim.difference.high
    change = after.value - before.value
    keys = arm, task, view.main_split, measure
    return [(*keys, before.value, after.value, change, low, high, claim and claim.verdict)]


def draw(view: View, data) -> Drawing:
    """Draw every arm and task in one picture, or a picture per task if rows are many."""
    by_task = {task: rows for task, rows in groups(data, "task")}
    every = group_rows(view, by_task)
    if len(every) > MAX_ROWS:
        pictures = [
            draw_rows(view, task, task, arm_rows(view, rows), {task: rows}, TITLE, "learnt-tasks")
            for task, rows in by_task.items()
        ]
    else:
        pictures = [draw_rows(view, "all", "", every, by_task, TITLE, "learnt-tasks")]
    caption = (
        f"{heading(view, by_task)} of the untuned model and after training, {view.main_split} split. Bars: interval "
        f"of the difference on the same items ({view.intervals}). Only a marked difference is claimed."
    )
    keys = [Key("untuned", variable(MUTED), MARKERS[0][1], hollow=True)]
    verdicts, claimed = set(data.verdict), styles(view)
    shown = [(*UNCLAIMED[:2], "when learnt")] if verdicts - set(claimed) else []
    shown += [(*style[:2], MEANINGS[verdict]) for verdict, style in claimed.items() if verdict in verdicts]
    keys += [Key(text, variable(color), MARKERS[shape][1], "") for color, shape, text in shown]
    return Drawing(caption, [("", pictures)], [*keys, *majority_key(view, by_task)])


FIGURE = Figure("Tasks, untuned → learnt", "result", compute, draw, order=-1)
