"""Claims: what the report says of adapters and arms, one family with one correction.

A claim is about one measure, the task's own, on the main split by the plain answers; of means over tasks that have
different ones, about each task by its own. The majority class is compared by accuracy whatever that is: any guesser
that varies its answers beats it in macro-F1. With one run a claim
is about these very adapters, by an exact test over items. With several it is about the arm: by Student's t over crossed
random effects of items and runs (`crossed`), and by the exact test over items as well. All p-values of a report are
corrected together (Holm 1979), so that the chance of any false claim in it stays below 1 - confidence.
"""

from dataclasses import dataclass

import numpy as np

from stagewise.measures import MEASURES, TASK_SCORE, Measure
from stagewise.metrics import crossed
from stagewise.metrics.answer_scores import right_answers
from stagewise.metrics.arms import ArmScores
from stagewise.metrics.bootstrap import Resampled, Spread
from stagewise.metrics.comparisons import Comparison, list_comparisons
from stagewise.metrics.item_scores import ItemScores
from stagewise.metrics.item_tests import Compared, p_over_items
from stagewise.metrics.prediction_table import Predictions
from stagewise.metrics.schema import MAJORITY, Claim
from stagewise.metrics.significance import detectable_by_sign_flip, detectable_by_t, growth_of_mean, holm
from stagewise.metrics.task_measures import TaskMeasures

SAME_ANSWERS = "Every item is answered as well as before in every run."

NOT_LEARNT = "The stage that learnt the task is not shown to beat the majority class, so there was nothing to forget."


def claim_records(
    arms: ArmScores, references: dict[str, str], measures: TaskMeasures, seed: int, outcome: str = "tasks"
) -> list[Claim]:
    """Test every comparison, correct them together, and say what each shows.

    Parameters
    ----------
    arms
        Scores of the arms, with those of the base model and the baselines.
    references
        The arm that each arm is compared with, by arm.
    measures
        Those of the tasks, among them what claims are about.
    seed
        Of drawn exchanges, for a measure other than a share of right answers.
    outcome
        `statistics.primary_outcome`: claims are about single tasks, or about the mean over all.
    """
    answered = [(name, task) for name, task, split in arms.scores.predictions if split == arms.split]
    probes = {task: measures.own(task) for task in arms.task_probes} | arms.item_probes.measures
    comparisons = list_comparisons(arms.steps, arms.tasks, references, measures, answered, outcome, probes)
    spreads = _spreads(arms, comparisons)
    tested = [Tested.of(arms, c, spread, seed) for c, spread in zip(comparisons, spreads, strict=True)]
    usable = [test for test in tested if test.p is not None]
    level = 1 - arms.bootstrap.confidence
    corrected = holm([test.p for test in usable])
    # Holm's step at which the claims that are not shown were stopped: what a difference would have had to pass.
    step = level / max(1, sum(p >= level for p in corrected))
    for test, p in zip(usable, corrected, strict=True):
        test.p_corrected, test.detectable = p, test.smallest.at(step)
    claims = [test.claim(level, None if test.comparison.task in arms.item_probes else arms.split) for test in tested]
    return [_gate(claim, claims) for claim in claims]


def _spreads(arms: ArmScores, comparisons: list[Comparison]) -> list[Spread]:
    """The interval of every comparison; those of one kind tell the noise between runs together."""
    kinds: dict[tuple, list[Comparison]] = {}
    for comparison in comparisons:
        kinds.setdefault((comparison.kind, comparison.task, comparison.against), []).append(comparison)
    spreads: dict[tuple, Spread] = {}
    for (kind, _, _), members in kinds.items():
        measure, theirs = members[0].measure, None
        if kind == "arms":
            statistics = {c.key: _statistic(arms, c, 0) for c in members}
            theirs = _statistic(arms, members[0], 1)
        else:
            statistics = {c.key: _statistic(arms, c, 0) - _statistic(arms, c, 1) for c in members}
        spreads |= arms.over_runs(statistics, list(members[0].sides), measure, measure.difference_range, theirs)
    return [spreads[comparison.key] for comparison in comparisons]


def _statistic(arms: ArmScores, comparison: Comparison, side: int) -> Resampled:
    """One side's measure in each run, the mean over the tasks: values (runs,) and draws (runs, samples)."""
    name = comparison.measure.name
    scores = [
        [arms.resampled(lineage, task, name) for lineage in sides[side]] for task, sides in comparison.sides.items()
    ]
    values, draws = ([[getattr(score, part) for score in runs] for runs in scores] for part in Resampled._fields)
    return Resampled(np.mean(values, axis=0), np.mean(draws, axis=0))


