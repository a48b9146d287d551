"""Scores of every model on every task: before and after, each label, confusion, calibration."""

from dataclasses import replace

from stagewise.metrics.schema import INVALID, AnswerRecord
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import count, listed, number, percent, plural
from stagewise.report.tables.table import Cell, Column, Table, bare_cell, numeric, value_cell
from stagewise.report.task_measures import CLASSIFICATION, GENERATION, MULTI_LABEL, MULTIPLE_CHOICE, ORDINAL

MANY_LABELS = 10
"""Labels that a table shows; of more, the most telling ones."""

CONFUSION_NOTES = {
    ORDINAL: "Labels stand in rank order, the lowest first: answers far from the diagonal miss by more ranks.",
    MULTIPLE_CHOICE: "Labels are letters of options: a full column is a preference for a place.",
}
"""Explain the confusion matrices of a kind of task."""


def on_items(view: View, split: str) -> str:
    """Items of each task that some arm learns, for captions."""
    return ", ".join(f"{count(view.items(task, split))} of {task}" for task in view.tasks)


def list_measures(view: View, task: str) -> str:
    """Names of a task's measures, for captions; those that are no shares are set apart."""
    measures = view.of_tasks.measures_of(task).values()
    shares = [measure.title for measure in measures if measure.is_share]
    others = [measure.title for measure in measures if not measure.is_share]
    text = f"{listed(shares)} in percent" + (f", {listed(others)} as they are" if others else "")
    lower = [measure.title for measure in measures if not measure.higher_is_better]
    return text + (f" (lower is better: {listed(lower)})" if lower else "")


def models(view: View) -> list[tuple[str, list[str]]]:
    """The base models, then every adapter with its runs together: name and lineages."""
    named = [(view.name(lineage), [lineage]) for lineage in view.untuned]
    for path, lineages in view.by_stage_path().items():
        adapter = view.adapters[lineages[0]]
        arms = f", {view.whose(adapter.arms)}" if view.several_arms else ""
        named.append((f"after {path}: stage {adapter.stage}{arms}", lineages))
    return named


def _start_row(view: View, table: Table, lineage: str) -> Cell:
    """A model's row heading: its name and stage, or its seed below a heading of the stages if there are several."""
    adapter = view.adapters.get(lineage)
    if adapter is None:
        if lineage not in view.untuned:
            table.part("Baselines")
        return Cell(view.name(lineage), "stage 0" if lineage in view.untuned else "")
    stage = f"stage {adapter.stage}"
    if view.several_arms:
        stage += f", {view.whose(adapter.arms)}"
    if not view.several_runs:
        return Cell(view.title(lineage), stage)
    table.part(f"After {view.stage_path(lineage)}: {stage}")
    return Cell(view.run(adapter))


def before_after(view: View, split: str, task: str, scorers=None) -> Table:
    """Every measure of every model and baseline, or of some, on one task."""
    caption = (
        f"{task}, {split} split ({count(view.items(task, split))} items): {list_measures(view, task)}, with intervals "
        f"({view.interval}). A dot marks models that were trained on the task.{_baselines_note(view, task)}"
    )
    measures = view.of_tasks.measures_of(task)
    columns = ["Model", *numeric(*(measure.heading for measure in measures.values()))]
    table = Table(f"scores-{split}-{task}", caption, columns)
    for lineage in scorers or view.scorers:
        head = _start_row(view, table, lineage)
        row = [replace(head, sign="●") if view.learnt(lineage, task) else head]
        for name, measure in measures.items():
            value = view.value(lineage, task, split, name)
            row.append(value_cell(value, measure.write, why=omitted_reason(view, lineage, task)))
        table.add(*row)
    return table


def _baselines_note(view: View, task: str) -> str:
    """Name the baselines of a task that is not answered with one label."""
    kind = view.of_tasks.kinds[task]
    if kind not in (MULTI_LABEL, GENERATION):
        return ""
    bag = "the answer of the nearest training item" if kind == GENERATION else "each label against the rest"
    return (
        f" Baselines: the majority class is the {view.of_tasks.name_majority(task)} in training; TF-IDF predicts {bag}."
    )


def omitted_reason(view: View, lineage: str, task: str) -> str:
    """Reason why a model or baseline has no score on a task."""
    what = f"baseline {lineage} on {task}"
    return next((entry.reason for entry in view.metrics.omitted if entry.what == what), "not scored")


def _answers(view: View, task: str, split: str) -> list[tuple[str, AnswerRecord, list[list[int]]]]:
    """Name, first record and confusion counts of the base model and of every adapter, whose runs are added up."""
    answers = []
    for name, lineages in models(view):
        records = [record for lineage in lineages if (record := view.predictions(lineage, task, split))]
        records = [record for record in records if record.confusion]
        if records:
            # An invalid answer gives a matrix one more column; the runs without one have none there.
            first = max(records, key=lambda record: len(record.confusion.columns))
            width = len(first.confusion.columns)
            counts = [[0] * width for _ in first.confusion.rows]
            for record in records:
                for row, added in zip(counts, record.confusion.counts, strict=True):
                    for n, value in enumerate(added):
                        row[n] += value
            answers.append((name, first, counts))
    return answers


