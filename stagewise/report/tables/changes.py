"""Learning and forgetting: two sets of answers to the same items."""

from collections.abc import Iterator

from stagewise.metrics.schema import Forgetting, Learning
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables.number_format import MISSING, count, listed, p_value, plural, points
from stagewise.report.tables.scores import on_items
from stagewise.report.tables.table import Cell, Column, Table, numeric, value_cell
from stagewise.report.task_measures import MULTI_LABEL

P_ALONE = (
    "p: exact test that lost and gained are equally likely, of these two alone and uncorrected; what is claimed stands "
    "with the verdicts."
)

NOT_PAIRED = "different items before and after"

NOT_RIGHT_OR_WRONG = "by this measure an answer is more than right or wrong"


def _columns(arrow: str) -> list[Column]:
    return [*numeric(arrow, "Difference"), *numeric("Kept", "Lost", "Gained", group="Items"), *numeric("p")]


def _cells(view: View, record: Learning | Forgetting, before: tuple, after: tuple) -> list[Cell]:
    """Cells of `_columns`; `before` and `after` are lineage, task and split of the two scores."""
    cells = _change_cells(view, record, view.own(record.task), before, after)
    if record.pairs is None:
        paired = before[2] == after[2]
        return cells + [Cell(MISSING, reason=NOT_RIGHT_OR_WRONG if paired else NOT_PAIRED)] * 4
    pairs = record.pairs
    counts = [Cell(count(n)) for n in (pairs.right_both, pairs.lost, pairs.gained)]
    return [*cells, *counts, Cell(p_value(pairs.p))]


def _change_cells(
    view: View, record: Learning | Forgetting, measure: ShownMeasure, before: tuple, after: tuple
) -> list[Cell]:
    """One measure of both, and its difference."""
    values = [view.value(*key, measure.name) for key in (before, after)]
    change = record.changes.get(measure.name)
    if change is None or change.value is None or None in values:
        return [Cell(MISSING, reason=(change and change.reason) or "not computed")] * 2
    arrow = Cell(" → ".join(measure.write(value.value) for value in values))
    return [arrow, value_cell(change, measure.write_difference)]


def _sets_note(view: View) -> str:
    """When an answer is right that is a set of labels; empty without such tasks."""
    sets = view.of_tasks.of_kind(view.scored_tasks, MULTI_LABEL)
    return "; a set of labels is right if it has exactly the gold labels" if sets else ""


def _others(view: View, task: str) -> list[ShownMeasure]:
    """Measures of a task beside its own one."""
    return list(view.of_tasks.measures_of(task).values())[1:]


def _difference_cells(view: View, record: Learning | Forgetting) -> list[Cell]:
    """Differences of the measures beside the task's own one."""
    others = _others(view, record.task)
    return [value_cell(record.changes.get(measure.name), measure.write_difference) for measure in others]


def _other_tables(view: View, name: str, caption: str, heading: str) -> Iterator[tuple[Table, list[str]]]:
    """Iterate over tables of the measures beside a task's own one, with their tasks: one for tasks of one kind."""
    alike = view.of_tasks.alike(view.scored_tasks)
    for number, tasks in enumerate(alike):
        others = _others(view, tasks[0])
        columns = [heading, *numeric(*(measure.heading for measure in others))]
        of_tasks = f" Tasks: {listed(tasks)}." if len(alike) > 1 else ""
        text = f"{caption}{of_tasks}{view.direction_note({measure.name for measure in others})}"
        yield Table(f"{name}-{number}" if number else name, text, columns), tasks


def learning(view: View, split: str) -> Table:
    """Every adapter on the task it learnt, against the base model and the baselines."""
    caption = (
        f"What each stage taught, {split} split: on the same items ({on_items(view, split)}), {view.name_primary()} of "
        "the untuned model or a baseline, then of the adapter. Differences of shares are in percentage points, with "
        f"paired intervals ({view.interval}). Kept: right both times; lost: only the other was right; gained: only the "
        f"adapter was{_sets_note(view)}. {P_ALONE}"
    )
    table = Table(f"learning-{split}", caption, ["Against", *_columns("Other → adapter")])
    for record in _learnings(view, table, split):
        keys = [(name, record.task, split) for name in (record.against, record.lineage)]
        table.add(view.name(record.against), *_cells(view, record, *keys))
    return table


def learning_others(view: View, split: str) -> list[Table]:
    """The same in the measures beside the tasks' own ones."""
    caption = (
        f"What each stage taught in the other measures, {split} split: differences with paired intervals "
        f"({view.interval})."
    )
    tables = []
    for table, tasks in _other_tables(view, f"learning-others-{split}", caption, "Against"):
        for record in _learnings(view, table, split, tasks):
            table.add(view.name(record.against), *_difference_cells(view, record))
        tables.append(table)
    return tables


