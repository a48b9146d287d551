"""Arms by the mean over orders of tasks, as sequences of tasks are usually compared."""

from stagewise.metrics.schema import Value
from stagewise.report.lookup import View
from stagewise.report.tables.arms import MAX_TASKS, NO_LATER_STAGE
from stagewise.report.tables.number_format import capital
from stagewise.report.tables.table import Cell, Column, Table, numeric, value_cell
from stagewise.report.task_orders import arms_over_orders


def over_orders(view: View) -> Table:
    """Final scores, their average and backward transfer by the primary measure, the mean over orders."""
    names = [name for name, tasks in (view.experiment.config.get("orders") or {}).items() if tasks]
    caption = (
        f"{capital(view.name_primary())} after the last stage, {view.main_split} split, argmax: the mean over orders "
        "of tasks. It has no interval and nothing is claimed from it: orders are few and were chosen, not drawn."
    )
    tasks, mixed = view.ordered_tasks if len(view.tasks) <= MAX_TASKS else (), view.of_tasks.are_mixed
    columns = [Column(task, view.own(task).heading if mixed else "", numeric=True) for task in tasks]
    columns = [Column("Arm"), *numeric("Orders"), *columns, *numeric("Average", "Backward transfer")]
    table = Table("over-orders", caption, columns)
    for base, arms in arms_over_orders(view.orders, names, view.arms).items():
        cells = [
            _mean_cell([view.arm_value(arm, task, view.own(task).name) for arm in arms], view.own(task).write)
            for task in tasks
        ]
        average, transfer = (
            [view.arm_summary(arm, statistic, view.primary.name) for arm in arms]
            for statistic in ("average", "backward_transfer")
        )
        transfer = _mean_cell(transfer, view.primary.write_difference, NO_LATER_STAGE)
        table.add(base or "all arms", str(len(arms)), *cells, _mean_cell(average, view.primary.write), transfer)
    return table


def _mean_cell(values: list[Value | None], write, why: str = "not computed in every order") -> Cell:
    numbers = [value.value for value in values if value is not None and value.value is not None]
    if len(numbers) < len(values):
        return value_cell(None, why=why)
    return Cell(write(sum(numbers) / len(numbers)))
