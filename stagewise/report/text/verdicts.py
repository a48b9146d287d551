"""One conclusion per arm, drawn by rule from the figures; what an interval does not carry is not claimed.

Every claim goes by the interval over items and runs together. That nothing changed is never claimed: an interval
around 0 says that the data cannot tell.
"""

from stagewise.metrics.schema import RULES, ArmTask, Forgetting
from stagewise.report.lookup import View, final
from stagewise.report.tables.arms import comparison, last_forgetting
from stagewise.report.tables.number_format import interval, listed, p_value, percent, plural, points
from stagewise.report.text.sentences import NO_BREAK, Paragraph, Sentence, headline

FEW_RUNS = 5


def lead(view: View) -> list[Paragraph]:
    """What stands before the conclusions of several arms; with one arm, the whole result."""
    found = headline(view)
    if view.several_arms:
        return found
    (paragraph,), (arm,) = found, view.arms
    said = [sentence for task in view.tasks if (sentence := prior(view, arm, task))]
    return [Paragraph(paragraph.lead, paragraph.sentences + said)]


def conclusions(view: View) -> list[Paragraph]:
    """A paragraph per arm: what it kept, how it stands against the reference, and how much is a shifted prior."""
    return [Paragraph(f"Arm {arm}", of_arm(view, arm)) for arm in view.arms]


def of_arm(view: View, arm: str) -> list[Sentence]:
    """The arm's sentences."""
    found = [against_reference(view, arm)] if arm != view.reference else []
    found += [kept(view, arm, task) for task in view.tasks]
    found += [prior(view, arm, task) for task in view.tasks]
    said = [sentence for sentence in found if sentence]
    return said or [Sentence("No earlier task was scored after a later stage, so nothing is said about forgetting")]


def runs_remark(view: View) -> str:
    """What the number of runs means for every sentence."""
    runs = len(view.runs)
    if runs == 1:
        return (
            "One run of each arm: training noise is not measured, so the intervals hold for these adapters on other "
            "items, not for another training."
        )
    text = f"Intervals are over items and {view.over_runs()} together"
    if runs < FEW_RUNS:
        return f"{text}; {runs} are too few to measure training noise well, so the intervals may be too narrow."
    return f"{text}."


def moved(value: float | None, low: float | None, high: float | None) -> str:
    """A difference in points with its interval."""
    return f"{points(value)} points {interval(low, high, points)}".strip()


def against_reference(view: View, arm: str) -> Sentence | None:
    """How the arm's last scores stand against the reference arm's, task by task."""
    by_claim: dict[str, list[str]] = {}
    facts = []
    for task in view.tasks:
        record = comparison(view, arm, task, "accuracy")
        if record is None or record.difference.value is None:
            continue
        by_claim.setdefault(record.claim, []).append(task)
        both, p = record.difference.both, ""
        if record.p_holm is not None:
            p = p_value(record.p_holm)
            p = f" (Holm p {p})" if p.startswith("<") else f" (Holm p = {p})"
        unseen = record.claim == "no measurable difference" and record.smallest_effect is not None
        power = f"; less than about {percent(record.smallest_effect)} points could go unseen" if unseen else ""
        facts.append(
            f"{moved(record.difference.value, both.low, both.high)} on {task}{p.replace(' ', NO_BREAK, 3)}{power}"
        )
    if not facts:
        return None
    words = {
        "better": "better on {}",
        "worse": "worse on {}",
        "no measurable difference": "not measurably different on {}",
        "not claimed": "without a claim on {}",
    }
    said = listed(text.format(listed(by_claim[claim])) for claim, text in words.items() if claim in by_claim)
    return Sentence(f"Against {view.reference} it ends {said}", "; ".join(facts))


def kept(view: View, arm: str, task: str) -> Sentence | None:
    """Whether the arm forgot an earlier task, and whether it still beats those who never learnt it."""
    entry = final(view, arm, task, "accuracy")
    if entry is None or not entry.earlier or entry.change.value is None:
        return None
    records = last_forgetting(view, arm, task)
    if records and all(record.before_lineage == record.after_lineage for record in records):
        return Sentence(f"It cannot forget {task}, because the adapter that learnt it still answers it")
    both, verdict = entry.change.both, _verdict(entry, records)
    retained = sum(record.retained == "retained" for record in records)
    if not records:
        still = ""
    elif retained == len(records):
        still = "it is retained, above both the majority class and the untuned model" + _in_every(records)
    else:
        where = f" in {len(records) - retained} of {plural(len(records), 'run')}" if len(records) > 1 else ""
        still = f"that it is retained above the majority class and the untuned model is not shown{where}"
    facts = f"accuracy went from {percent(entry.learnt.value)}% to {percent(entry.final.value)}%, "
    facts += moved(entry.change.value, both.low, both.high)
    return Sentence(verdict.format(task=task), "; ".join(filter(None, (facts, still))))


