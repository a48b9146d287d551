"""Arms side by side: the main table, the matrix metrics, the comparison with the reference, and what each costs."""

from stagewise.metrics.schema import RULES, ArmComparison, ArmSummary, Forgetting, Spread
from stagewise.report.figures.style import MEASURES, number
from stagewise.report.lookup import View, final
from stagewise.report.tables.number_format import MISSING, count, interval, p_value, percent, points, seconds
from stagewise.report.tables.scores import on_items
from stagewise.report.tables.table import Cell, Table, claim, numeric

MOST_ROWS = 20
"""Rows of the main table; with more, only argmax stands in it and the other rules are folded away."""


def spread(entry: Spread | None, write=percent, why: str = "not computed") -> Cell:
    """A mean over runs with the interval that a claim goes by."""
    if entry is None or entry.value is None:
        return Cell(MISSING, reason=(entry.reason if entry else None) or why)
    bounds = interval(entry.both.low, entry.both.high, write)
    return Cell(write(entry.value), bounds, None if bounds else entry.both.reason)


def noise(entry: Spread | None) -> Cell:
    """How much of an interval is training noise."""
    if entry is None or entry.training_share is None:
        why = "one run: training noise is not measured" if entry and entry.runs < 2 else "not computed"
        return Cell(MISSING, reason=(entry.training.reason if entry else None) or why)
    return Cell(f"{percent(entry.training_share)}%")


def rules(view: View) -> list[str]:
    """Decision rules that some arm was measured under, argmax first."""
    known = {record.rule for record in view.metrics.arm_tasks}
    return [rule for rule in RULES if rule in known]


def main_rules(view: View) -> list[str]:
    """Rules that stand in the main table."""
    found = rules(view)
    return found if len(view.arms) * len(found) <= MOST_ROWS else found[:1]


def head(view: View, arm: str) -> Cell:
    """An arm as a row heading: its number, as pictures write it, and its name."""
    return Cell(
        f"{number(view, arm)} {arm}" if view.several_arms else arm, "reference" if is_reference(view, arm) else ""
    )


def is_reference(view: View, arm: str) -> bool:
    return view.several_arms and arm == view.reference


def comparison(view: View, arm: str, task: str | None, measure: str, rule: str = "argmax") -> ArmComparison | None:
    """An arm against the reference on the main split."""
    wanted = arm, task, measure, rule, view.main_split
    found = view.metrics.arm_comparisons
    return next((r for r in found if (r.arm, r.task, r.measure, r.rule, r.split) == wanted), None)


def summary(view: View, arm: str, measure: str, rule: str = "argmax") -> ArmSummary | None:
    """An arm's matrix metrics on the main split."""
    wanted = arm, measure, rule, view.main_split
    return next((r for r in view.metrics.arm_summaries if (r.arm, r.measure, r.rule, r.split) == wanted), None)


def last_forgetting(view: View, arm: str, task: str) -> list[Forgetting]:
    """Paired comparisons of the task's own stage with the arm's last on the main split, one a run."""
    found = []
    for run in view.runs:
        last = view.steps(arm, run)[-1].stage if view.steps(arm, run) else None
        for record in view.metrics.forgetting:
            own = record.arm, record.fold, record.seed, record.task, record.before_split, record.comparison
            if own == (arm, *run, task, view.main_split, "paired") and record.after_stage == last:
                found.append(record)
                break
    return found


def _compared(view: View, arm: str, task: str | None, measure: str, rule: str) -> Cell:
    if is_reference(view, arm):
        return Cell(MISSING, reason="the reference itself")
    record = comparison(view, arm, task, measure, rule)
    cell = spread(record.difference if record else None, points)
    sign = claim(record.claim) if record else Cell("")
    return Cell(cell.text, cell.detail, cell.reason, sign.style, sign.sign)


def p_cell(record: ArmComparison | None, key: str, why: str) -> Cell:
    number_ = getattr(record, key) if record else None
    return Cell(MISSING, reason=why) if number_ is None else Cell(p_value(number_))


