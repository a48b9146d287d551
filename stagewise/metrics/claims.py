"""Claims: what the report says of adapters and arms, one family with one correction.

A claim is about one measure (`statistics.primary_measure`) on the main split by the plain answers. The majority class
is compared by accuracy whatever that is: any guesser that varies its answers beats it in macro-F1. With one run a claim
is about these very adapters, by an exact test over items. With several it is about the arm: by Student's t over crossed
random effects of items and runs (`crossed`), and by the exact test over items as well. All p-values of a report are
corrected together (Holm 1979), so that the chance of any false claim in it stays below 1 - confidence.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from stagewise.lineage import BASE, Step
from stagewise.measures import MEASURES, PRIMARY, Measure, confusion_counts
from stagewise.metrics import crossed
from stagewise.metrics.arms import ArmScores
from stagewise.metrics.bootstrap import Resampled, Spread
from stagewise.metrics.decision_rules import normalize
from stagewise.metrics.prediction_table import Predictions
from stagewise.metrics.schema import MAJORITY, TFIDF, Claim
from stagewise.metrics.significance import (
    detectable_by_sign_flip,
    detectable_by_t,
    exchange,
    holm,
    items_growth,
    sign_flip,
    sum_by_group,
)

LEARNT_AGAINST = (MAJORITY, BASE, TFIDF)

RETAINED_AGAINST = (MAJORITY, BASE)

SAME_ANSWERS = "Every item is answered as well as before in every run."

NOT_LEARNT = "The stage that learnt the task is not shown to beat the majority class, so there was nothing to forget."


@dataclass(frozen=True)
class Comparison:
    """Two sets of answers to the same items in every run: the second minus the first is what a claim is about."""

    kind: str
    task: str
    against: str
    measure: Measure
    lineages: list[str]
    """Adapters that answer, one a run."""
    against_lineages: list[str]
    """Adapters, or a baseline, on the other side, one a run."""
    arms: list[str] = field(default_factory=list)
    """Arms that these adapters belong to."""

    @property
    def key(self) -> tuple:
        return self.kind, self.task, self.against, *self.lineages, *self.against_lineages


def list_comparisons(
    steps: dict[str, list[list[Step]]],
    tasks: list[str],
    reference: str,
    primary: str,
    answered: Iterable[tuple[str, str]],
) -> list[Comparison]:
    """List what a report claims something about; adapters that several arms share stand there once.

    Parameters
    ----------
    steps
        Each arm after every stage, one list a run.
    tasks
        The experiment's tasks.
    reference
        The arm that others are compared with.
    primary
        The measure that claims are about.
    answered
        Baselines (and ``base``) that answered the main split, with the task.
    """
    answered, comparisons = set(answered), {}

    def add(arm: str, kind: str, task: str, against: str, ours: list[str], theirs: list[str]) -> None:
        measure = MEASURES[PRIMARY if against == MAJORITY else primary]
        comparison = Comparison(kind, task, against, measure, ours, theirs)
        # An adapter is not compared with itself.
        if comparison.lineages != comparison.against_lineages:
            comparisons.setdefault(comparison.key, comparison).arms.append(arm)

    for arm, runs in steps.items():
        for task in tasks:
            learnt = max((step.stage for step in runs[0] if task in step.tasks), default=None)
            if learnt is None:
                continue
            first, last = ([run[stage].answered_by[task] for run in runs] for stage in (learnt, -1))
            for name in LEARNT_AGAINST:
                if (name, task) in answered:
                    add(arm, "learnt", task, name, first, [name] * len(runs))
            if learnt == runs[0][-1].stage or first == last:
                continue
            add(arm, "kept", task, "learnt", last, first)
            for name in RETAINED_AGAINST:
                if (name, task) in answered:
                    add(arm, "retained", task, name, last, [name] * len(runs))
    for arm, runs in steps.items():
        for task in tasks:
            if arm != reference:
                ours, theirs = ([run[-1].answered_by[task] for run in by_run] for by_run in (runs, steps[reference]))
                add(arm, "arms", task, reference, ours, theirs)
    return list(comparisons.values())


def claim_records(arms: ArmScores, reference: str, primary: str, seed: int) -> list[Claim]:
    """Test every comparison, correct them together, and say what each shows.

    Parameters
    ----------
    arms
        Scores of the arms, with those of the base model and the baselines.
    reference
        The arm that others are compared with.
    primary
        The measure that claims are about.
    seed
        Of drawn exchanges, for a measure other than a share of right answers.
    """
    answered = [(name, task) for name, task, split in arms.scores.predictions if split == arms.split]
    comparisons = list_comparisons(arms.steps, arms.tasks, reference, primary, answered)
    spreads = _spreads(arms, comparisons)
    tested = [Tested.of(arms, c, spread, seed) for c, spread in zip(comparisons, spreads, strict=True)]
    usable = [test for test in tested if test.p is not None]
    level = 1 - arms.bootstrap.confidence
    corrected = holm([test.p for test in usable])
    # Holm's step at which the claims that are not shown were stopped: what a difference would have had to pass.
    step = level / max(1, sum(p >= level for p in corrected))
    for test, p in zip(usable, corrected, strict=True):
        test.p_corrected, test.detectable = p, test.smallest.at(step)
    claims = [test.claim(level, arms.split) for test in tested]
    return [_gate(claim, claims) for claim in claims]


def _spreads(arms: ArmScores, comparisons: list[Comparison]) -> list[Spread]:
    """The interval of every comparison; those of one kind tell the noise between runs together."""
    kinds: dict[tuple, list[Comparison]] = {}
    for comparison in comparisons:
        kinds.setdefault((comparison.kind, comparison.task, comparison.against), []).append(comparison)
    spreads: dict[tuple, Spread] = {}
    for (kind, task, _), members in kinds.items():
        measure = members[0].measure
        if kind == "arms":
            statistics = {c.key: _over_runs(arms, c.lineages, task, measure) for c in members}
            theirs = _over_runs(arms, members[0].against_lineages, task, measure)
        else:
            statistics = {
                c.key: _over_runs(arms, c.lineages, task, measure) - _over_runs(arms, c.against_lineages, task, measure)
                for c in members
            }
            theirs = None
        spreads |= arms.over_runs(statistics, [task], measure, measure.difference_range, theirs)
    return [spreads[comparison.key] for comparison in comparisons]


def _over_runs(arms: ArmScores, lineages: list[str], task: str, measure: Measure) -> Resampled:
    """The measure in each run, values (runs,) and draws (runs, samples)."""
    scores = [arms.scores(lineage, task, arms.split).measures[measure.name] for lineage in lineages]
    return Resampled(np.array([s.value for s in scores]), np.array([s.draws for s in scores]))


@dataclass
class Tested:
    """A comparison with its interval and its test."""

    comparison: Comparison
    spread: Spread
    p: float | None
    test: str | None
    smallest: "Detectable"
    p_corrected: float | None = None
    detectable: float | None = None

    @classmethod
    def of(cls, arms: ArmScores, comparison: Comparison, spread: Spread, seed: int) -> "Tested":
        """Test a comparison; there is no p-value if there is no score."""
        sides = [
            [arms.scores.predictions[lineage, comparison.task, arms.split] for lineage in lineages]
            for lineages in (comparison.lineages, comparison.against_lineages)
        ]
        measure = comparison.measure
        smallest = Detectable.of(*sides, spread, measure, arms.bootstrap.confidence)
        if spread.value.value is None:
            return cls(comparison, spread, None, None, smallest)
        if measure.test == "sign-flip":
            test, p = "sign-flip", sign_flip(item_differences(*sides))
        else:
            test, p = "exchange", exchange_answers(*sides, measure, seed)
        if len(comparison.lineages) > 1:
            # Without a standard error nothing varies, and the exact test says so.
            test, p = "crossed", max(p, spread.error.p(spread.value.value) if spread.error else 1.0)
        return cls(comparison, spread, p, test, smallest)

    def claim(self, level: float, split: str) -> Claim:
        """The record, with its verdict."""
        value, comparison = self.spread.value, self.comparison
        verdict, reason = "not shown", None
        if self.p is None:
            verdict, reason = "not claimed", f"No score: {value.reason}."
        elif value.low is None:
            same = value.value == 0 and self.p == 1
            reason = SAME_ANSWERS if same else f"No interval: {value.reason}."
            verdict = "not shown" if same else "not claimed"
        elif self.p_corrected < level and (value.low > 0 or value.high < 0):
            verdict = "better" if (value.low > 0) == comparison.measure.higher_is_better else "worse"
        return Claim(
            kind=comparison.kind,
            task=comparison.task,
            split=split,
            measure=comparison.measure.name,
            arms=comparison.arms,
            lineages=comparison.lineages,
            against=comparison.against,
            against_lineages=comparison.against_lineages,
            difference=value,
            test=self.test,
            p=self.p,
            p_corrected=self.p_corrected,
            detectable=self.detectable,
            verdict=verdict,
            reason=reason,
        )


def item_differences(after: list[Predictions], before: list[Predictions]) -> np.ndarray:
    """Right minus right before, summed over runs and over the items of a group, shape (groups,)."""
    pairs = zip(after, before, strict=True)
    return sum_by_group(sum(a.right.astype(int) - b.right.astype(int) for a, b in pairs), after[0].groups)


def exchange_answers(after: list[Predictions], before: list[Predictions], measure: Measure, seed: int) -> float:
    """Test any measure by exchanging the answers of both sides item by item, in all runs at once."""
    groups, units = after[0].groups, after[0].units
    parts = [_exchangeable(a, b, measure) for a, b in zip(after, before, strict=True)]

    def difference(patterns: np.ndarray) -> np.ndarray:
        # In parts: a pattern takes a byte for every item, and every label's counts in every pattern.
        chunks = np.array_split(patterns, max(1, len(patterns) // 500))
        masks = (chunk if groups is None else chunk[:, groups] for chunk in chunks)
        return np.concatenate([np.mean([part(mask) for part in parts], axis=0) for mask in masks])

    return exchange(difference, units, seed)


def _exchangeable(after: Predictions, before: Predictions, measure: Measure):
    """Return a function from masks, shape (patterns, items), to one run's difference with these answers exchanged."""
    gold, labels = after.gold, len(after.labels)
    if measure.needs == "probabilities":
        ours, theirs = (measure.function(np.exp(normalize(side.logprobs)), gold) for side in (after, before))
        return lambda masks: np.where(masks, theirs - ours, ours - theirs).mean(1)

    def difference(masks: np.ndarray) -> np.ndarray:
        # Each side's counts are those of the items that it keeps and of those that it gets.
        kept, moved = (~masks).astype(np.float32), masks.astype(np.float32)
        ours = confusion_counts(gold, after.answer, labels, kept) + confusion_counts(gold, before.answer, labels, moved)
        theirs = confusion_counts(gold, before.answer, labels, kept)
        theirs += confusion_counts(gold, after.answer, labels, moved)
        return measure.function(ours) - measure.function(theirs)

    return difference


