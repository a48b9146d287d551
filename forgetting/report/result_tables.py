"""Scores, what each stage taught, what was forgotten, calibration."""

from forgetting.metrics.schema import INVALID, Change, Forgetting, Score
from forgetting.report import formats
from forgetting.report.formats import MISSING, count, number, p_value, percent, points
from forgetting.report.tables import Cell, Column, Table, claim, estimate, measure, numeric
from forgetting.report.view import View


def _on(view: View, split: str) -> str:
    return ", ".join(f"{count(view.items(task, split))} of {task}" for task in view.tasks)


def _baselines_from(view: View, table: Table, lineage: str) -> None:
    """A rule between the model's rows and the baselines'."""
    if lineage not in ("base", *view.adapters) and not table.rules:
        table.rules.add(len(table.rows))


def before_after(view: View, split: str) -> Table:
    """Accuracy and macro-F1 of every scorer on every task."""
    caption = (
        f"Before and after, {split} split: accuracy and macro-F1 in percent with intervals ({view.interval}). "
        f"Items: {_on(view, split)}. A dot marks a task that the adapter, or one it grew from, was trained on."
    )
    columns = ["Stage", "Model"] + (["Arms"] if view.several_arms else [])
    for task in view.tasks:
        columns += numeric("Accuracy", "Macro-F1", group=task)
    table = Table(f"scores-{split}", caption, columns, heads=2)
    for lineage in view.scorers:
        _baselines_from(view, table, lineage)
        adapter = view.adapters.get(lineage)
        stage = str(adapter.stage) if adapter else "0" if lineage == "base" else ""
        row: list = [stage, view.name(lineage)]
        if view.several_arms:
            row.append(", ".join(adapter.arms) if adapter else "")
        for task in view.tasks:
            score = view.score(lineage, task, split)
            sign = "●" if view.learnt(lineage, task) else ""
            for part in (score.accuracy, score.macro_f1) if score else (None, None):
                cell = estimate(part, why=_omitted(view, lineage, task))
                row.append(Cell(cell.text, cell.detail, cell.reason, sign=sign))
        table.add(*row)
    return table


def _omitted(view: View, lineage: str, task: str) -> str:
    what = f"baseline {lineage} on {task}"
    return next((entry.reason for entry in view.metrics.omitted if entry.what == what), "not scored")


def _change(change: Change | None) -> list[Cell]:
    if change is None:
        return [Cell(MISSING, reason="not computed")] * 3
    return [Cell(percent(change.before)), Cell(percent(change.after)), estimate(change.difference, points)]


def _changes(changes: list[Change]) -> list[Cell]:
    by_name = {change.measure: change for change in changes}
    return _change(by_name.get("accuracy")) + _change(by_name.get("macro_f1"))


def _pairs(pairs) -> list[Cell]:
    if pairs is None:
        return [Cell(MISSING, reason="different items before and after")] * 4
    kept, lost, gained = (Cell(count(n)) for n in (pairs.right_both, pairs.lost, pairs.gained))
    return [kept, lost, gained, Cell(p_value(pairs.mcnemar_p))]


def _difference_columns(before: str, after: str) -> list[Column]:
    columns = []
    for measure_name in ("Accuracy", "Macro-F1"):
        columns += numeric(before, after, "Difference", group=measure_name)
    return columns + numeric("Kept", "Lost", "Gained", "McNemar p", group="Items")


def learning(view: View, split: str) -> Table:
    """Every adapter on the task it learnt, against the base model and the baselines."""
    caption = (
        f"What each stage taught, {split} split: the adapter against the untuned model and the baselines on the same "
        f"items ({_on(view, split)}). Differences are in percentage points with paired intervals ({view.interval}). "
        "Kept: right both times; lost: only the comparison was right; gained: only the adapter was. McNemar's exact "
        "test asks whether lost and gained are equally likely. The claim goes by the interval of the accuracy "
        "difference."
    )
    columns = ["Stage", "Adapter", "Task", "Against", *_difference_columns("Theirs", "Adapter"), "Claim"]
    table = Table(f"learning-{split}", caption, columns, heads=4)
    last = None
    for record in view.metrics.learning:
        if record.split != split:
            continue
        if last not in (None, record.lineage):
            table.rules.add(len(table.rows))
        last = record.lineage
        heads = [str(record.stage), view.name(record.lineage), record.task, view.name(record.against)]
        verdict = claim(record.claim)
        if record.claim == "not claimed":
            verdict = Cell(verdict.text, reason=record.reason, style=verdict.style, sign=verdict.sign)
        table.add(*heads, *_changes(record.changes), *_pairs(record.pairs), verdict)
    return table


