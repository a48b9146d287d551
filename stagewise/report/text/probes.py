"""Sentences about probes: what an arm lost or gained of what it never learnt.

A loss on a probe is not called forgetting: no stage of the arm was shown to have taught it.
"""

from stagewise.metrics.schema import Claim
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import listed, plural
from stagewise.report.tables.probes import last_stage, probe_value
from stagewise.report.text.sentences import Sentence, capital, difference, tested, unseen

MOST = 4
"""Probes with a sentence each; of more, only those of which something is shown."""


def of_arm(view: View, arm: str) -> list[Sentence]:
    """Say what became of each probe of an arm; of many, what is shown, and how many are left."""
    probes = [probe for probe in view.probes.of_arm(arm) if view.probes.change(arm, probe, last_stage(view, arm))]
    claims = {probe: view.claim("probe", arm, probe) for probe in probes}
    if probes and not any(claims.values()):
        return [_unclaimed(view, arm, probes)]
    shown = [probe for probe, claim in claims.items() if claim and claim.verdict in ("better", "worse")]
    told = probes if len(probes) <= MOST else shown
    said = [_change(view, arm, probe, claims[probe]) for probe in told]
    if rest := [probe for probe in probes if probe not in told]:
        said.append(Sentence(f"No change is shown on {plural(len(rest), 'other probe' if told else 'probe')}"))
    if (against := _against_reference(view, arm)) is not None:
        said.append(against)
    return said


def _change(view: View, arm: str, probe: str, claim: Claim | None) -> Sentence:
    """One probe at the end against the untuned model."""
    measure, change = view.probes.measure(probe), view.probes.change(arm, probe, last_stage(view, arm))
    before, after = (probe_value(view, arm, probe, stage) for stage in (0, -1))
    if claim is None or change.value is None or None in (before, after) or None in (before.value, after.value):
        return Sentence(f"Nothing is claimed about the probe {probe}")
    moved = f"{measure.title} {measure.spoken(before.value)} → {measure.spoken(after.value)}"
    facts = [f"{moved}, {tested(view, claim)}"]
    if claim.verdict == "not shown" and (hidden := unseen(view, claim)):
        facts.append(hidden)
    return Sentence(_verdict(view, claim).format(probe=probe), "; ".join(facts))


def _unclaimed(view: View, arm: str, probes: list[str]) -> Sentence:
    """Changes of an arm's probes of which nothing is claimed, of a few with figures."""
    changes = {probe: view.probes.change(arm, probe, last_stage(view, arm)) for probe in probes}
    facts = [
        f"{probe} {difference(change, view.probes.measure(probe))}"
        for probe, change in changes.items()
        if change.value is not None
    ]
    return Sentence("Nothing is claimed about its probes", listed(facts) if len(probes) <= MOST else "")


def _verdict(view: View, claim: Claim) -> str:
    several = view.several_runs
    if claim.verdict == "worse":
        return "It loses on the probe {probe}" if several else "This adapter lost on the probe {probe}"
    if claim.verdict == "better":
        return "It gains on the probe {probe}" if several else "This adapter gained on the probe {probe}"
    return "No change on the probe {probe} is shown"


def _against_reference(view: View, arm: str) -> Sentence | None:
    """Probes on which a difference from the reference arm is shown; None without one."""
    parts = []
    for verdict in ("better", "worse"):
        claims = [view.claim("arms", arm, probe) for probe in view.probes.of_arm(arm)]
        facts = [
            f"{claim.task} ({difference(claim.difference, view.probes.measure_of(claim))})"
            for claim in claims
            if claim and claim.verdict == verdict
        ]
        if facts:
            parts.append(f"{verdict} on {'the probe' if len(facts) == 1 else 'the probes'} {listed(facts)}")
    if not parts:
        return None
    reference = view.reference_of(arm)
    who = f"against {reference} it is" if view.several_runs else f"against that of {reference} this adapter is"
    return Sentence(capital(f"{who} {' and '.join(parts)}"))


def in_short(view: View, arm: str, subject: str, alone: bool) -> str:
    """Part of the sentence at the top: losses on probes that are shown; empty if there are none.

    With `alone`, nothing else is said of the arm: then it says that no loss is shown, too.
    """
    claims = [claim for probe in view.probes.of_arm(arm) if (claim := view.claim("probe", arm, probe))]
    lost = [claim for claim in claims if claim.verdict == "worse"]
    if not lost:
        if not (alone and claims):
            return ""
        verb = "is not shown to lose" if view.several_runs else "is not shown to have lost"
        return f"{subject} {verb} on any of {plural(len(claims), 'probe')}"
    facts = [f"{claim.task} ({difference(claim.difference, view.probes.measure_of(claim))})" for claim in lost]
    named = listed(facts) if len(facts) <= 2 else f"{facts[0]} and {len(facts) - 1} more"
    verb = "loses" if view.several_runs else "lost"
    return f"{subject} {verb} on {'the probe' if len(lost) == 1 else 'the probes'} {named}"


def between_stages(view: View) -> list[Sentence]:
    """Probes after a stage that is no arm's last one. Nothing is claimed."""
    said = []
    for probe in view.probes:
        measure = view.probes.measure(probe)
        for record in view.probes.changes(probe):
            if record.change.value is None or any(record.stage == last_stage(view, arm) for arm in record.arms):
                continue
            after = f"after stage {record.stage} ({view.stage_path(record.lineages[0])})"
            moved = f"{difference(record.change, measure)}{'' if measure.unit else f' of {measure.title}'}"
            said.append(Sentence(capital(f"{after} the probe {probe} had changed by {moved} since the untuned model")))
    return said
