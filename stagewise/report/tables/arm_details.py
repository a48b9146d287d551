"""Details of arms: retention, the matrix metrics, the power of the comparison, and cost."""

from stagewise.metrics.schema import Cost, Value
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables import number_format
from stagewise.report.tables.arms import (
    MAX_TASKS,
    MEAN_OVER_TASKS,
    TASK_SCORES,
    arm_cell,
    arms_by_order,
    measured_rules,
    p_cell,
)
from stagewise.report.tables.number_format import MISSING, capital, count, interval, listed
from stagewise.report.tables.table import Cell, Column, Table, numeric, value, value_cell, verdict_cell
from stagewise.report.task_measures import GENERATION, MULTI_LABEL

STATISTICS = {
    "average": "Average",
    "backward_transfer": "Backward transfer",
    "forgetting": "Forgetting",
    "forward_transfer": "Forward transfer",
}


SAME_BUDGET = "The same budget means the same number of optimizer steps; tokens and time differ."

NO_TASK_CLAIM = "the report claims no more of single tasks than what the reference arms learnt and kept"


def kept(view: View) -> Table:
    """Every earlier task after the stage that learnt it and after the last, over runs and under each rule."""
    rules = measured_rules(view)
    caption = (
        f"Earlier tasks of each arm, {view.main_split} split: {view.name_primary(view.earlier_tasks())} after the "
        f"stage that learnt the task and after the arm's last stage, and its change with intervals ({view.intervals}) "
        "under every decision rule. The claim is about the plain answers (argmax) and corrected with all "
        "others of the report."
    )
    columns = ["Arm", Column("Claim"), *numeric("Learnt", "Last", group="Argmax"), *numeric(*rules, group="Change")]
    table = Table("kept", caption, columns)
    for task in view.earlier_tasks():
        measure = view.own(task)
        for arm in view.arms:
            if task not in view.earlier_tasks(arm):
                continue
            table.part(view.of_tasks.name_measured(task))
            changes = [view.change(arm, task, measure.name, rule) for rule in rules]
            table.add(
                arm_cell(view, arm),
                verdict_cell(
                    view.claim("kept", arm, task),
                    view.several_runs,
                    _why_no_claim(view, arm),
                    measure.higher_is_better,
                ),
                value_cell(view.learnt_value(arm, task, measure.name), measure.write),
                value_cell(view.arm_value(arm, task, measure.name), measure.write),
                *(value_cell(change, measure.write_difference, _why_no_rule(view, task)) for change in changes),
            )
    return table


def _why_no_claim(view: View, arm: str) -> str:
    return NO_TASK_CLAIM if view.claims_average and not view.is_reference(arm) else "not compared"


def _why_no_rule(view: View, task: str) -> str:
    generated = view.of_tasks.kinds[task] in (MULTI_LABEL, GENERATION)
    return "generated answers have no decision rule" if generated else "not computed"


def matrix_metrics(view: View) -> Table:
    """Average, backward transfer, forgetting and forward transfer of every arm under argmax."""
    caption = (
        f"Metrics of the stage × task matrix, {view.main_split} split, argmax, with intervals ({view.intervals}). "
        "Average, backward and forward transfer as Lopez-Paz & Ranzato (2017) define them, forgetting as Chaudhry et "
        "al. (2018): by how much the last score is worse than the best at any earlier stage. Of shares, the average is "
        f"in percent, the rest in points.{view.direction_note()}"
    )
    statistics = STATISTICS | ({"probe_change": "Probes, change"} if view.probes.among_tasks else {})
    if len(statistics) > len(STATISTICS):
        caption += (
            " Probes, change: the mean over the tasks that the arm does not learn of the score at the end minus the "
            "untuned model's; forward transfer is about tasks that it learns later."
        )
    table = Table("matrix-metrics", caption, ["Arm", *numeric(*statistics.values())])
    if view.of_tasks.are_mixed:
        caption += f" {view.primary.heading}: {TASK_SCORES}."
    for name, measure in view.measures.items():
        if not any(view.arm_summary(arm, statistic, name) for arm in view.arms for statistic in statistics):
            continue
        table.part(measure.heading)
        for arm in view.arms:
            row: list = [arm_cell(view, arm)]
            for statistic in statistics:
                write = measure.write if statistic == "average" else measure.write_difference
                row.append(value_cell(view.arm_summary(arm, statistic, name), write, "a task lacks the measure"))
            table.add(*row)
    return table


def against_reference(view: View) -> Table:
    """Power and outcome of the comparison with the reference arm, on each task or on the mean over all."""
    caption = (
        f"{capital(view.name_primary())} against {view.named_reference} on the same items and runs, argmax, "
        f"{view.main_split} split. The interval of items alone is the size of the test set, that of training alone the "
        "noise between runs; the claim goes by both together and by the p-value corrected with all claims of the "
        "report. Detectable: the difference that this comparison finds with 80% power; a smaller one may be there and "
        "unseen."
    )
    columns = ["Arm", Column("Claim"), *numeric("Difference", "Items alone", "Training alone", "p", "Corrected p")]
    table = Table("against-reference", caption, [*columns, *numeric("Detectable")])
    for task in [None] if view.claims_average else view.ordered_tasks:
        measure = view.own(task)
        for reference, arms in _compared(view):
            for arm in arms:
                record, claim = view.arm_difference(arm, task, measure.name), view.claim("arms", arm, task)
                if record is None or claim is None:
                    continue
                heading = view.of_tasks.name_measured(task) if task else MEAN_OVER_TASKS.capitalize()
                table.part(f"{heading}, against {reference}" if len(view.references) > 1 else heading)
                table.add(
                    arm_cell(view, arm),
                    verdict_cell(claim, view.several_runs, higher_is_better=measure.higher_is_better),
                    value_cell(claim.difference, measure.write_difference),
                    _bounds_cell(record.items or record.difference, measure),
                    _bounds_cell(record.training, measure),
                    p_cell(claim, "p"),
                    p_cell(claim, "p_corrected"),
                    value(claim.detectable, measure.write, "nothing is known of the noise"),
                )
    return table


