"""Arms side by side: the main table and the short one."""

from stagewise.metrics.schema import RULES, Claim, Value
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables.number_format import MISSING, count, p_value, percent, seconds
from stagewise.report.tables.scores import on_items
from stagewise.report.tables.table import Cell, Table, numeric, value_cell, verdict_cell

MAX_ROWS = 20
"""Rows of the main table; with more, only argmax stands in it and the other rules are folded away."""

NO_LATER_STAGE = "no stage came after the one that learnt it"


def noise_cell(value: Value | None) -> Cell:
    """Share of training noise in a variance."""
    if value is None or value.training_share is None:
        return Cell(MISSING, reason=(value and value.reason) or "not computed")
    return Cell(f"{percent(value.training_share)}%")


def measured_rules(view: View) -> list[str]:
    """Decision rules that some arm was measured under, argmax first."""
    used = {record.rule for record in view.metrics.arm_tasks}
    return [rule for rule in RULES if rule in used]


def main_rules(view: View) -> list[str]:
    """Rules of the main table."""
    rules = measured_rules(view)
    return rules if len(view.arms) * len(rules) <= MAX_ROWS else rules[:1]


def arm_cell(view: View, arm: str) -> Cell:
    """An arm as a row heading: its number, as figures write it, and its name."""
    return Cell(
        f"{view.number(arm)} {arm}" if view.several_arms else arm, "reference" if is_reference(view, arm) else ""
    )


def is_reference(view: View, arm: str) -> bool:
    return view.several_arms and arm == view.reference


def _difference_cell(view: View, arm: str, task: str | None, measure: ShownMeasure, rule: str) -> Cell:
    if is_reference(view, arm):
        return Cell(MISSING, reason="the reference itself")
    record = view.arm_difference(arm, task, measure.name, rule)
    cell = value_cell(record and record.difference, measure.write_difference)
    if not is_claimed(view, measure, rule) or task is None or not view.several_runs:
        return cell
    sign = verdict_cell(view.claim("arms", arm, task), view.several_runs)
    return Cell(cell.text, cell.detail, cell.reason, sign.style, sign.sign)


def is_claimed(view: View, measure: ShownMeasure, rule: str = "argmax") -> bool:
    """True if the report claims something about this measure under this rule."""
    return measure == view.primary and rule == "argmax"


def p_cell(claim: Claim | None, key: str, why: str = "not compared: the same adapter") -> Cell:
    """A p-value of a claim."""
    p = getattr(claim, key) if claim else None
    return Cell(MISSING, reason=why) if p is None else Cell(p_value(p))


def earlier_tasks(view: View) -> list[str]:
    """Tasks that some arm learnt before its last stage."""
    earlier = {record.task for record in view.metrics.arm_tasks if record.earlier}
    return [task for task in view.tasks if task in earlier]


def main_table(view: View, measure: ShownMeasure, rules: list[str], name: str) -> Table:
    """One row per arm and decision rule: each task's final score, its change, and the distance to the reference arm."""
    table = Table(name, _main_caption(view, measure), _main_columns(view, measure))
    for rule in rules:
        if view.several_arms and (len(rules) > 1 or rule != "argmax"):
            table.part(f"Decision rule: {rule}")
        for arm in view.arms:
            row: list = [arm_cell(view, arm) if view.several_arms else rule]
            for task in view.tasks:
                row += _task_cells(view, arm, task, measure, rule)
            table.add(*row, *_summary_cells(view, arm, measure, rule))
    return table


def _main_caption(view: View, measure: ShownMeasure) -> str:
    split, unit = view.main_split, " in percent" if measure.is_share else ""
    caption = (
        f"{'Arms by decision rule' if view.several_arms else 'Each decision rule'}, {split} split "
        f"({on_items(view, split)}): {measure.heading}{unit} after the arm's last stage, in brackets its interval "
        f"({view.intervals}). Change: since the stage that learnt the task{', in points' if measure.is_share else ''}. "
    )
    if view.several_arms:
        caption += f"Against {view.reference}: paired difference{' in points' if measure.is_share else ''}"
        if is_claimed(view, measure):
            signs = "; ▲ better, ▼ worse, ○ not shown" if view.several_runs else ""
            caption += f"{signs}; p: after Holm's correction over all claims of the report. "
        else:
            caption += ", about which nothing is claimed. "
    if not measure.higher_is_better:
        caption += "Lower is better. "
    caption += "Average and backward transfer after Lopez-Paz & Ranzato (2017)."
    if view.several_runs:
        caption += " Training noise: its share of the average's variance; the rest is the size of the test set."
    return caption


