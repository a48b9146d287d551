"""Scores of every model on every task: before and after, each label, confusion, calibration."""

from stagewise.lineage import BASE
from stagewise.metrics.schema import INVALID, AnswerRecord
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import count, listed, number, percent, plural
from stagewise.report.tables.table import Cell, Column, Table, bare_cell, numeric, value_cell


def on_items(view: View, split: str, tasks=None) -> str:
    """Items of each task, for captions."""
    return ", ".join(f"{count(view.items(task, split))} of {task}" for task in tasks or view.tasks)


def list_measures(view: View) -> str:
    """Names of all measures, for captions; those that are no shares are set apart."""
    shares = [measure.title for measure in view.measures.values() if measure.is_share]
    others = [measure.title for measure in view.measures.values() if not measure.is_share]
    text = f"{listed(shares)} in percent" + (f", {listed(others)} as they are" if others else "")
    lower = [measure.title for measure in view.measures.values() if not measure.higher_is_better]
    return text + (f" (lower is better: {listed(lower)})" if lower else "")


def _start_row(view: View, table: Table, lineage: str) -> Cell:
    """A model's row heading: its name and stage, or its seed below a heading of the variant if there are several."""
    adapter = view.adapters.get(lineage)
    if adapter is None:
        if lineage != BASE:
            table.part("Baselines")
        return Cell(view.name(lineage), "stage 0" if lineage == BASE else "")
    stage = f"stage {adapter.stage}"
    if view.several_arms:
        stage += f", {view.whose(adapter.arms)}"
    if not view.several_runs:
        return Cell(view.title(lineage), stage)
    table.part(f"After {view.variant(lineage)}: {stage}")
    return Cell(view.run(adapter))


def before_after(view: View, split: str, tasks=None, scorers=None) -> Table:
    """Every measure of every model and baseline on every task, or of some on some."""
    tasks = tasks or view.tasks
    caption = (
        f"Before and after, {split} split: {list_measures(view)}, with intervals ({view.interval}). Items: "
        f"{on_items(view, split, tasks)}. A dot marks a task that the adapter, or one it grew from, was trained on."
    )
    columns: list = ["Model"]
    for task in tasks:
        columns += numeric(*(measure.heading for measure in view.measures.values()), group=task)
    table = Table(f"scores-{split}", caption, columns)
    for lineage in scorers or view.scorers:
        row: list = [_start_row(view, table, lineage)]
        for task in tasks:
            sign = "●" if view.learnt(lineage, task) else ""
            for name, measure in view.measures.items():
                value = view.value(lineage, task, split, name)
                cell = value_cell(value, measure.write, why=omitted_reason(view, lineage, task))
                row.append(Cell(cell.text, cell.detail, cell.reason, sign=sign))
        table.add(*row)
    return table


def omitted_reason(view: View, lineage: str, task: str) -> str:
    """Reason why a model or baseline has no score on a task."""
    what = f"baseline {lineage} on {task}"
    return next((entry.reason for entry in view.metrics.omitted if entry.what == what), "not scored")


def confusion(view: View, record: AnswerRecord) -> Table:
    """Counts by gold label and answer; the detail of a cell is its share of the gold label's items."""
    columns = [Column("Gold label"), *numeric(*record.confusion.columns, group="Answer")]
    invalid = plural(record.invalid, "invalid answer") if record.invalid else "no invalid answers"
    name = view.title(record.lineage)
    items = plural(record.items, f"{record.split} item")
    caption = f"{name[0].upper()}{name[1:]}, on {record.task}: {items}, {invalid}"
    table = Table(f"confusion-{record.split}-{record.task}-{record.lineage}", caption, columns)
    for label, counts in zip(record.confusion.rows, record.confusion.counts, strict=True):
        total = sum(counts)
        table.add(label, *(Cell(count(n), f"{percent(n / total)}%" if total else "") for n in counts))
    return table


def confusions(view: View, split: str) -> list[tuple[str, list[tuple[Table, list[list[float]]]]]]:
    """By task, the confusion matrix of the base model and every adapter, with each cell's share of its row."""
    by_task = []
    for task in view.tasks:
        tables = []
        for lineage in [BASE, *view.adapters]:
            if record := view.predictions(lineage, task, split):
                counts = record.confusion.counts
                shares = [[n / sum(row) if sum(row) else 0.0 for n in row] for row in counts]
                tables.append((confusion(view, record), shares))
        by_task.append((task, tables))
    return by_task


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
            score, record = view.score(lineage, task, split), view.predictions(lineage, task, split)
            if score is None or record is None:
                continue
            table.part(f"{task}: {view.title(lineage)}")
            for entry in score.labels:
                answered = Cell(count(entry.predicted), f"{percent(entry.predicted / record.items)}%")
                # Precision, recall and F1 are all 0 if there is nothing to divide by.
                rates = (percent(entry.precision), percent(entry.recall.value or 0.0), value_cell(entry.f1))
                table.add(entry.label, count(entry.support), answered, *rates)
            if record.invalid:
                answered = Cell(count(record.invalid), f"{percent(record.invalid / record.items)}%")
                table.add(INVALID, "", answered, "", "", "")
    return table


def calibration(view: View, split: str) -> Table:
    """ECE, log loss and label mass of every model and baseline."""
    caption = (
        f"Calibration, {split} split ({on_items(view, split)}). ECE: expected calibration error in percentage points, "
        f"over {view.experiment.calibration_bins} equal-width bins of the most probable label's probability. Log loss: "
        "nats. Label mass: mean probability, in percent, that the model gives to the task's labels together, each as a "
        "whole answer; the rest is on other answers. They have no intervals."
    )
    columns: list = ["Model"]
    for task in view.tasks:
        columns += numeric("ECE", "Log loss", "Label mass", group=task)
    table = Table(f"calibration-{split}", caption, columns)
    for lineage in view.scorers:
        row: list = [_start_row(view, table, lineage)]
        for task in view.tasks:
            if record := view.predictions(lineage, task, split):
                discrimination = view.find("discrimination", lineages=[lineage], task=task, split=split)
                loss = bare_cell(
                    discrimination and discrimination.log_loss, number, why=record.ece.reason or "not computed"
                )
                row += [bare_cell(record.ece, percent), loss, bare_cell(record.label_mass, percent)]
            else:
                row += [value_cell(None, why=omitted_reason(view, lineage, task))] * 3
        table.add(*row)
    return table
