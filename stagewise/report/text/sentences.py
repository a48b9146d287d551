"""Sentences about learning and forgetting, drawn from the figures by rule.

Each verdict is the claim that the metrics make by an interval; no sentence claims more than that.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from stagewise.lineage import BASE
from stagewise.metrics.schema import MAJORITY, Forgetting, Learning, Value
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure
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
    """A warning if a task ran on the embedded sample."""
    if not (tasks := view.sample_tasks):
        return None
    which = "" if len(tasks) == len(view.tasks) else f" for {listed(tasks)}"
    return (
        f"This experiment ran on the embedded sample{which}: made-up items that show that the workflow works. Figures "
        "on a sample are not a scientific result."
    )


def headline(view: View) -> list[Paragraph]:
    """The result of an experiment with one arm in plain words; with several, what more than one of them share."""
    by_arms: dict[tuple[str, ...], list[Sentence]] = {}
    for adapters in variants(view):
        by_arms.setdefault(tuple(adapters[0].arms), []).extend(learnings(view, adapters))
    if view.several_arms:
        return [Paragraph(_name_arms(view, arms), said) for arms, said in by_arms.items() if len(arms) > 1]
    (arm,) = view.arms
    sentences = [sentence for said in by_arms.values() for sentence in said]
    # The last stage is what the arm ends with; the stages between are among the observations.
    last = {lineage for run in view.runs for lineage in view.steps(arm, run)[-1].answers.values()}
    pairs = [group for group in paired(view) if group[0].after_lineage in last]
    sentences += [forgetting(view, records) for records in pairs]
    if not pairs:
        sentences.append(
            Sentence("No earlier task was scored after a later stage, so nothing is said about forgetting")
        )
    return [Paragraph("", sentences)]


def _name_arms(view: View, arms: tuple[str, ...]) -> str:
    if len(arms) == len(view.arms):
        return "Every arm"
    return f"Arms {listed(arms)}" if len(arms) < 5 else f"{len(arms)} of {len(view.arms)} arms"


def learnings(view: View, adapters: list) -> list[Sentence]:
    """A sentence about each task that a stage learnt; several adapters are its runs."""
    return [learning(view, [adapter.lineage for adapter in adapters], task) for task in adapters[0].tasks]


def variants(view: View) -> list[list]:
    """Adapters grouped over runs, in the order of the tree."""
    return [[view.adapters[lineage] for lineage in lineages] for lineages in view.variants().values()]


def paired(view: View) -> list[list[Forgetting]]:
    """Paired comparisons on the main split, grouped over runs; arms that share both adapters count once."""
    groups: dict[tuple, dict[tuple, Forgetting]] = {}
    for record in view.select("forgetting", comparison="paired", before_split=view.main_split):
        lineages = record.before_lineage, record.after_lineage
        # There is nothing to compare if one adapter answers before and after.
        if lineages[0] != lineages[1]:
            variants = map(view.variant, lineages)
            groups.setdefault((record.task, *variants), {}).setdefault(lineages, record)
    return [list(group.values()) for group in groups.values()]


def stage(view: View, lineage: str) -> str:
    """``stage 2``, with the adapter's path where arms could be confused."""
    number = f"stage {view.adapters[lineage].stage}"
    return f"{number} ({view.variant(lineage)})" if view.several_arms else number


def difference(change: Value, measure: ShownMeasure) -> str:
    """A difference with its interval, of shares in percentage points."""
    bounds = interval(change.low, change.high, measure.write_difference)
    return f"{measure.write_difference(change.value)}{measure.difference_unit}{' ' + bounds if bounds else ''}"


def measured(record: Learning | Forgetting, name: str) -> Value | None:
    """The change in one measure; None if it has no value."""
    change = record.changes.get(name)
    return change if change and change.value is not None else None


def compared(view: View, lineage: str, against: str, task: str) -> Learning | None:
    """An adapter on a task of its stage against one other model, on the main split."""
    return view.find("learning", lineage=lineage, against=against, task=task, split=view.main_split)


def learning(view: View, lineages: list[str], task: str) -> Sentence:
    """A sentence about a task that a stage learnt; several lineages are the runs of one and the same stage."""
    name, accuracy = stage(view, lineages[0]), view.measures["accuracy"]
    runs = []
    for lineage in lineages:
        records = compared(view, lineage, MAJORITY, task), compared(view, lineage, BASE, task)
        value = view.value(lineage, task, view.main_split, accuracy.name)
        if value and all(records):
            runs.append((value, *records))
    if not runs:
        return Sentence(f"What {name} learnt of {task} was not compared with the majority class and the untuned model")
    items = plural(view.items(task, view.main_split), f"{view.main_split} item")
    if len(lineages) > 1:
        return _learning_over_runs(view, runs, capital(name), task, items)
    value, majority, base = runs[0]
    parts = [f"{percent(value.value)}% {interval(value.low, value.high)}".strip()]
    for record, other in ((majority, "the majority class"), (base, "the untuned model")):
        if change := measured(record, accuracy.name):
            parts.append(f"{difference(change, accuracy)} against {other}")
    verdict = _learning_verdict(majority.claim, base.claim).format(stage=name, task=task)
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


def _learning_over_runs(view: View, runs: list, name: str, task: str, items: str) -> Sentence:
    learnt = sum(majority.claim == base.claim == "better" for _, majority, base in runs)
    above = sum(majority.claim == "better" for _, majority, _ in runs)
    accuracies = [value.value for value, _, _ in runs]
    figures = f"accuracy is {percent(min(accuracies))}% to {percent(max(accuracies))}% on {items}"
    if above > learnt:
        figures += f"; measurably above the majority class in {above}, above the untuned model too in {learnt}"
    return Sentence(f"{name} learnt {task} in {learnt} of {_of_runs(view, len(runs))}", figures)


def forgetting(view: View, records: list[Forgetting]) -> Sentence:
    """A sentence about an earlier task after a later stage; several records are its runs."""
    record, accuracy = records[0], view.measures["accuracy"]
    after = f"after {stage(view, record.after_lineage)}"
    if len(records) > 1:
        return _forgetting_over_runs(view, records, after)
    facts = []
    if change := measured(record, accuracy.name):
        sides = ((record.before_lineage, record.before_split), (record.after_lineage, record.after_split))
        before, last = (view.value(lineage, record.task, split, accuracy.name) for lineage, split in sides)
        moved = f"from {percent(before.value)}% to {percent(last.value)}% on the same {_items(view, record)}"
        facts.append(f"accuracy went {moved}, {difference(change, accuracy)}")
    if record.pairs:
        p = p_value(record.pairs.mcnemar_p)
        p = f"p {p}" if p.startswith("<") else f"p = {p}"
        counts = f"{plural(record.pairs.lost, 'item')} lost and {count(record.pairs.gained)} gained"
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
    moves = sorted(change.value for record in records if (change := measured(record, "accuracy")))
    text = f"{capital(after)} {records[0].task} is, over {_of_runs(view, len(records))}, {said}"
    if not moves:
        return Sentence(text)
    span, items = f"{points(moves[0])} to {points(moves[-1])} points", _items(view, records[0])
    return Sentence(text, f"accuracy changed by {span} on the same {items}")


def _items(view: View, record: Forgetting) -> str:
    answers = view.predictions(record.before_lineage, record.task, record.before_split)
    return plural(answers.items, f"{record.before_split} item")


def _of_runs(view: View, n: int) -> str:
    """``2 seeds``, ``10 folds`` or ``20 runs``."""
    return view.over_runs() if n == len(view.runs) else plural(n, "run")


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def uncapital(text: str) -> str:
    return text[:1].lower() + text[1:]