@dataclass(frozen=True)
class Detectable:
    """What decides which difference a comparison could have shown."""

    runs: int
    units: int
    exact: bool
    """The test is McNemar's."""
    answers: tuple[float, float] | None
    """Mean accuracy of the two and the share of items on which they disagree in a run; None for other measures."""
    error: crossed.StandardError | None

    @classmethod
    def of(
        cls,
        after: list[Predictions],
        before: list[Predictions],
        spread: Spread,
        measure: Measure,
        confidence: float,
    ) -> "Detectable":
        """Gather it from the answers and the interval of a comparison."""
        runs, units, answers, error = len(after), after[0].units, None, spread.error
        if measure.test == "sign-flip":
            right, other = (np.array([side.right for side in sides]) for sides in (after, before))
            answers = float((right.mean() + other.mean()) / 2), float((right != other).mean())
        exact = runs == 1 and answers is not None and after[0].groups is None
        if runs == 1 and spread.value.low is not None:
            half = (spread.value.high - spread.value.low) / 2
            error = crossed.items_alone((half / crossed.half_width(1, np.inf, confidence)) ** 2, units)
        return cls(runs, units, exact, answers, error)

    def at(self, level: float) -> float | None:
        """The difference that is found with 80 % power; None if nothing is known of the noise."""
        if self.error is None or self.error.variance <= crossed.NOTHING:
            return None
        if self.exact:
            return detectable_by_sign_flip(self.units, *self.answers, level)
        growth = items_growth(*self.answers, self.runs) if self.answers else lambda difference: 1.0
        return detectable_by_t(self.error, growth, level)


def _gate(claim: Claim, claims: list[Claim]) -> Claim:
    """Take a loss for forgetting only if the adapter that learnt the task beats the majority class."""
    if claim.kind != "kept" or claim.verdict != "worse":
        return claim
    for other in claims:
        if (other.kind, other.task, other.against) == ("learnt", claim.task, MAJORITY):
            if other.lineages == claim.against_lineages and other.verdict == "better":
                return claim
    return claim.model_copy(update={"verdict": "not claimed", "reason": NOT_LEARNT})
