"""Divergence of each stage's adapter from its parent."""

from stagewise.report.lookup import View
from stagewise.report.tables.number_format import decimal
from stagewise.report.tables.table import Cell, Table, numeric, value_cell


def drift(view: View) -> Table:
    """Divergence of every trained adapter from the weights that it started from."""
    caption = (
        "How far each stage moved the model: the mean divergence KL(parent || adapter) in nats on the "
        f"{view.main_split} items of the task that it learnt, between their distributions over the task's label "
        f"answers and all other text as one more, with intervals ({view.interval}). 0: no answer became more or less "
        "likely. Forgetting of earlier tasks was seen to follow it (Shenfeld et al. 2025, arXiv:2509.04259)."
    )
    table = Table("drift", caption, ["Adapter", *numeric("Divergence")])
    for (stage, task), adapters in view.stages().items():
        for adapter in adapters:
            for record in view.select("drifts", lineage=adapter.lineage, split=view.main_split):
                table.part(f"Stage {stage}: {task}")
                on = f"on {record.task}, " if len(adapter.tasks) > 1 else ""
                name = Cell(view.name(adapter.lineage), f"{on}from the {view.name(record.parent)}")
                table.add(name, value_cell(record.kl, decimal))
    return table
