"""What each stage taught and what was forgotten, in sentences drawn from the figures by rule.

Each verdict is the claim that the metrics make by an interval; no sentence claims more than that.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from stagewise.lineage import BASE
from stagewise.metrics.schema import MAJORITY, Change, Forgetting, Learning
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import count, interval, listed, p_value, percent, plural, points

NO_BREAK = "\N{NO-BREAK SPACE}"


class Sentence(NamedTuple):
    """A verdict in words and the figures behind it."""

    verdict: str
    figures: str = ""

    @property
    def text(self) -> str:
        return f"{self.verdict}: {self.figures}." if self.figures else f"{self.verdict}."


@dataclass(frozen=True)
class Paragraph:
    """Sentences that belong together; `lead` names the arm where there are several."""

    lead: str
    sentences: list[Sentence]

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)


def sample_warning(view: View) -> str | None:
    """What to say where a task ran on the embedded sample."""
    if not (tasks := view.sample_tasks):
        return None
    which = "" if len(tasks) == len(view.tasks) else f" for {listed(tasks)}"
    return (
        f"This experiment ran on the embedded sample{which}: made-up items that show that the workflow works. Figures "
        "on a sample are no scientific result."
    )


def headline(view: View) -> list[Paragraph]:
    """The result of an experiment with one arm in plain words; with several, what more than one of them share."""
    by_arms: dict[tuple[str, ...], list[Sentence]] = {}
    for adapters in variants(view):
        by_arms.setdefault(tuple(adapters[0].arms), []).extend(learnings(view, adapters))
    if view.several_arms:
        return [Paragraph(_who(view, arms), found) for arms, found in by_arms.items() if len(arms) > 1]
    (arm,) = view.arms
    sentences = [sentence for found in by_arms.values() for sentence in found]
    # The last stage is what the arm ends with; the stages between are among the observations.
    last = {lineage for run in view.runs for lineage in view.steps(arm, run)[-1].answers.values()}
    pairs = paired(view, [r for r in view.metrics.forgetting if r.after_lineage in last])
    sentences += [forgetting(view, records) for records in pairs]
    if not pairs:
        sentences.append(
            Sentence("No earlier task was scored after a later stage, so nothing is said about forgetting")
        )
    return [Paragraph("", sentences)]


def _who(view: View, arms: tuple[str, ...]) -> str:
    if len(arms) == len(view.arms):
        return "Every arm"
    return f"Arms {listed(arms)}" if len(arms) < 5 else f"{len(arms)} of {len(view.arms)} arms"


def learnings(view: View, adapters: list) -> list[Sentence]:
    """What one stage taught, a sentence for each of its tasks; several adapters are its runs."""
    return [learning(view, [adapter.lineage for adapter in adapters], task) for task in adapters[0].tasks]


def variants(view: View) -> list[list]:
    """Adapters grouped over runs, in the order of the tree."""
    return [[view.adapters[lineage] for lineage in lineages] for lineages in view.variants().values()]


def paired(view: View, records: list[Forgetting]) -> list[list[Forgetting]]:
    """Paired comparisons on the main split, grouped over runs; arms that share both adapters count once."""
    groups: dict[tuple, dict[tuple, Forgetting]] = {}
    for record in records:
        # Where one adapter answers before and after there is nothing to compare.
        same = record.before_lineage == record.after_lineage
        if record.comparison == "paired" and record.before_split == view.main_split and not same:
            pair = view.variant(record.before_lineage), view.variant(record.after_lineage)
            own = record.before_lineage, record.after_lineage
            groups.setdefault((record.task, *pair), {}).setdefault(own, record)
    return [list(group.values()) for group in groups.values()]


def stage(view: View, lineage: str) -> str:
    """``stage 2``, with the adapter's path where arms could be confused."""
    number = f"stage {view.adapters[lineage].stage}"
    return f"{number} ({view.variant(lineage)})" if view.several_arms else number


def difference(change: Change) -> str:
    """A difference in percentage points with its interval."""
    bounds = interval(change.difference.low, change.difference.high, points)
    return f"{points(change.difference.value)} points{' ' + bounds if bounds else ''}"


def measured(changes: list[Change], name: str) -> Change | None:
    """The change in one measure."""
    return next((change for change in changes if change.measure == name), None)


def compared(view: View, lineage: str, against: str, task: str) -> Learning | None:
    """An adapter on a task of its own against one other scorer, on the main split."""
    wanted = lineage, against, task, view.main_split
    return next((r for r in view.metrics.learning if (r.lineage, r.against, r.task, r.split) == wanted), None)


