"""Probes of every arm: before any training, after each stage, and their change since the untuned model."""

from stagewise.lineage import BASE
from stagewise.metrics.schema import ProbeChange, Value
from stagewise.report.lookup import View
from stagewise.report.tables.arms import arm_cell, p_cell
from stagewise.report.tables.number_format import MISSING, count, p_value
from stagewise.report.tables.table import Cell, Column, Table, bare_cell, numeric, value, value_cell, verdict_cell

MOST_STAGES = 4
"""Stages that have a column of their own; of more, the last alone."""

SAME_MODEL = "the untuned model still answers it"

REFERENCES_ALONE = "the report makes claims of probes for the reference arms alone"

UNKNOWN_NOISE = "nothing is known of the noise"


def probe_value(view: View, arm: str, probe: str, stage: int = -1) -> Value | None:
    """An arm's value on a probe after a stage (the last by default): the mean over runs, if there are some."""
    lineages, record = view.answered_by(arm, probe, stage), view.probes.records[probe]
    if record.kind == "task":
        return view.value(lineages, probe, view.main_split, record.measure)
    return view.probes.item_value(lineages, probe)


def last_stage(view: View, arm: str) -> int:
    """Number of the arm's stages."""
    return view.steps(arm)[-1].stage


def heading(view: View, probe: str) -> str:
    """A probe with its measure and items."""
    record, measure = view.probes.records[probe], view.probes.measure(probe)
    direction = "" if measure.higher_is_better else ", lower is better"
    unit = ", %" if measure.is_share else ""
    group = ", a group of tasks" if record.group else ""
    return f"{probe}{group}: {measure.title}{unit}{direction}, {count(record.items)} items"


def probes(view: View) -> Table:
    """Every probe of every arm after each stage, and its change since the untuned model with the claim."""
    stages = max((last_stage(view, arm) for arm in view.arms), default=0)
    each = stages <= MOST_STAGES
    caption = (
        "Probes: what no stage of the arm learns. Values of the untuned model and after "
        f"{'each stage' if each else 'the last stage'}; change: after the last stage against the untuned model, on the "
        f"same items, with intervals ({view.intervals}). Differences of shares are in percentage points. The claim is "
        "corrected with all others of the report; detectable: the difference that the comparison would find with 80% "
        "power."
    )
    columns = [f"Stage {n}" for n in range(1, stages + 1)] if each else ["Last stage"]
    table = Table("probes", caption, ["Arm", Column("Claim"), *numeric("Untuned", *columns, "Change")])
    table.columns += numeric("Corrected p", "Detectable")
    for probe in view.probes:
        measure = view.probes.measure(probe)
        for arm in view.arms:
            if probe not in view.probes.of_arm(arm):
                continue
            table.part(heading(view, probe))
            last, claim = last_stage(view, arm), view.claim("probe", arm, probe)
            why = _why_no_claim(view, arm, probe)
            shown = [probe_value(view, arm, probe, n) if n <= last else None for n in range(stages + 1)]
            shown = shown if each else [shown[0], shown[last]]
            table.add(
                arm_cell(view, arm),
                verdict_cell(claim, view.several_runs, why, measure.higher_is_better),
                *(bare_cell(entry, measure.write, "the arm has no such stage") for entry in shown),
                value_cell(view.probes.change(arm, probe, last), measure.write_difference, why),
                p_cell(claim, "p_corrected", why),
                value(claim and claim.detectable, measure.write, why if claim is None else UNKNOWN_NOISE),
            )
    return table


def _why_no_claim(view: View, arm: str, probe: str) -> str:
    if set(view.answered_by(arm, probe)) == {view.base_of(arm)}:
        return SAME_MODEL
    return REFERENCES_ALONE if view.claims_average and not view.is_reference(arm) else "not compared"


def against_reference(view: View) -> Table:
    """Probes after the last stage, each arm against its reference arm; no rows if that is not claimed."""
    caption = (
        f"Probes after the last stage against {view.named_reference} on the same items and runs, with intervals "
        f"({view.intervals}). The claim goes by the p-value corrected with all claims of the report. A task that the "
        "reference arm learns is a probe of the other arm alone."
    )
    columns = ["Arm", Column("Claim"), *numeric("Difference", "p", "Corrected p", "Detectable")]
    table = Table("probes-against-reference", caption, columns)
    for probe in view.probes:
        measure = view.probes.measure(probe)
        for arm in view.arms:
            claim = view.claim("arms", arm, probe)
            if claim is None or probe not in view.probes.of_arm(arm):
                continue
            table.part(heading(view, probe))
            reference = f", against {claim.against}" if len(view.references) > 1 else ""
            table.add(
                Cell(f"{arm_cell(view, arm).text}{reference}"),
                verdict_cell(claim, view.several_runs, higher_is_better=measure.higher_is_better),
                value_cell(claim.difference, measure.write_difference),
                p_cell(claim, "p"),
                p_cell(claim, "p_corrected"),
                value(claim.detectable, measure.write, UNKNOWN_NOISE),
            )
    return table


def every_change(view: View) -> Table:
    """Each change of a probe since the untuned model and since the stage before."""
    caption = (
        "Probes after each stage: paired change since the untuned model and since the stage before, with intervals "
        f"({view.intervals}). p: over items, of these adapters alone and uncorrected; what is claimed stands above."
    )
    columns = ["After", Column("Arms"), *numeric("Since untuned", "p", "Since the stage before", "p")]
    table = Table("probe-changes", caption, columns)
    for probe in view.probes:
        measure = view.probes.measure(probe)
        before = {(*record.lineages, record.stage): record for record in view.probes.changes(probe, "before")}
        for record in view.probes.changes(probe, BASE):
            table.part(heading(view, probe))
            since = before.get((*record.lineages, record.stage))
            table.add(
                f"Stage {record.stage}: {view.stage_path(record.lineages[0])}",
                view.whose(record.arms) if view.several_arms else "",
                value_cell(record.change, measure.write_difference),
                _p_cell(record),
                value_cell(since and since.change, measure.write_difference, "it is the first stage"),
                _p_cell(since),
            )
    return table.drop_empty()


def _p_cell(record: ProbeChange | None) -> Cell:
    if record is None:
        return Cell(MISSING, reason="it is the first stage")
    return (
        Cell(MISSING, reason="only claims are tested by drawn exchanges")
        if record.p is None
        else Cell(p_value(record.p))
    )
