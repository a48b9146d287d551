"""Conclusions about arms, drawn from the figures by rule; what an interval does not carry is not claimed.

Every claim goes by the interval over items and runs together. That nothing changed is never claimed: an interval
around 0 says that the data cannot tell.
"""

from stagewise.metrics.schema import Forgetting, Value
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import listed, p_value, percent, plural
from stagewise.report.text.prior import moved, prior
from stagewise.report.text.sentences import NO_BREAK, Paragraph, Sentence, headline

FEW_RUNS = 5


def lead(view: View) -> list[Paragraph]:
    """The lead before the conclusions of several arms; with one arm, the whole result."""
    paragraphs = headline(view)
    if view.several_arms:
        return paragraphs
    (paragraph,), (arm,) = paragraphs, view.arms
    said = [sentence for task in view.tasks if (sentence := prior(view, arm, task))]
    return [Paragraph(paragraph.lead, paragraph.sentences + said)]


def conclusions(view: View) -> list[Paragraph]:
    """A paragraph per arm: retention, distance to the reference arm, and the part of a shifted prior."""
    return [Paragraph(f"Arm {arm}", of_arm(view, arm)) for arm in view.arms]


def of_arm(view: View, arm: str) -> list[Sentence]:
    """The arm's sentences."""
    sentences = [against_reference(view, arm)] if arm != view.reference else []
    sentences += [kept(view, arm, task) for task in view.tasks]
    sentences += [prior(view, arm, task) for task in view.tasks]
    said = [sentence for sentence in sentences if sentence]
    return said or [Sentence("No earlier task was scored after a later stage, so nothing is said about forgetting")]


def runs_remark(view: View) -> str:
    """A caveat on the number of runs."""
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


def against_reference(view: View, arm: str) -> Sentence | None:
    """Compare the arm's last accuracy with the reference arm's, task by task."""
    by_claim: dict[str, list[str]] = {}
    facts = []
    for task in view.tasks:
        record = view.arm_difference(arm, task, "accuracy")
        if record is None or record.difference.value is None:
            continue
        by_claim.setdefault(record.claim, []).append(task)
        p = ""
        if record.p_holm is not None:
            p = p_value(record.p_holm)
            p = f" (Holm p {p})" if p.startswith("<") else f" (Holm p = {p})"
        unseen = record.claim == "no measurable difference" and record.smallest_effect is not None
        power = f"; less than about {percent(record.smallest_effect)} points could go unseen" if unseen else ""
        facts.append(f"{moved(record.difference)} on {task}{p.replace(' ', NO_BREAK, 3)}{power}")
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
    """Say if the arm forgot an earlier task, and if it still beats those who never learnt it."""
    change = _change(view, arm, task)
    if change is None:
        return None
    records = view.last_forgetting(arm, task)
    if records and all(record.before_lineage == record.after_lineage for record in records):
        return Sentence(f"It cannot forget {task}, because the adapter that learnt it still answers it")
    verdict = _verdict(change, records)
    retained = sum(record.retained == "retained" for record in records)
    if not records:
        still = ""
    elif retained == len(records):
        still = "it is retained, above both the majority class and the untuned model" + _in_every(records)
    else:
        runs = f" in {len(records) - retained} of {plural(len(records), 'run')}" if len(records) > 1 else ""
        still = f"that it is retained above the majority class and the untuned model is not shown{runs}"
    stage = view.arm_task(arm, task).learnt_stage
    learnt, last = view.arm_value(arm, task, "accuracy", stage=stage), view.arm_value(arm, task, "accuracy")
    facts = f"accuracy went from {percent(learnt.value)}% to {percent(last.value)}%, {moved(change)}"
    return Sentence(verdict.format(task=task), "; ".join(filter(None, (facts, still))))


def _change(view: View, arm: str, task: str) -> Value | None:
    """The change of accuracy since an earlier task was learnt; None if there is none."""
    record = view.arm_task(arm, task)
    change = record.change.get("accuracy") if record and record.earlier else None
    return change if change and change.value is not None else None


def _in_every(records: list) -> str:
    return f" in each of {plural(len(records), 'run')}" if len(records) > 1 else ""


def _verdict(change: Value, records: list[Forgetting]) -> str:
    low, high = change.low, change.high
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
