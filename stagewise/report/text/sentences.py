"""Sentences drawn from the claims by rule; no sentence says more than its claim."""

from dataclasses import dataclass
from typing import NamedTuple

from stagewise.lineage import BASE
from stagewise.metrics.schema import MAJORITY, TFIDF, Claim, Forgetting, Value
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables.number_format import capital, count, interval, listed, p_value, plural
from stagewise.report.task_measures import GENERATION

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
    if not (tasks := [task.task for task in view.metrics.tasks if task.sample]):
        return None
    which = "" if len(tasks) == len(view.scored_tasks) else f" for {listed(tasks)}"
    return (
        f"This experiment ran on the embedded sample{which}: made-up items that show that the workflow works. Figures "
        "on a sample are not a scientific result."
    )


def difference(change: Value, measure: ShownMeasure) -> str:
    """A difference with its interval, of shares in percentage points."""
    bounds = interval(change.low, change.high, measure.write_difference)
    return f"{measure.write_difference(change.value)}{measure.difference_unit}{' ' + bounds if bounds else ''}"


def tested(view: View, claim: Claim) -> str:
    """A claim's difference with its interval and its p-value, which decides."""
    text = difference(claim.difference, view.probes.measure_of(claim))
    if claim.p_corrected is None:
        return text
    p = p_value(claim.p_corrected)
    sign = "" if p.startswith("<") else f"={NO_BREAK}"
    return f"{text}, corrected p{NO_BREAK}{sign}{p.replace(' ', NO_BREAK)}"


def unseen(view: View, claim: Claim) -> str:
    """What a comparison that shows nothing could have missed; empty if that is not known."""
    if claim.detectable is None:
        return ""
    measure = view.probes.measure_of(claim)
    size = measure.write_difference(claim.detectable).lstrip("+")
    return f"less than about {size}{measure.difference_unit} would mostly go unseen"


def learnt_groups(view: View) -> dict[tuple[str, ...], list[list[Claim]]]:
    """What adapters that learnt a task are compared with: claims by their arms, one list for each adapter and task."""
    groups: dict[tuple, list[Claim]] = {}
    for claim in view.select("claims", kind="learnt"):
        groups.setdefault((tuple(claim.arms), claim.task, tuple(claim.lineages)), []).append(claim)
    by_arms: dict[tuple[str, ...], list[list[Claim]]] = {}
    for (arms, *_), claims in groups.items():
        by_arms.setdefault(arms, []).append(claims)
    return by_arms


def learning(view: View, claims: list[Claim]) -> Sentence:
    """A sentence about a task that a stage learnt: against the majority class and the untuned model."""
    first = claims[0]
    against = {claim.against: claim for claim in claims if claim.against != TFIDF}
    name = f"{_stage(view, first.lineages)}{'' if view.several_runs else ', in this training,'}"
    verdict = learning_verdict({name: claim.verdict for name, claim in against.items()})
    parts, own = [], view.own(first.task)
    if value := view.value(first.lineages, first.task, first.split, own.name):
        bounds = interval(value.low, value.high, own.write)
        parts.append(f"{own.title} {own.spoken(value.value)}{' ' + bounds if bounds else ''}")
    names = {MAJORITY: f"the {view.of_tasks.name_majority(first.task)}", BASE: "the untuned model"}
    for other, claim in against.items():
        if claim.difference.value is not None:
            measure = view.measures[claim.measure]
            of = f" of {measure.title}" if measure.name != own.name else ""
            parts.append(f"{difference(claim.difference, measure)}{of} against {names[other]}")
    items = plural(view.items(first.task, first.split), f"{first.split} item")
    spoken = verdict.format(stage=name, task=first.task, majority=names[MAJORITY])
    return Sentence(capital(spoken), f"{listed(parts)} ({items})")


def learning_verdict(verdicts: dict[str, str]) -> str:
    """Put verdicts by what an adapter is compared with into words: a text with {stage}, {task} and {majority}."""
    majority, base = verdicts.get(MAJORITY), verdicts.get(BASE)
    if majority == base == "better":
        return "{stage} learnt {task}"
    if majority == "better" and base is None:
        return "{stage} beats {majority} on {task}"
    if majority == "worse":
        return "{stage} stays below {majority} on {task}"
    if majority == "better":
        return "{stage} beats {majority} on {task}, but not measurably the untuned model"
    return "that {stage} learnt {task} is not shown"


def _stage(view: View, lineages: list[str]) -> str:
    """``stage 2``, with the adapter's path where arms could be confused."""
    number = f"stage {view.adapters[lineages[0]].stage}"
    return f"{number} ({view.stage_path(lineages[0])})" if view.several_arms else number


def against_tfidf(view: View, claims: list[Claim]) -> Sentence | None:
    """Compare an adapter with a bag of words, which costs nothing."""
    claim = next((claim for claim in claims if claim.against == TFIDF), None)
    if claim is None or claim.difference.value is None:
        return None
    words = {
        "better": "{stage} beats {tfidf} on {task}",
        "worse": "{stage} stays below {tfidf} on {task}",
    }
    text = words.get(claim.verdict, "no difference is shown between {stage} and {tfidf} on {task}")
    generated = view.of_tasks.kinds[claim.task] == GENERATION
    tfidf = "the answer of the nearest training item by TF-IDF" if generated else "TF-IDF with logistic regression"
    measure = view.measures[claim.measure]
    figures = f"{difference(claim.difference, measure)} of {measure.title}"
    return Sentence(capital(text.format(stage=_stage(view, claim.lineages), tfidf=tfidf, task=claim.task)), figures)


def between_stages(view: View, records: list[Forgetting]) -> Sentence:
    """An earlier task after a stage between; several records are its runs. Nothing is claimed."""
    record, measure = records[0], view.own(records[0].task)
    after = f"after {_stage(view, [record.after_lineage])}"
    changes = [change for r in records if (change := r.changes[measure.name]).value is not None]
    if not changes:
        return Sentence(capital(f"{after} {record.task} has no {measure.title}"))
    if len(changes) > 1:
        moves = sorted(change.value for change in changes)
        span = f"{measure.write_difference(moves[0])} to {measure.write_difference(moves[-1])}{measure.difference_unit}"
        return Sentence(
            capital(f"{after} {record.task} had changed by {span} of {measure.title} over {view.over_runs()}")
        )
    counts = ""
    if record.pairs:
        counts = f", {plural(record.pairs.lost, 'item')} lost and {count(record.pairs.gained)} gained"
    return Sentence(
        capital(f"{after} {record.task} had changed by {difference(changes[0], measure)} of {measure.title}{counts}")
    )


def paired(view: View) -> list[list[Forgetting]]:
    """Paired comparisons on the main split, grouped over runs; arms that share both adapters count once."""
    groups: dict[tuple, dict[tuple, Forgetting]] = {}
    for record in view.select("forgetting", comparison="paired", before_split=view.main_split):
        lineages = record.before_lineage, record.after_lineage
        # There is nothing to compare if one adapter answers before and after.
        if lineages[0] != lineages[1]:
            paths = map(view.stage_path, lineages)
            groups.setdefault((record.task, *paths), {}).setdefault(lineages, record)
    return [list(group.values()) for group in groups.values()]
