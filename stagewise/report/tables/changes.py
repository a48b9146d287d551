"""What each stage taught and what was forgotten: two sets of answers to the same items."""

from stagewise.metrics.schema import Change, Forgetting
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import MISSING, count, p_value, percent, plural, points
from stagewise.report.tables.scores import on_items
from stagewise.report.tables.table import Cell, Column, Table, claim, estimate, numeric

NOT_PAIRED = "different items before and after"


def _columns(arrow: str) -> list[Column]:
    columns = []
    for name in ("Accuracy", "Macro-F1"):
        columns += numeric(arrow, "Difference", group=name)
    return [*columns, *numeric("Kept", "Lost", "Gained", group="Items"), *numeric("McNemar p")]


def _cells(record) -> list[Cell]:
    """Cells of `_columns` for a record with changes and pairs."""
    by_name: dict[str, Change] = {change.measure: change for change in record.changes}
    cells = []
    for name in ("accuracy", "macro_f1"):
        if change := by_name.get(name):
            cells += [Cell(f"{percent(change.before)} → {percent(change.after)}"), estimate(change.difference, points)]
        else:
            cells += [Cell(MISSING, reason="not computed")] * 2
    if record.pairs is None:
        return cells + [Cell(MISSING, reason=NOT_PAIRED)] * 4
    pairs = record.pairs
    counts = [Cell(count(n)) for n in (pairs.right_both, pairs.lost, pairs.gained)]
    return [*cells, *counts, Cell(p_value(pairs.mcnemar_p))]


def _claim(record) -> Cell:
    cell = claim(record.claim)
    reason = record.reason.rstrip(".") if record.claim == "not claimed" else None
    return Cell(cell.text, reason=reason, style=cell.style, sign=cell.sign)


def learning(view: View, split: str) -> Table:
    """Every adapter on the task it learnt, against the base model and the baselines."""
    caption = (
        f"What each stage taught, {split} split: on the same items ({on_items(view, split)}), the untuned model or a "
        f"baseline, then the adapter. Differences are in percentage points with paired intervals ({view.interval}). "
        "Kept: right both times; lost: only the other was right; gained: only the adapter was. McNemar's exact test "
        "asks whether lost and gained are equally likely. The claim goes by the interval of the accuracy difference."
    )
    table = Table(f"learning-{split}", caption, ["Against", "Claim", *_columns("Other → adapter")])
    for lineage, adapter in view.adapters.items():
        for record in view.metrics.learning:
            if (record.lineage, record.split) == (lineage, split):
                table.part(f"Stage {adapter.stage}: {view.name(lineage)}, on {record.task}")
                table.add(view.name(record.against), _claim(record), *_cells(record))
    return table


def forgetting(view: View, split: str) -> Table:
    """Every earlier task between the adapter that learnt it and every later one, on the same items."""
    caption = (
        f"Forgetting, {split} split: an earlier task after the stage that learnt it and after a later one, on the same "
        f"items. Differences are in percentage points with paired intervals ({view.interval}). Kept: right before and "
        "after; lost: right before only; gained: right after only; McNemar's exact test asks whether lost and gained "
        "are equally likely. A drop is called forgotten only where the interval of the accuracy difference lies below "
        "0 and the stage that learnt the task beat the majority class (learnt over majority); a task is called "
        "retained only where accuracy is still above both the majority class and the untuned model. AUROC: its change "
        "on the labels' log-odds, which a shifted label prior does not move."
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
    columns = ["Task", "Claim", *_columns("Before → after"), *numeric("Learnt over majority")]
    if paired := comparison == "paired":
        columns += [Column("Retained"), *numeric("Majority", "Untuned model", group="Still over"), *numeric("AUROC")]
    table = Table(name, caption, columns)
    found: dict[tuple, Forgetting] = {}
    for record in view.metrics.forgetting:
        # Where one adapter answers before and after there is nothing to compare.
        same = record.before_lineage == record.after_lineage
        if record.comparison == comparison and split in (None, record.before_split) and not same:
            # Arms that share both adapters have one and the same comparison.
            found.setdefault((record.before_lineage, record.after_lineage, record.task, record.before_split), record)
    order = list(view.adapters)
    for record in sorted(found.values(), key=lambda r: (order.index(r.after_lineage), order.index(r.before_lineage))):
        items = plural(record.before_items, f"{record.before_split} item")
        if (record.before_items, record.before_split) != (record.after_items, record.after_split):
            items += f", then {plural(record.after_items, f'{record.after_split} item')}"
        table.part(f"After stage {record.after_stage}: {view.variant(record.after_lineage)}")
        over_majority = estimate(record.over_majority, points)
        run = f", {view.run(record)}" if view.several_runs else ""
        task = Cell(f"{record.task}{run}", f"learnt at stage {record.before_stage}, {items}")
        row = [task, _claim(record), *_cells(record), over_majority]
        if paired:
            row.append(claim(record.retained))
            row += [estimate(over, points) for over in (record.retained_over_majority, record.retained_over_base)]
            row.append(estimate(record.auroc and record.auroc.difference, points, "no label probabilities"))
        table.add(*row)
    return table