def _compared(arms: ArmScores, comparison: Comparison) -> list[Compared]:
    """Both sides' answers to the items of each task of a comparison, and the measure of each."""
    compared = []
    for task, sides in comparison.sides.items():
        after, before = ([arms.scores.predictions[lineage, task, arms.split] for lineage in side] for side in sides)
        measure = comparison.measure
        compared.append(((after, before), MEASURES[after[0].own] if measure.name == TASK_SCORE else measure))
    return compared


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
        confidence = arms.bootstrap.confidence
        ours, theirs = next(iter(comparison.sides.values()))
        runs = len(ours)
        if comparison.task in arms.item_probes:
            items = arms.item_probes[comparison.task]
            smallest = Detectable.of_scores(items, ours, theirs, spread, confidence)
            outcome = items.p_over_items(ours, theirs, seed)
        else:
            compared = _compared(arms, comparison)
            smallest = Detectable.of(compared, spread, confidence)
            outcome = None if spread.value.value is None else p_over_items(compared, seed)
        if outcome is None:
            return cls(comparison, spread, None, None, smallest)
        test, p = outcome
        if runs > 1:
            # Without a standard error nothing varies, and the exact test says so.
            test, p = "crossed", max(p, spread.error.p(spread.value.value) if spread.error else 1.0)
        return cls(comparison, spread, p, test, smallest)

    def claim(self, level: float, split: str | None) -> Claim:
        """The record, with its verdict; a probe with one score per item has no split."""
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


@dataclass(frozen=True)
class Detectable:
    """What decides which difference a comparison could have shown."""

    runs: int
    exact: bool
    """The test is McNemar's."""
    answers: list[tuple[float, float, int]] | None
    """By task: mean accuracy of the two, the share of items on which they disagree in a run, and the items (groups);
    None for other measures."""
    error: crossed.StandardError | None
    is_share: bool = True

    @classmethod
    def of(cls, tasks: list[Compared], spread: Spread, confidence: float) -> "Detectable":
        """Gather it from the answers to each task and the interval of a comparison."""
        (first, _), _ = tasks[0]
        exactly = all(measure.is_accuracy for _, measure in tasks)
        answers = [_agreement(*sides, measure) for sides, measure in tasks] if exactly else None
        exact = len(first) == 1 and exactly and len(tasks) == 1 and first[0].groups is None
        units = max(after[0].units for (after, _), _ in tasks)
        return cls(len(first), exact, answers, _standard_error(spread, units, confidence))

    @classmethod
    def of_scores(
        cls, items: ItemScores, ours: list[str], theirs: list[str], spread: Spread, confidence: float
    ) -> "Detectable":
        """Gather it from the scores of a probe's items and the interval of a comparison."""
        answers = [items.agreement(ours, theirs)] if items.is_right_or_wrong else None
        error = _standard_error(spread, len(items), confidence)
        return cls(len(ours), len(ours) == 1 and answers is not None, answers, error, items.is_share)

    def at(self, level: float) -> float | None:
        """The difference that is found with 80 % power; None if nothing is known of the noise."""
        if self.error is None or self.error.variance <= crossed.NOTHING:
            return None
        if self.exact:
            ((accuracy, discordant, units),) = self.answers
            return detectable_by_sign_flip(units, accuracy, discordant, level)
        growth = growth_of_mean(self.answers, self.runs) if self.answers else lambda difference: 1.0
        largest = 0.99 if self.is_share else 100 * self.error.variance**0.5
        return detectable_by_t(self.error, growth, level, largest)


def _standard_error(spread: Spread, units: int, confidence: float) -> crossed.StandardError | None:
    """That of a mean over runs; of one run it is the interval's, which comes from the items alone."""
    value = spread.value
    if value.runs is not None or value.low is None:
        return spread.error
    half = (value.high - value.low) / 2
    return crossed.items_alone((half / crossed.half_width(1, np.inf, confidence)) ** 2, units)


def _agreement(after: list[Predictions], before: list[Predictions], measure: Measure) -> tuple[float, float, int]:
    """Mean share of right answers of two sides, the share of items on which they disagree in a run, and the items."""
    right, other = (np.array([right_answers(run, measure) for run in side]) for side in (after, before))
    return float((right.mean() + other.mean()) / 2), float((right != other).mean()), after[0].units


def _gate(claim: Claim, claims: list[Claim]) -> Claim:
    """Take a loss for forgetting only if the adapter that learnt the task beats the majority class."""
    if claim.kind != "kept" or claim.verdict != "worse":
        return claim
    for other in claims:
        if (other.kind, other.task, other.against) == ("learnt", claim.task, MAJORITY):
            if other.lineages == claim.against_lineages and other.verdict == "better":
                return claim
    return claim.model_copy(update={"verdict": "not claimed", "reason": NOT_LEARNT})
