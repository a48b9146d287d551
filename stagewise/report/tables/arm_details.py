"""Details of arms: retention, the matrix metrics, the power of the comparison, and cost."""

from stagewise.metrics.schema import Value
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables import number_format
from stagewise.report.tables.arms import arm_cell, is_reference, measured_rules, p_cell
from stagewise.report.tables.number_format import MISSING, count, interval
from stagewise.report.tables.table import Cell, Column, Table, numeric, value, value_cell, verdict_cell

STATISTICS = {
    "average": "Average",
    "backward_transfer": "Backward transfer",
    "forgetting": "Forgetting",
    "forward_transfer": "Forward transfer",
}


def kept(view: View) -> Table:
    """Every earlier task after the stage that learnt it and after the last, over runs and under each rule."""
    rules, measure = measured_rules(view), view.primary
    caption = (
        f"Earlier tasks of each arm, {view.main_split} split: {measure.title} after the stage that learnt the task and "
        f"after the arm's last stage, and its change with intervals ({view.intervals}) under every decision rule. The "
        "claim is about the plain answers (argmax) and corrected with all others of the report."
    )
    columns = ["Arm", Column("Claim"), *numeric("Learnt", "Last", group="Argmax"), *numeric(*rules, group="Change")]
    table = Table("kept", caption, columns)
    for task in view.earlier_tasks():
        for arm in view.arms:
            if task not in view.earlier_tasks(arm):
                continue
            table.part(task)
            changes = [view.change(arm, task, measure.name, rule) for rule in rules]
            table.add(
                arm_cell(view, arm),
                verdict_cell(view.claim("kept", arm, task), view.several_runs),
                value_cell(view.learnt_value(arm, task, measure.name), measure.write),
                value_cell(view.arm_value(arm, task, measure.name), measure.write),
                *(value_cell(change, measure.write_difference) for change in changes),
            )
    return table


def matrix_metrics(view: View) -> Table:
    """Average, backward transfer, forgetting and forward transfer of every arm under argmax."""
    caption = (
        f"Metrics of the stage × task matrix, {view.main_split} split, argmax, with intervals ({view.intervals}). "
        "Average, backward and forward transfer as Lopez-Paz & Ranzato (2017) define them, forgetting as Chaudhry et "
        "al. (2018): by how much the last score is worse than the best at any earlier stage. Of shares, the average is "
        f"in percent, the rest in points.{view.direction_note()}"
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
    """Power and outcome of the comparison with the reference arm, on each task."""
    measure = view.primary
    caption = (
        f"{measure.heading} against the arm {view.reference} on the same items and runs, argmax, {view.main_split} "
        "split. The interval of items alone is the size of the test set, that of training alone the noise between "
        "runs; the claim goes by both together and by the p-value corrected with all claims of the report. "
        "Detectable: the difference that this comparison finds with 80% power; a smaller one may be there and unseen."
    )
    columns = ["Arm", Column("Claim"), *numeric("Difference", "Items alone", "Training alone", "p", "Corrected p")]
    table = Table("against-reference", caption, [*columns, *numeric("Detectable")])
    for task in view.ordered_tasks:
        for arm in view.arms:
            record, claim = view.arm_difference(arm, task, measure.name), view.claim("arms", arm, task)
            if record is None or claim is None or is_reference(view, arm):
                continue
            table.part(task)
            table.add(
                arm_cell(view, arm),
                verdict_cell(claim, view.several_runs),
                value_cell(claim.difference, measure.write_difference),
                _bounds_cell(record.items or record.difference, measure),
                _bounds_cell(record.training, measure),
                p_cell(claim, "p"),
                p_cell(claim, "p_corrected"),
                value(claim.detectable, measure.write, "nothing is known of the noise"),
            )
    return table


def _bounds_cell(bounds: Value | None, measure: ShownMeasure) -> Cell:
    """An interval alone; there is none of training with one run."""
    if bounds is None:
        return Cell(MISSING, reason="one run, which says nothing about training noise")
    text = interval(bounds.low, bounds.high, measure.write_difference)
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