def confusions(view: View, task: str, split: str) -> list[tuple[Table, list[list[float]]]]:
    """The confusion matrix of the base model and every adapter on a task with few labels, and each cell's share."""
    matrices = []
    for name, record, counts in _answers(view, task, split) if few_labels(view, task) else ():
        columns = [Column("Gold label"), *numeric(*record.confusion.columns, group="Answer")]
        invalid = sum(sum(row[len(record.confusion.rows) :]) for row in counts)
        said = plural(invalid, "invalid answer") if invalid else "no invalid answers"
        caption = f"{name[0].upper()}{name[1:]}, on {task}: {plural(sum(map(sum, counts)), f'{split} item')}, {said}"
        table = Table(f"confusion-{split}-{task}-{record.lineage}", caption, columns)
        shares = [[n / sum(row) if sum(row) else 0.0 for n in row] for row in counts]
        for label, row, of_row in zip(record.confusion.rows, counts, shares, strict=True):
            cells = zip(row, of_row, strict=True)
            table.add(label, *(Cell(count(n), f"{percent(share)}%" if sum(row) else "") for n, share in cells))
        matrices.append((table, shares))
    return matrices


def frequent_confusions(view: View, task: str, split: str) -> Table:
    """The most frequent wrong answers of the base model and every adapter on a task with many labels."""
    caption = (
        f"{task}, {split} split: the {MANY_LABELS} most frequent wrong answers of each model among "
        f"{len(view.find('tasks', task=task).labels)} labels, and their share of the gold label's items"
        f"{', all runs together' if view.several_runs else ''}."
    )
    table = Table(f"confusion-{split}-{task}", caption, ["Gold label", "Answer", *numeric("Items", "Share")])
    for name, record, counts in () if few_labels(view, task) else _answers(view, task, split):
        table.part(f"{name[0].upper()}{name[1:]}")
        wrong = [
            (n, row, column)
            for row, values in enumerate(counts)
            for column, n in enumerate(values)
            if n and row != column
        ]
        for n, row, column in sorted(wrong, key=lambda entry: (-entry[0], *entry[1:]))[:MANY_LABELS]:
            labels = record.confusion.rows[row], record.confusion.columns[column]
            table.add(*labels, count(n), f"{percent(n / sum(counts[row]))}%")
    return table


def few_labels(view: View, task: str) -> bool:
    """True if a table can show every label of the task."""
    return len(view.find("tasks", task=task).labels) <= MANY_LABELS


def labels(view: View, split: str, task: str) -> Table:
    """Precision, recall and F1 of every label of a task; of many labels, those with the lowest F1."""
    shown = (
        ""
        if few_labels(view, task)
        else f" Of each model the {MANY_LABELS} labels with the lowest F1; `figures/label-recall.csv` has all."
    )
    caption = (
        f"Each label of {task}, {split} split ({count(view.items(task, split))} items): support is how often it is the "
        "gold label, answered how often it was the answer. Precision, recall and F1 in percent, F1 with its interval "
        f"({view.interval}).{shown}"
    )
    columns = ["Label", *numeric("Support", "Answered", "Precision", "Recall", "F1")]
    table = Table(f"labels-{split}-{task}", caption, columns)
    for lineage in view.scorers if task in with_labels(view) else ():
        score, record = view.score(lineage, task, split), view.predictions(lineage, task, split)
        if score is None or record is None:
            continue
        table.part(f"{view.title(lineage)[0].upper()}{view.title(lineage)[1:]}")
        entries = score.labels
        if not few_labels(view, task):
            defined = [entry for entry in entries if entry.f1.value is not None]
            entries = sorted(defined, key=lambda entry: entry.f1.value)[:MANY_LABELS]
        for entry in entries:
            answered = Cell(count(entry.predicted), f"{percent(entry.predicted / record.items)}%")
            rates = (percent(entry.precision), bare_cell(entry.recall, percent), value_cell(entry.f1))
            table.add(entry.label, count(entry.support), answered, *rates)
        if record.invalid:
            answered = Cell(count(record.invalid), f"{percent(record.invalid / record.items)}%")
            table.add(INVALID, "", answered, "", "", "")
    return table


def with_labels(view: View) -> list[str]:
    """Tasks whose labels mean the same for every item; letters of options do not."""
    return view.of_tasks.of_kind(view.every_task, CLASSIFICATION, ORDINAL, MULTI_LABEL)


def calibration(view: View, split: str, task: str) -> Table:
    """ECE, log loss and label mass of every model and baseline on a task."""
    caption = (
        f"Calibration on {task}, {split} split ({count(view.items(task, split))} items). ECE: expected calibration "
        f"error in percentage points, over {view.experiment.calibration_bins} equal-width bins of the most probable "
        "label's probability. Log loss: nats. Label mass: mean probability, in percent, that the model gives to the "
        "task's labels together, each as a whole answer; the rest is on other answers. They have no intervals."
    )
    table = Table(f"calibration-{split}-{task}", caption, ["Model", *numeric("ECE", "Log loss", "Label mass")])
    answered_with_one = view.of_tasks.of_kind([task], CLASSIFICATION, ORDINAL, MULTIPLE_CHOICE)
    for lineage in view.scorers if answered_with_one else ():
        row: list = [_start_row(view, table, lineage)]
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
