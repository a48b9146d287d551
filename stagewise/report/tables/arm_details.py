"""Details of arms: retention, the matrix metrics, the power of the comparison, and cost."""

from stagewise.metrics.schema import Value
from stagewise.report.lookup import View
from stagewise.report.tables import number_format
from stagewise.report.tables.arms import arm_cell, is_reference, measured_rules, p_cell
from stagewise.report.tables.number_format import MISSING, count, interval, percent, points
from stagewise.report.tables.table import Cell, Column, Table, claim, numeric, value, value_cell

STATISTICS = {
    "average": "Average",
    "backward_transfer": "Backward transfer",
    "forgetting": "Forgetting",
    "forward_transfer": "Forward transfer",
}


def kept(view: View) -> Table:
    """Every earlier task after the stage that learnt it and after the last, over runs and under each rule."""
    rules = measured_rules(view)
    caption = (
        f"Earlier tasks of each arm, {view.main_split} split: accuracy in percent after the stage that learnt the task "
        f"and after the arm's last stage, and the change in points with its interval ({view.intervals}), under every "
        "decision rule. Forgotten, retained: runs whose own interval carries it; a task is retained where accuracy is "
        "still above both the majority class and the untuned model."
    )
    columns = ["Arm", *numeric("Learnt", "Last", group="Argmax"), *numeric(*rules, group="Change")]
    table = Table("kept", caption, [*columns, *numeric("Forgotten", "Retained", group="Runs")])
    for task in view.tasks:
        for arm in view.arms:
            records = {rule: view.arm_task(arm, task, rule) for rule in rules}
            plain = records.get("argmax")
            if plain is None or not plain.earlier:
                continue
            table.part(task)
            by_run = view.last_forgetting(arm, task)
            counts = [sum(r.claim == "forgotten" for r in by_run), sum(r.retained == "retained" for r in by_run)]
            table.add(
                arm_cell(view, arm),
                value_cell(view.arm_value(arm, task, "accuracy", stage=plain.learnt_stage)),
                value_cell(view.arm_value(arm, task, "accuracy")),
                *(value_cell(record and record.change.get("accuracy"), points) for record in records.values()),
                *(f"{n} of {len(by_run)}" for n in counts),
            )
    return table


def matrix_metrics(view: View) -> Table:
    """Average, backward transfer, forgetting and forward transfer of every arm under argmax."""
    caption = (
        f"Metrics of the stage × task matrix, {view.main_split} split, argmax, with intervals ({view.intervals}). "
        "Average, backward and forward transfer as Lopez-Paz & Ranzato (2017) define them, forgetting as Chaudhry et "
        "al. (2018): by how much the last score is worse than the best at any earlier stage. Of shares, the average is "
        f"in percent, the rest in points.{view.direction_note}"
    )
    table = Table("matrix-metrics", caption, ["Arm", *numeric(*STATISTICS.values())])
    for name, measure in view.measures.items():
        table.part(measure.heading)
        for arm in view.arms:
            row: list = [arm_cell(view, arm)]
            for statistic in STATISTICS:
                write = measure.write if statistic == "average" else measure.write_difference
                row.append(value_cell(view.arm_summary(arm, statistic, name), write))
            table.add(*row)
    return table


def against_reference(view: View) -> Table:
    """Power and outcome of the comparison with the reference arm, accuracy under argmax."""
    caption = (
        f"Accuracy against the arm {view.reference} on the same items and runs, argmax, {view.main_split} split, in "
        "points. The interval of items alone is the size of the test set, that of training alone the noise between "
        "runs; the claim goes by both together and by Holm's p. Smallest effect: the difference that these items would "
        "have shown with 80% power (Connor 1987); a smaller one may be there and unseen."
    )
    columns = ["Arm", Column("Claim"), *numeric("Difference", "Items alone", "Training alone", "p", "Holm p")]
    table = Table("against-reference", caption, [*columns, *numeric("Smallest effect")])
    for task in [*view.tasks, None]:
        for arm in view.arms:
            record = view.arm_difference(arm, task, "accuracy")
            if record is None or is_reference(view, arm):
                continue
            table.part(task or "Mean over all tasks")
            verdict = claim(record.claim)
            reason = (record.reason or "").rstrip(".") if record.claim == "not claimed" else None
            table.add(
                arm_cell(view, arm),
                Cell(verdict.text, reason=reason, style=verdict.style, sign=verdict.sign),
                value_cell(record.difference, points),
                _bounds_cell(record.items or record.difference),
                _bounds_cell(record.training),
                p_cell(record, "p", "a mean over tasks has no test"),
                p_cell(record, "p_holm", "a mean over tasks has no test"),
                value(record.smallest_effect, percent, "no test, so none"),
            )
    return table


def _bounds_cell(bounds: Value | None) -> Cell:
    """An interval alone; there is none of training with one run."""
    if bounds is None:
        return Cell(MISSING, reason="one run, which says nothing about training noise")
    text = interval(bounds.low, bounds.high, points)
    return Cell(text) if text else Cell(MISSING, reason=bounds.reason or "one run")


def cost(view: View) -> Table:
    """Cost of one run of each arm."""
    caption = (
        f"What one run of each arm costs{', the mean over ' + view.over_runs() if view.several_runs else ''}. "
        "Trainings, tokens and time count every stage of the arm, also those that it shares with others and that were "
        "trained once. Extra tokens are read beside the training, such as by a teacher. Adapters: those to keep so as "
        f"to answer every task.{f' Ratios are to {view.reference}.' if view.several_arms else ''}"
    )
    columns = ["Arm", *numeric("Trainings", "Merges", "Tokens", "Extra tokens", "Time")]
    if view.several_arms:
        columns += numeric("Tokens", "Time", group=f"Times {view.reference}")
    table = Table("cost", caption, [*columns, *numeric("Adapters kept", "Their size")])
    for arm in view.arms:
        record = view.find("costs", arm=arm)
        if record is None:
            continue
        ratios = (record.tokens_over_reference, record.seconds_over_reference) if view.several_arms else ()
        table.add(
            arm_cell(view, arm),
            number_format.number(record.trainings),
            number_format.number(record.merges),
            f"{record.tokens:,.0f}",
            f"{record.extra_tokens:,.0f}",
            number_format.seconds(record.seconds),
            *(value(ratio, lambda n: f"{n:.2f}") for ratio in ratios),
            count(record.adapters),
            value(record.bytes, number_format.size),
        )
    return table