def unclaimed_differences(view: View) -> Table:
    """Differences from the reference arm on each task if claims are about the mean over all; else no rows."""
    tasks = view.ordered_tasks if len(view.tasks) <= MAX_TASKS else ()
    caption = (
        f"{capital(view.name_primary())} against {view.named_reference} on each task, argmax, {view.main_split} "
        f"split, with intervals ({view.intervals}). The claim is about their mean; nothing is claimed of a single task."
    )
    table = Table("differences-by-task", caption, ["Arm", *numeric(*tasks)])
    for reference, arms in _compared(view) if view.claims_average and tasks else ():
        for arm in arms:
            records = [view.arm_difference(arm, task, view.own(task).name) for task in tasks]
            if any(records):
                if len(view.references) > 1:
                    table.part(f"Against {reference}")
                cells = [
                    value_cell(record and record.difference, view.own(task).write_difference)
                    for task, record in zip(tasks, records, strict=True)
                ]
                table.add(arm_cell(view, arm), *cells)
    return table


def _compared(view: View) -> list[tuple[str, list[str]]]:
    """Arms by the reference that they are compared with, without the references themselves."""
    return [
        (reference, [arm for arm in view.arms if view.reference_of(arm) == reference != arm])
        for reference in view.references
    ]


def _bounds_cell(bounds: Value | None, measure: ShownMeasure) -> Cell:
    """An interval alone; there is none of training with one run."""
    if bounds is None:
        return Cell(MISSING, reason="one run, which says nothing about training noise")
    text = interval(bounds.low, bounds.high, measure.write_difference)
    return Cell(text) if text else Cell(MISSING, reason=bounds.reason or "one run")


def cost(view: View) -> Table:
    """Cost of one run of each arm: steps and tokens side by side, and their ratios to the reference arm's."""
    tried = any(view.tried(arm) > 1 for arm in view.arms)
    caption = f"What one run of each arm costs{', the mean over ' + view.over_runs() if view.several_runs else ''}. "
    if view.several_arms:
        caption += f"{SAME_BUDGET} Below each figure, how many times it is that of {view.named_reference}. "
    caption += (
        "Trainings, steps, tokens and time count every stage of the arm, also those that it shares with others and "
        "that were trained once. Extra tokens are read beside the training, such as by a teacher. Adapters: those to "
        "keep so as to answer every task, and their size."
    )
    if tried:
        caption += " Tried: all settings of the arm's sweep together; the other columns are those of the chosen ones."
    columns = numeric("Trainings", "Steps", "Tokens", "Extra tokens", "Time", "Adapters")
    if tried:
        columns += numeric("Settings", "Tokens", "Time", group="Tried")
    table = Table("cost", caption, ["Arm", *columns])
    for arm in arms_by_order(view, table):
        if record := view.find("costs", arm=arm):
            table.add(arm_cell(view, arm), *_cost_cells(view, record), *(_tried_cells(record) if tried else ()))
    return table


def _cost_cells(view: View, record: Cost) -> list[Cell]:
    beside = [number_format.plural(round(record.merges), "merge")] if record.merges else []
    beside += [f"{round(record.adopted)} from elsewhere"] if record.adopted else []
    adapters = Cell(count(record.adapters), *_size(record))
    return [
        Cell(number_format.number(record.trainings), f"+ {listed(beside)}" if beside else ""),
        Cell(f"{record.steps:,.0f}", _steps_detail(view, record)),
        Cell(f"{record.tokens:,.0f}", _ratio(view, record.tokens_over_reference)),
        Cell(f"{record.extra_tokens:,.0f}"),
        Cell(number_format.seconds(record.seconds), _ratio(view, record.seconds_over_reference)),
        adapters,
    ]


def _size(record: Cost) -> tuple[str, str | None]:
    """Size of the adapters to keep, or the reason why it is missing."""
    return ("", "a file is not at hand") if record.bytes is None else (number_format.size(record.bytes), None)


def _ratio(view: View, ratio: float | None) -> str:
    return f"{ratio:.2f} ×" if ratio is not None and view.several_arms else ""


def _steps_detail(view: View, record: Cost) -> str:
    planned = f"of {record.planned_steps:,.0f} (early stopping)" if record.planned_steps else ""
    return "; ".join(filter(None, (planned, _ratio(view, record.steps_over_reference))))


def _tried_cells(record: Cost) -> list[Cell]:
    """Number and cost of all settings that an arm tried."""
    return [
        Cell(count(record.tried)),
        value(record.tried_tokens, lambda n: f"{n:,.0f}"),
        value(record.tried_seconds, number_format.seconds),
    ]