def _in_every(records: list) -> str:
    return f" in each of {plural(len(records), 'run')}" if len(records) > 1 else ""


def _verdict(entry: ArmTask, records: list[Forgetting]) -> str:
    low, high = entry.change.both.low, entry.change.both.high
    if low is None or high is None:
        return "Nothing is claimed about forgetting of {task}"
    if low > 0:
        return "It has not forgotten {task} but improved on it"
    if high >= 0:
        return "Neither forgetting of {task} nor its absence is shown"
    beaten = [
        r.over_majority is not None and r.over_majority.low is not None and r.over_majority.low > 0 for r in records
    ]
    if beaten and all(beaten):
        return "It has forgotten {task}"
    return (
        "Its accuracy on {task} fell, but that is not called forgetting, because the stage that learnt it was not "
        "measurably above the majority class" + (" in every run" if len(records) > 1 else "")
    )


def prior(view: View, arm: str, task: str) -> Sentence | None:
    """How much of a measured loss the decision rules give back: a shifted label prior, or lost knowledge.

    Most of a loss is called a shifted prior only where under some rule the loss is measurably smaller, even its lower
    bound leaves less than half of it, and AUROC did not measurably fall in any run. All rules are named with their
    figures, so that a reader sees if one was merely lucky.
    """
    plain = final(view, arm, task, "accuracy")
    if plain is None or not plain.earlier or None in (plain.change.value, plain.change.both.high, plain.final.value):
        return None
    loss = plain.change
    if loss.both.high >= 0:
        return None
    others = {rule: final(view, arm, task, "accuracy", rule) for rule in RULES if rule != "argmax"}
    others = {
        rule: entry
        for rule, entry in others.items()
        if entry and None not in (entry.change.value, entry.change.both.low, entry.final.value)
    }
    if not others:
        return None
    back = []
    for rule, entry in others.items():
        gained = min(max(entry.final.value - plain.final.value, 0), -loss.value)
        back.append(f"{'none' if percent(gained) == '0.0' else percent(gained)} by the {rule} rule")
    lows = [entry.change.both.low for entry in others.values()]
    records = last_forgetting(view, arm, task)
    fell, known, figures = _auroc(records)
    if max(lows) > max(loss.both.high, loss.value / 2) and known and not fell:
        verdict = "AUROC did not measurably fall, so most of it is a shifted label prior"
    elif fell and fell == len(records):
        where = f" in each of {plural(len(records), 'run')}" if len(records) > 1 else ""
        verdict = f"AUROC fell too{where}, so knowledge was lost, not only the label prior shifted"
    elif fell:
        verdict = f"AUROC fell in {fell} of {plural(len(records), 'run')}, so in those knowledge was lost as well"
    elif max(lows) > loss.both.high:
        verdict = "part of it is a shifted label prior; whether knowledge was lost as well is not shown"
    else:
        verdict = "how much of it is a shifted label prior is not shown"
    changes = [f"{rule} {moved(e.change.value, e.change.both.low, e.change.both.high)}" for rule, e in others.items()]
    text = f"Of the {percent(-loss.value)} points lost on {task}, {listed(back)} are given back; {verdict}"
    return Sentence(text, "; ".join([f"change by rule: {', '.join(changes)}", *([figures] if figures else [])]))


def _auroc(records: list[Forgetting]) -> tuple[int, bool, str]:
    """Runs in which AUROC measurably fell, whether every run has an interval, and the figures."""
    changes = [record.auroc.difference for record in records if record.auroc]
    known = [change for change in changes if change.low is not None and change.high is not None]
    if not known:
        return 0, False, ""
    moves = sorted(change.value for change in known)
    figures = f"AUROC {moved(known[0].value, known[0].low, known[0].high)}"
    if len(known) > 1:
        figures = f"AUROC {points(moves[0])} to {points(moves[-1])} points over {plural(len(known), 'run')}"
    return sum(change.high < 0 for change in known), len(known) == len(records), figures