def _main_columns(view: View, measure: ShownMeasure) -> list:
    columns: list = ["Arm" if view.several_arms else "Decision rule"]
    against = [f"Against {view.reference}"] if view.several_arms else []
    for task in view.tasks:
        columns += numeric("Final", *(["Change"] if task in earlier_tasks(view) else []), *against, group=task)
        columns += numeric(*(["p"] if against and is_claimed(view, measure) else []), group=task)
    others = [f"Average {other.title}" for other in _other_measures(view, measure)]
    noise = ["Training noise"] if view.several_runs else []
    return columns + numeric("Average", *others, *against, "Backward transfer", *noise, group="All tasks")


def _other_measures(view: View, measure: ShownMeasure) -> list[ShownMeasure]:
    """Measures whose averages stand beside the first one's."""
    first, *others = view.measures.values()
    return others if measure == first else []


def _task_cells(view: View, arm: str, task: str, measure: ShownMeasure, rule: str) -> list[Cell]:
    cells = [value_cell(view.arm_value(arm, task, measure.name, rule), measure.write)]
    if task in earlier_tasks(view):
        record = view.arm_task(arm, task, rule)
        change = record.change.get(measure.name) if record else None
        cells.append(value_cell(change, measure.write_difference, NO_LATER_STAGE))
    if view.several_arms:
        cells.append(_difference_cell(view, arm, task, measure, rule))
    if view.several_arms and is_claimed(view, measure):
        why = "the reference itself" if is_reference(view, arm) else "nothing is claimed by this rule"
        claim = view.claim("arms", arm, task) if is_claimed(view, measure, rule) else None
        cells.append(p_cell(claim, "p_corrected", why))
    return cells


def _summary_cells(view: View, arm: str, measure: ShownMeasure, rule: str) -> list[Cell]:
    average = view.arm_summary(arm, "average", measure.name, rule)
    cells = [value_cell(average, measure.write)]
    for other in _other_measures(view, measure):
        cells.append(value_cell(view.arm_summary(arm, "average", other.name, rule), other.write))
    if view.several_arms:
        cells.append(_difference_cell(view, arm, None, measure, rule))
    transfer = view.arm_summary(arm, "backward_transfer", measure.name, rule)
    cells.append(value_cell(transfer, measure.write_difference))
    return cells + ([noise_cell(average)] if view.several_runs else [])


def short(view: View) -> Table:
    """The arms by the plain rule in as few columns as a reader needs first."""
    earlier = earlier_tasks(view)
    accuracy, macro_f1 = view.measures["accuracy"], view.measures["macro_f1"]
    caption = (
        f"Arms in short, {view.main_split} split ({on_items(view, view.main_split)}), argmax: accuracy after the last "
        f"stage and its change since the stage that learnt the task ({view.intervals})."
    )
    columns: list = ["Arm"]
    for task in view.tasks:
        columns += numeric(task, *(["change"] if task in earlier else []))
    columns += numeric("macro-F1, all tasks", "tokens", "time")
    table = Table("arms-short", caption, columns)
    for arm in view.arms:
        row: list = [arm]
        for task in view.tasks:
            row.append(value_cell(view.arm_value(arm, task, accuracy.name), accuracy.write))
            if task in earlier:
                record = view.arm_task(arm, task)
                change = record.change.get(accuracy.name) if record else None
                row.append(value_cell(change, accuracy.write_difference, NO_LATER_STAGE))
        row.append(value_cell(view.arm_summary(arm, "average", macro_f1.name), macro_f1.write))
        if cost := view.find("costs", arm=arm):
            row += [Cell(count(round(cost.tokens + cost.extra_tokens))), Cell(seconds(cost.seconds))]
        else:
            row += [Cell(MISSING, reason="not recorded")] * 2
        table.add(*row)
    return table


def main_tables(view: View) -> list[tuple[str, Table]]:
    """The main table and those that are folded away, each with its heading."""
    rules = main_rules(view)
    if not rules:
        return []
    tables = []
    others = [rule for rule in measured_rules(view) if rule not in rules]
    for shown, name, title in ((rules, "arms", "The same"), (others, "arms-rules", "The other decision rules")):
        for number, measure in enumerate(view.measures.values() if shown else ()):
            suffix = f"-{measure.name.replace('_', '-')}" if number else ""
            heading = f"{title} in {measure.title}" if number else title if name != "arms" else ""
            tables.append((heading, main_table(view, measure, shown, f"{name}{suffix}")))
    return tables
