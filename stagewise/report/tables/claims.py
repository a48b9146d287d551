"""Every claim of the report with its test."""

from stagewise.lineage import BASE
from stagewise.metrics.schema import MAJORITY, TFIDF, Claim
from stagewise.report.lookup import View
from stagewise.report.tables.arms import MEAN_OVER_TASKS, p_cell
from stagewise.report.tables.table import Cell, Column, Table, numeric, value, value_cell, verdict_cell

KINDS = {
    "kept": "Earlier tasks at the end, against the adapter that learnt them",
    "arms": "Arms at the end, against their reference arm",
    "learnt": "Tasks when learnt, against models that never learnt them",
    "probe": "Probes at the end, against the untuned model",
    "retained": "Earlier tasks at the end, against models that never learnt them",
}
"""Heading of each kind of claim, in the order of interest."""


def claims(view: View) -> Table:
    """Every comparison that the report claims something about, by kind."""
    caption = (
        f"Every claim of this report, {view.main_split} split, argmax; differences of shares in percentage points. "
        "Corrected p: Holm's correction over all rows together. Detectable: the difference that the comparison would "
        "find with 80% power."
    )
    columns = ["Of", Column("Task"), Column("Against"), *numeric("Difference", "p", "Corrected p", "Detectable")]
    table = Table("claims", caption, [*columns, Column("Verdict")])
    for kind, heading in KINDS.items():
        for claim in view.select("claims", kind=kind):
            table.part(heading)
            measure = view.probes.measure_of(claim)
            table.add(
                Cell(view.whose(claim.arms) if view.several_arms else view.stage_path(claim.lineages[0])),
                Cell(claim.task or MEAN_OVER_TASKS, "" if measure == view.primary else measure.title),
                _against(view, claim),
                value_cell(claim.difference, measure.write_difference),
                p_cell(claim, "p", "no score"),
                p_cell(claim, "p_corrected", "no score"),
                value(claim.detectable, measure.write, "nothing is known of the noise"),
                verdict_cell(claim, view.several_runs, higher_is_better=measure.higher_is_better),
            )
    return table


def _against(view: View, claim: Claim) -> str:
    if claim.against in (BASE, MAJORITY, TFIDF):
        return view.name(claim.against_lineages[0])
    return "when learnt" if claim.against == "learnt" else f"arm {claim.against}"
