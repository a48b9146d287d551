"""Settings that sweeps tried, arm by arm."""

from stagewise.metrics.schema import Variant
from stagewise.report.lookup import View
from stagewise.report.tables import number_format
from stagewise.report.tables.table import Cell, Table, numeric, value_cell

MAX_TASKS = 4
"""Tasks that have a column of their own; of more, `report_metrics.json` has the scores."""


def tried(view: View) -> Table:
    """Every setting with the validation score that decides, its final scores and its cost."""
    measure = view.primary
    tasks = view.ordered_tasks if len(view.tasks) <= MAX_TASKS else ()
    runs = f", means over {view.over_runs()}" if view.several_runs else ""
    caption = (
        f"Settings that were tried, {measure.title}{runs}. Validation decides: it is the mean over the tasks learnt, "
        "after the last stage, and the best is chosen, the first of equals. No test item takes part. "
    )
    if tasks:
        caption += f"Tasks: final scores on the {view.main_split} split with intervals; of settings that were not "
        caption += "chosen nothing is claimed. "
    caption += "Steps, tokens (extra ones included) and time are those of one run of the arm with this setting."
    columns = ["Setting", *numeric("Validation", *tasks, "Steps", "Tokens", "Time")]
    table = Table("tried", caption, columns)
    for arm in view.arms:
        for variant in view.select("variants", arm=arm):
            if view.several_arms:
                table.part(f"{view.number(arm)} {arm}")
            table.add(*_cells(view, variant, tasks))
    return table


def _cells(view: View, variant: Variant, tasks: tuple[str, ...]) -> list[Cell]:
    write = view.primary.write
    final = [variant.final.get(task, {}).get(view.primary.name) for task in tasks]
    return [
        Cell(variant.variant, "chosen" if variant.chosen else ""),
        value_cell(variant.validation, write),
        *(value_cell(value, write) for value in final),
        Cell(f"{variant.steps:,.0f}"),
        Cell(f"{variant.tokens + variant.extra_tokens:,.0f}"),
        Cell(number_format.seconds(variant.seconds)),
    ]