def main(view: View, measure: str, shown: list[str], name: str) -> Table:
    """One row per arm and decision rule: each task's final score, its change, and the distance to the reference arm."""
    split, title = view.main_split, MEASURES[measure]
    earlier = {r.task for r in view.metrics.arm_tasks if r.earlier}
    caption = (
        f"{'Arms by decision rule' if view.several_arms else 'Each decision rule'}, {split} split "
        f"({on_items(view, split)}): {title} in percent after the arm's last stage, in brackets its interval "
        f"({view.intervals}). Change: since the stage that learnt the task, in points. "
    )
    if view.several_arms:
        test = "McNemar's exact test" if not view.several_runs else "a sign-flip permutation test over items"
        caption += (
            f"Against {view.reference}: paired difference in points, ▲ better, ▼ worse, ≈ no measurable difference"
        )
        caption += f"; p: {test} after Holm's correction over the arms. " if measure == "accuracy" else ". "
    caption += "Average and backward transfer after Lopez-Paz & Ranzato (2017)."
    if view.several_runs:
        caption += " Training noise: its share of the average's variance; the rest is the size of the test set."
    columns: list = ["Arm" if view.several_arms else "Decision rule"]
    for task in view.tasks:
        columns += numeric("Final", *(["Change"] if task in earlier else []), group=task)
        if view.several_arms:
            columns += numeric(f"Against {view.reference}", group=task)
            columns += numeric("Holm p", group=task) if measure == "accuracy" else []
    columns += numeric("Average", group="All tasks")
    if measure == "accuracy":
        columns += numeric("Average macro-F1", group="All tasks")
    columns += numeric(*([f"Against {view.reference}"] if view.several_arms else []), group="All tasks")
    columns += numeric("Backward transfer", *(["Training noise"] if view.several_runs else []), group="All tasks")
    table = Table(name, caption, columns)
    for rule in shown:
        if view.several_arms and (len(shown) > 1 or rule != "argmax"):
            table.part(f"Decision rule: {rule}")
        for arm in view.arms:
            row: list = [head(view, arm) if view.several_arms else rule]
            for task in view.tasks:
                record = final(view, arm, task, measure, rule)
                row.append(spread(record.final if record else None))
                if task in earlier:
                    own = record if record and record.earlier else None
                    row.append(
                        spread(own.change if own else None, points, "no stage came after the one that learnt it")
                    )
                if view.several_arms:
                    row.append(_compared(view, arm, task, measure, rule))
                if view.several_arms and measure == "accuracy":
                    why = "the reference itself" if is_reference(view, arm) else "not tested"
                    row.append(p_cell(comparison(view, arm, task, measure, rule), "p_holm", why))
            record, other = summary(view, arm, measure, rule), summary(view, arm, "macro_f1", rule)
            row.append(spread(record and record.average))
            if measure == "accuracy":
                row.append(spread(other and other.average))
            if view.several_arms:
                row.append(_compared(view, arm, None, measure, rule))
            row.append(spread(record and record.backward_transfer, points))
            if view.several_runs:
                row.append(noise(record and record.average))
            table.add(*row)
    return table


def short(view: View) -> Table:
    """The arms by the plain rule in as few columns as a reader needs first."""
    earlier = {r.task for r in view.metrics.arm_tasks if r.earlier}
    caption = (
        f"Arms in short, {view.main_split} split ({on_items(view, view.main_split)}), argmax: accuracy after the last "
        f"stage and its change since the stage that learnt the task ({view.intervals}). ▲ better, ▼ worse than "
        f"{view.reference}, ≈ no measurable difference."
    )
    columns: list = ["Arm"]
    for task in view.tasks:
        columns += numeric(task, *(["change"] if task in earlier else []))
    columns += numeric("macro-F1, all tasks", "tokens", "time")
    table = Table("arms-short", caption, columns)
    costs = {cost.arm: cost for cost in view.metrics.costs}
    for arm in view.arms:
        row: list = [arm]
        for task in view.tasks:
            record, against = final(view, arm, task, "accuracy"), comparison(view, arm, task, "accuracy")
            cell = spread(record and record.final)
            sign = claim(against.claim).sign if against else ""
            row.append(Cell(cell.text, cell.detail, cell.reason, sign=sign))
            if task in earlier:
                own = record if record and record.earlier else None
                row.append(spread(own and own.change, points, "no stage came after the one that learnt it"))
        record, cost = summary(view, arm, "macro_f1"), costs.get(arm)
        row.append(spread(record and record.average))
        row.append(
            Cell(count(round(cost.tokens + cost.extra_tokens))) if cost else Cell(MISSING, reason="not recorded")
        )
        row.append(Cell(seconds(cost.seconds)) if cost else Cell(MISSING, reason="not recorded"))
        table.add(*row)
    return table


def mains(view: View) -> list[tuple[str, Table]]:
    """The main table and those that are folded away, each with its heading."""
    shown = main_rules(view)
    if not shown:
        return []
    found = [
        ("", main(view, "accuracy", shown, "arms")),
        ("The same in macro-F1", main(view, "macro_f1", shown, "arms-macro-f1")),
    ]
    if rest := [rule for rule in rules(view) if rule not in shown]:
        found.append(("The other decision rules", main(view, "accuracy", rest, "arms-rules")))
        found.append(("The other decision rules in macro-F1", main(view, "macro_f1", rest, "arms-rules-macro-f1")))
    return found