def learning(view: View, lineages: list[str], task: str) -> Sentence:
    """What one stage taught of one task; several lineages are the runs of one and the same stage."""
    who = stage(view, lineages[0])
    found = []
    for lineage in lineages:
        records = compared(view, lineage, MAJORITY, task), compared(view, lineage, BASE, task)
        score = view.score(lineage, task, view.main_split)
        if score and all(records):
            found.append((score, *records))
    if not found:
        return Sentence(f"What {who} learnt of {task} was not compared with the majority class and the untuned model")
    if len(lineages) > 1:
        return _learning_over_runs(view, found, capital(who), task)
    score, majority, base = found[0]
    parts = [f"{percent(score.accuracy.value)}% {interval(score.accuracy.low, score.accuracy.high)}".strip()]
    for record, whom in ((majority, "the majority class"), (base, "the untuned model")):
        if change := measured(record.changes, "accuracy"):
            parts.append(f"{difference(change)} against {whom}")
    verdict = _learning_verdict(majority.claim, base.claim).format(stage=who, task=task)
    items = plural(score.items, f"{score.split} item")
    return Sentence(capital(verdict), f"accuracy on {items} is {listed(parts)}")


def _learning_verdict(majority: str, base: str) -> str:
    if "not claimed" in (majority, base):
        return "nothing is claimed about what {stage} learnt of {task}"
    if majority == "worse":
        return "{stage} ends below the majority class on {task}"
    if majority != "better":
        return "{stage} is not measurably above the majority class on {task}"
    if base != "better":
        return "{stage} is above the majority class on {task}, but not measurably above the untuned model"
    return "{stage} learnt {task}"


def _learning_over_runs(view: View, found: list, who: str, task: str) -> Sentence:
    learnt = sum(majority.claim == base.claim == "better" for _, majority, base in found)
    above = sum(majority.claim == "better" for _, majority, _ in found)
    accuracies = [score.accuracy.value for score, _, _ in found]
    figures = f"accuracy is {percent(min(accuracies))}% to {percent(max(accuracies))}% on "
    figures += plural(found[0][0].items, f"{found[0][0].split} item")
    if above > learnt:
        figures += f"; measurably above the majority class in {above}, above the untuned model too in {learnt}"
    return Sentence(f"{who} learnt {task} in {learnt} of {_of_runs(view, len(found))}", figures)


def forgetting(view: View, records: list[Forgetting]) -> Sentence:
    """Whether a later stage made the model forget an earlier task; several records are its runs."""
    record = records[0]
    after = f"after {stage(view, record.after_lineage)}"
    if len(records) > 1:
        return _forgetting_over_runs(view, records, after)
    facts = []
    if change := measured(record.changes, "accuracy"):
        items = plural(record.before_items, f"{record.before_split} item")
        moved = f"from {percent(change.before)}% to {percent(change.after)}% on the same {items}"
        facts.append(f"accuracy went {moved}, {difference(change)}")
    if record.pairs:
        p = p_value(record.pairs.mcnemar_p)
        p = f"p {p}" if p.startswith("<") else f"p = {p}"
        counts = f"{count(record.pairs.lost)} items lost and {count(record.pairs.gained)} gained"
        facts.append(f"{counts} (McNemar {p.replace(' ', NO_BREAK)})")
    verdicts = {
        "forgotten": f"{after} {record.task} is forgotten",
        "no measurable change": f"neither forgetting of {record.task} nor its absence is shown {after}",
        "improved": f"{after} {record.task} is not forgotten but improved",
    }
    reason = record.reason.rstrip(".")
    verdict = verdicts.get(record.claim, f"nothing is called forgetting of {record.task} {after}; {uncapital(reason)}")
    return Sentence(capital(verdict), "; ".join(facts))


def _forgetting_over_runs(view: View, records: list[Forgetting], after: str) -> Sentence:
    claims = Counter(record.claim for record in records)
    words = {
        "forgotten": "forgotten in {}",
        "no measurable change": "not measurably changed in {}",
        "improved": "improved in {}",
        "not claimed": "without a claim in {}",
    }
    said = listed(text.format(claims[claim]) for claim, text in words.items() if claims[claim])
    changes = [change for record in records if (change := measured(record.changes, "accuracy"))]
    moves = sorted(change.difference.value for change in changes if change.difference.value is not None)
    items = plural(records[0].before_items, f"{records[0].before_split} item")
    text = f"{capital(after)} {records[0].task} is, over {_of_runs(view, len(records))}, {said}"
    if not moves:
        return Sentence(text)
    return Sentence(text, f"accuracy changed by {points(moves[0])} to {points(moves[-1])} points on the same {items}")


def _of_runs(view: View, n: int) -> str:
    """``2 seeds``, ``10 folds`` or ``20 runs``."""
    return view.over_runs() if n == len(view.runs) else plural(n, "run")


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def uncapital(text: str) -> str:
    return text[:1].lower() + text[1:]