def _learnings(view: View, table: Table, split: str, tasks: list[str] | None = None) -> Iterator[Learning]:
    """Comparisons of every adapter, on some tasks or on all; a part of the table for each adapter and task."""
    for lineage, adapter in view.adapters.items():
        for record in view.select("learning", lineage=lineage, split=split):
            if tasks is not None and record.task not in tasks:
                continue
            table.part(f"Stage {adapter.stage}: {view.name(lineage)}, on {record.task}")
            yield record


def forgetting(view: View, split: str) -> Table:
    """Every earlier task between the adapter that learnt it and every later one, on the same items."""
    caption = (
        f"Forgetting, {split} split: {view.name_primary()} on an earlier task after the stage that learnt it and after "
        "a later one, on the same items. Differences of shares are in percentage points, with paired intervals "
        f"({view.interval}). Kept: right before and after; lost: right before only; gained: right after only"
        f"{_sets_note(view)}. {P_ALONE} AUROC: its change on the labels' log-odds, which a shifted label "
        "prior does not move."
    )
    columns = ["Task", *_columns("Before → after"), *numeric("AUROC")]
    table = Table(f"forgetting-{split}", caption, columns)
    for record in _forgettings(view, table, split, "paired"):
        before, after = _sides(record)
        auroc = value_cell(record.auroc, points, "no label probabilities")
        table.add(_task_cell(view, record), *_cells(view, record, before, after), auroc)
    return table


def forgetting_others(view: View, split: str) -> list[Table]:
    """The same in the measures beside the tasks' own ones."""
    caption = f"Forgetting in the other measures, {split} split: differences with paired intervals ({view.interval})."
    tables = []
    for table, tasks in _other_tables(view, f"forgetting-others-{split}", caption, "Task"):
        for record in _forgettings(view, table, split, "paired"):
            if record.task in tasks:
                table.add(_task_cell(view, record), *_difference_cells(view, record))
        tables.append(table)
    return tables


def published_way(view: View) -> Table:
    """The published comparison: other items before than after."""
    caption = (
        "The published way of measuring, for comparison: the test split before, the validation split after. Different "
        "items stand before and after, so there is no paired interval and nothing is claimed."
    )
    table = Table("published-way", caption, ["Task", Column("Measure"), *numeric("Before → after", "Difference")])
    for record in _forgettings(view, table, None, "published"):
        measures = [view.own(record.task)] if view.compact else view.of_tasks.measures_of(record.task).values()
        for measure in measures:
            table.add(_task_cell(view, record), measure.title, *_change_cells(view, record, measure, *_sides(record)))
    return table


def _forgettings(view: View, table: Table, split: str | None, comparison: str) -> Iterator[Forgetting]:
    """Comparisons of an earlier task; a part of the table for each later adapter."""
    # Arms that share both adapters have one and the same comparison.
    distinct: dict[tuple, Forgetting] = {}
    for record in view.select("forgetting", comparison=comparison):
        # There is nothing to compare if one adapter answers before and after.
        if split in (None, record.before_split) and record.before_lineage != record.after_lineage:
            key = record.before_lineage, record.after_lineage, record.task, record.before_split
            distinct.setdefault(key, record)
    order = list(view.adapters)
    for record in sorted(
        distinct.values(), key=lambda r: (order.index(r.after_lineage), order.index(r.before_lineage))
    ):
        table.part(f"After stage {record.after_stage}: {view.stage_path(record.after_lineage)}")
        yield record


def _sides(record: Forgetting) -> tuple[tuple, tuple]:
    """Lineage, task and split of the scores before and after."""
    before = record.before_lineage, record.task, record.before_split
    return before, (record.after_lineage, record.task, record.after_split)


def _task_cell(view: View, record: Forgetting) -> Cell:
    run = f", {view.run(record)}" if view.several_runs else ""
    items = f"learnt at stage {record.before_stage}, {_describe_items(view, *_sides(record))}"
    return Cell(f"{record.task}{run}", items)


def _describe_items(view: View, before: tuple, after: tuple) -> str:
    """``120 test items``, or ``120 test items, then 40 validation items``."""
    first, then = ((view.predictions(*key).items, key[2]) for key in (before, after))
    text = plural(first[0], f"{first[1]} item")
    return text if first == then else f"{text}, then {plural(then[0], f'{then[1]} item')}"