def forgetting(view: View, split: str) -> Table:
    """Every earlier task between the adapter that learnt it and every later one, on the same items."""
    caption = (
        f"Forgetting, {split} split: an earlier task after the stage that learnt it and after a later one, on the same "
        f"items. Differences are in percentage points with paired intervals ({view.interval}). Kept: right before and "
        "after; lost: right before only; gained: right after only. A drop is called forgotten only where the interval "
        "of the accuracy difference lies below 0 and the stage that learnt the task beat the majority class."
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
    columns = ["Task", "Before", "After", *numeric("Items"), *_difference_columns("Before", "After")]
    columns += numeric("Stage that learnt it over majority", "… over untuned model") + [Column("Claim")]
    table = Table(name, caption, columns, heads=3)
    seen = set()
    for record in view.metrics.forgetting:
        # Arms that share both adapters have one and the same comparison.
        key = (record.before_lineage, record.after_lineage, record.task, record.before_split, record.after_split)
        if record.comparison != comparison or split not in (None, record.before_split) or key in seen:
            continue
        seen.add(key)
        table.add(*_forgetting_row(view, record))
    return table


def _forgetting_row(view: View, record: Forgetting) -> list:
    items = count(record.before_items)
    if record.before_items != record.after_items:
        items += f", then {count(record.after_items)}"
    verdict = claim(record.claim)
    if record.claim == "not claimed":
        verdict = Cell(verdict.text, reason=record.reason, style=verdict.style, sign=verdict.sign)
    return [
        record.task,
        Cell(view.name(record.before_lineage), f"stage {record.before_stage}"),
        Cell(view.name(record.after_lineage), f"stage {record.after_stage}"),
        items,
        *_changes(record.changes),
        *_pairs(record.pairs),
        estimate(record.over_majority, points),
        estimate(record.over_base, points),
        verdict,
    ]


def confusion(view: View, score: Score) -> Table:
    """Counts by gold label and answer; the detail of a cell is its share of the gold label's items."""
    columns = [Column("Gold label"), *numeric(*score.confusion.columns, group="Answer")]
    invalid = "no invalid answers" if not score.invalid else f"{formats.plural(score.invalid, 'invalid answer')}"
    caption = f"{view.name(score.lineage)} on {score.task}, {count(score.items)} {score.split} items, {invalid}"
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
        for lineage in ["base", *view.adapters]:
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
        f"Precision, recall and F1 in percent, F1 with its interval ({view.interval}). Items: {_on(view, split)}."
    )
    columns = ["Task", "Model", "Label", *numeric("Support", "Answered", "Precision", "Recall", "F1")]
    table = Table(f"labels-{split}", caption, columns, heads=3)
    for task in view.tasks:
        for lineage in view.scorers:
            score = view.score(lineage, task, split)
            if score is None:
                continue
            if table.rows:
                table.rules.add(len(table.rows))
            for entry in score.classes:
                answered = Cell(count(entry.predicted), f"{percent(entry.predicted_share)}%")
                rates = (percent(entry.precision), percent(entry.recall), estimate(entry.f1))
                table.add(task, view.name(lineage), entry.label, count(entry.support), answered, *rates)
            if score.invalid:
                wrong = Cell(count(score.invalid), f"{percent(score.invalid / score.items)}%")
                table.add(task, view.name(lineage), INVALID, "", wrong, "", "", "")
    return table


def calibration(view: View, split: str) -> Table:
    """ECE, log loss and label mass of every scorer."""
    caption = (
        f"Calibration, {split} split ({_on(view, split)}). ECE: expected calibration error in percentage points, over "
        f"{view.experiment.config.get('statistics', {}).get('calibration_bins', 'equal-width')} equal-width bins of "
        "the most probable label's probability. Log loss in nats. Label mass: mean probability, in percent, that the "
        "model gives to the task's labels together. None of them has an interval."
    )
    columns: list = ["Stage", "Model"]
    for task in view.tasks:
        columns += numeric("ECE", "Log loss", "Label mass", group=task)
    table = Table(f"calibration-{split}", caption, columns, heads=2)
    for lineage in view.scorers:
        _baselines_from(view, table, lineage)
        adapter = view.adapters.get(lineage)
        row: list = [str(adapter.stage) if adapter else "0" if lineage == "base" else "", view.name(lineage)]
        for task in view.tasks:
            if score := view.score(lineage, task, split):
                row += [measure(score.ece, percent), measure(score.log_loss, number), measure(score.label_mass, percent)]
            else:
                row += [Cell(MISSING, reason=_omitted(view, lineage, task))] * 3
        table.add(*row)
    return table
