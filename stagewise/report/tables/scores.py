"""Scores of every model on every task: before and after, each label, confusion, calibration."""

from stagewise.lineage import BASE
from stagewise.metrics.schema import INVALID, Score
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import count, number, percent, plural
from stagewise.report.tables.table import Cell, Column, Table, estimate, measure, numeric


def on_items(view: View, split: str, tasks=None) -> str:
    """How many items of each task, for captions."""
    return ", ".join(f"{count(view.items(task, split))} of {task}" for task in tasks or view.tasks)


def _start(view: View, table: Table, lineage: str) -> Cell:
    """A scorer's row heading: its name and stage, or its seed below a heading of its own where there are several."""
    adapter = view.adapters.get(lineage)
    if adapter is None:
        if lineage != BASE:
            table.part("Baselines")
        return Cell(view.name(lineage), "stage 0" if lineage == BASE else "")
    where = f"stage {adapter.stage}"
    if view.several_arms:
        where += f", {view.whose(adapter.arms)}"
    if not view.several_runs:
        return Cell(view.title(lineage), where)
    table.part(f"After {view.variant(lineage)}: {where}")
    return Cell(view.run(adapter))


def before_after(view: View, split: str, tasks=None, scorers=None) -> Table:
    """Accuracy and macro-F1 of every scorer on every task, or of some on some."""
    tasks = tasks or view.tasks
    caption = (
        f"Before and after, {split} split: accuracy and macro-F1 in percent with intervals ({view.interval}). "
        f"Items: {on_items(view, split, tasks)}. A dot marks a task that the adapter, or one it grew from, was trained "
        "on."
    )
    columns: list = ["Model"]
    for task in tasks:
        columns += numeric("Accuracy", "Macro-F1", group=task)
    table = Table(f"scores-{split}", caption, columns)
    for lineage in scorers or view.scorers:
        row: list = [_start(view, table, lineage)]
        for task in tasks:
            score = view.score(lineage, task, split)
            sign = "●" if view.learnt(lineage, task) else ""
            for part in (score.accuracy, score.macro_f1) if score else (None, None):
                cell = estimate(part, why=omitted(view, lineage, task))
                row.append(Cell(cell.text, cell.detail, cell.reason, sign=sign))
        table.add(*row)
    return table


def omitted(view: View, lineage: str, task: str) -> str:
    """Why a scorer has no score on a task."""
    what = f"baseline {lineage} on {task}"
    return next((entry.reason for entry in view.metrics.omitted if entry.what == what), "not scored")


def confusion(view: View, score: Score) -> Table:
    """Counts by gold label and answer; the detail of a cell is its share of the gold label's items."""
    columns = [Column("Gold label"), *numeric(*score.confusion.columns, group="Answer")]
    invalid = plural(score.invalid, "invalid answer") if score.invalid else "no invalid answers"
    who = view.title(score.lineage)
    caption = f"{who[0].upper()}{who[1:]}, on {score.task}: {plural(score.items, f'{score.split} item')}, {invalid}"
    table = Table(f"confusion-{score.split}-{score.task}-{score.lineage}", caption, columns)
    for label, counts in zip(score.confusion.rows, score.confusion.counts, strict=True):
        total = sum(counts)
        table.add(label, *(Cell(count(n), f"{percent(n / total)}%" if total else "") for n in counts))
    return table


def confusions(view: View, split: str) -> list[tuple[str, list[tuple[Table, list[list[float]]]]]]:
    """By task, the confusion matrix of the base model and every adapter, with each cell's share of its row."""
    found = []
    for task in view.tasks:
        tables = []
        for lineage in [BASE, *view.adapters]:
            if score := view.score(lineage, task, split):
                counts = score.confusion.counts
                shares = [[n / sum(row) if sum(row) else 0.0 for n in row] for row in counts]
                tables.append((confusion(view, score), shares))
        found.append((task, tables))
    return found


def labels(view: View, split: str) -> Table:
    """Precision, recall and F1 of every label."""
    caption = (
        f"Each label, {split} split: support is how often it is the gold label, answered how often it was the answer. "
        f"Precision, recall and F1 in percent, F1 with its interval ({view.interval}). Items: {on_items(view, split)}."
    )
    columns = ["Label", *numeric("Support", "Answered", "Precision", "Recall", "F1")]
    table = Table(f"labels-{split}", caption, columns)
    for task in view.tasks:
        for lineage in view.scorers:
            score = view.score(lineage, task, split)
            if score is None:
                continue
            table.part(f"{task}: {view.title(lineage)}")
            for entry in score.classes:
                answered = Cell(count(entry.predicted), f"{percent(entry.predicted_share)}%")
                rates = (percent(entry.precision), percent(entry.recall), estimate(entry.f1))
                table.add(entry.label, count(entry.support), answered, *rates)
            if score.invalid:
                answered = Cell(count(score.invalid), f"{percent(score.invalid / score.items)}%")
                table.add(INVALID, "", answered, "", "", "")
    return table


def calibration(view: View, split: str) -> Table:
    """ECE, log loss and label mass of every scorer."""
    bins = (view.experiment.config.get("statistics") or {}).get("calibration_bins")
    caption = (
        f"Calibration, {split} split ({on_items(view, split)}). ECE: expected calibration error in percentage points, "
        f"over {f'{bins} ' if bins else ''}equal-width bins of the most probable label's probability. Log loss: nats. "
        "Label mass: mean probability, in percent, that the model gives to the task's labels together. They have no "
        "intervals."
    )
    columns: list = ["Model"]
    for task in view.tasks:
        columns += numeric("ECE", "Log loss", "Label mass", group=task)
    table = Table(f"calibration-{split}", caption, columns)
    for lineage in view.scorers:
        row: list = [_start(view, table, lineage)]
        for task in view.tasks:
            if score := view.score(lineage, task, split):
                row += [
                    measure(score.ece, percent),
                    measure(score.log_loss, number),
                    measure(score.label_mass, percent),
                ]
            else:
                row += [estimate(None, why=omitted(view, lineage, task))] * 3
        table.add(*row)
    return table
