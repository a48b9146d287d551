"""Learning and forgetting: two sets of answers to the same items."""

from stagewise.metrics.schema import Forgetting, Learning
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import MISSING, count, p_value, plural, points
from stagewise.report.tables.scores import on_items
from stagewise.report.tables.table import Cell, Column, Table, numeric, value_cell

NOT_PAIRED = "different items before and after"

P_ALONE = (
    "p: exact test that lost and gained are equally likely, of these two alone and uncorrected; what is claimed stands "
    "with the verdicts."
)


def _columns(view: View, arrow: str) -> list[Column]:
    columns = []
    for measure in view.measures.values():
        columns += numeric(arrow, "Difference", group=measure.heading)
    return [*columns, *numeric("Kept", "Lost", "Gained", group="Items"), *numeric("p")]


def _cells(view: View, record: Learning | Forgetting, before: tuple, after: tuple) -> list[Cell]:
    """Cells of `_columns`; `before` and `after` are lineage, task and split of the two scores."""
    cells = []
    for name, measure in view.measures.items():
        values = [view.value(*key, name) for key in (before, after)]
        change = record.changes.get(name)
        if change is None or change.value is None or None in values:
            cells += [Cell(MISSING, reason=(change and change.reason) or "not computed")] * 2
            continue
        cells.append(Cell(" → ".join(measure.write(value.value) for value in values)))
        cells.append(value_cell(change, measure.write_difference))
    if record.pairs is None:
        return cells + [Cell(MISSING, reason=NOT_PAIRED)] * 4
    pairs = record.pairs
    counts = [Cell(count(n)) for n in (pairs.right_both, pairs.lost, pairs.gained)]
    return [*cells, *counts, Cell(p_value(pairs.p))]


def learning(view: View, split: str) -> Table:
    """Every adapter on the task it learnt, against the base model and the baselines."""
    caption = (
        f"What each stage taught, {split} split: on the same items ({on_items(view, split)}), the untuned model or a "
        "baseline, then the adapter. Differences of shares are in percentage points, with paired intervals "
        f"({view.interval}). Kept: right both times; lost: only the other was right; gained: only the adapter was. "
        f"{P_ALONE}"
    )
    table = Table(f"learning-{split}", caption, ["Against", *_columns(view, "Other → adapter")])
    for lineage, adapter in view.adapters.items():
        for record in view.select("learning", lineage=lineage, split=split):
            table.part(f"Stage {adapter.stage}: {view.name(lineage)}, on {record.task}")
            keys = [(name, record.task, split) for name in (record.against, lineage)]
            table.add(view.name(record.against), *_cells(view, record, *keys))
    return table


def forgetting(view: View, split: str) -> Table:
    """Every earlier task between the adapter that learnt it and every later one, on the same items."""
    caption = (
        f"Forgetting, {split} split: an earlier task after the stage that learnt it and after a later one, on the same "
        f"items. Differences of shares are in percentage points, with paired intervals ({view.interval}). Kept: right "
        f"before and after; lost: right before only; gained: right after only. {P_ALONE} AUROC: its change on the "
        "labels' log-odds, which a shifted label prior does not move."
    )
    return _forgetting(view, f"forgetting-{split}", caption, split, "paired")


def published_way(view: View) -> Table:
    """The published comparison: other items before than after."""
    caption = (
        "The published way of measuring, for comparison: the test split before, the validation split after. Different "
        "items stand before and after, so there is no paired interval and nothing is claimed."
    )
    return _forgetting(view, "published-way", caption, None, "published")


def _forgetting(view: View, name: str, caption: str, split: str | None, comparison: str) -> Table:
    columns = ["Task", *_columns(view, "Before → after")]
    if paired := comparison == "paired":
        columns += numeric("AUROC")
    table = Table(name, caption, columns)
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
        before = record.before_lineage, record.task, record.before_split
        after = record.after_lineage, record.task, record.after_split
        table.part(f"After stage {record.after_stage}: {view.variant(record.after_lineage)}")
        run = f", {view.run(record)}" if view.several_runs else ""
        items = f"learnt at stage {record.before_stage}, {_describe_items(view, before, after)}"
        row = [Cell(f"{record.task}{run}", items), *_cells(view, record, before, after)]
        if paired:
            row.append(value_cell(record.auroc, points, "no label probabilities"))
        table.add(*row)
    return table


def _describe_items(view: View, before: tuple, after: tuple) -> str:
    """``120 test items``, or ``120 test items, then 40 validation items``."""
    first, then = ((view.predictions(*key).items, key[2]) for key in (before, after))
    text = plural(first[0], f"{first[1]} item")
    return text if first == then else f"{text}, then {plural(then[0], f'{then[1]} item')}"
