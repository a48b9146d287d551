"""Arms of two experiments on the same test items: paired differences, one family of tests with one correction.

Arms of the same name are compared, or the two reference arms if no name is shared; the untuned models if they are
different ones. Differences, intervals and tests are those of a report's claims (`metrics.claims`): with one run each
they are about these very adapters, with several about the arms, whose runs are paired by seed and fold.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from stagewise.comparison.experiments import UNTUNED, Experiment
from stagewise.lineage import Step
from stagewise.measures import MEASURES, Measure, measures_of
from stagewise.metrics.arms import ArmScores
from stagewise.metrics.bootstrap import Bootstrap, Resampled
from stagewise.metrics.claims import Tested
from stagewise.metrics.comparisons import Comparison
from stagewise.metrics.crossed import Runs
from stagewise.metrics.decision_rules import DecisionRules
from stagewise.metrics.schema import Claim
from stagewise.metrics.scores import ScoreTable
from stagewise.metrics.significance import holm

OTHER_ITEMS = "other test items (their checksums differ), so they are not paired"
OTHER_LABELS = "other label words, so they are not paired"
OTHER_KIND = "another kind of task, so they are not paired"
NO_RUN = "no run (seed and fold) in common, so they are not paired"
NO_ANSWERS = "the predictions or items of {} are not at hand, so they are not paired"

Run = tuple[int | None, int]
"""Fold and seed."""


@dataclass(frozen=True)
class Pair:
    """An arm of the first experiment and one of another, on one task."""

    first: Experiment
    other: Experiment
    arms: tuple[str, str]
    """The first experiment's arm, and the other's."""
    task: str
    runs: list[tuple[Run, Run]]
    """Runs of the first and of the other that are paired."""
    reason: str | None
    """Why they are not paired; None if they are."""
    claim: Claim | None = None
    """The other arm minus the first one's, after the last stages; None if they are not paired."""

    @property
    def name(self) -> str:
        """The two arms in words."""
        first, other = self.arms
        return first if first == other else f"{other} against {first}"

    @property
    def sides(self) -> tuple[list[str], list[str]]:
        """Lineages of the other and of the first, one a run, under their experiment's label."""
        ours = self.other.lineages(self.arms[1], self.task, [run for _, run in self.runs])
        theirs = self.first.lineages(self.arms[0], self.task, [run for run, _ in self.runs])
        return [f"{self.other.label}:{name}" for name in ours], [f"{self.first.label}:{name}" for name in theirs]


def compare_arms(experiments: list[Experiment], measure: str) -> list[Pair]:
    """Compare the first experiment with each of the others, with one correction over all tests.

    A task is compared by `measure` if it has that, else by its own one.

    Raises
    ------
    InputError
        If predictions that are at hand are not those that the metrics were computed from.
    """
    from threadpoolctl import threadpool_limits

    first, *others = experiments
    pairs = [pair for other in others for pair in list_pairs(first, other)]
    groups: dict[tuple, list[int]] = {}
    for number, pair in enumerate(pairs):
        if pair.reason is None:
            groups.setdefault((pair.other.label, pair.task, len(pair.runs)), []).append(number)
    tested: dict[int, Tested] = {}
    with threadpool_limits(limits=1):  # as the metrics step: last digits depend on the number of threads
        for numbers in groups.values():
            members = [pairs[n] for n in numbers]
            tested |= dict(zip(numbers, _test(members, _measure(members[0], measure)), strict=True))
    level = 1 - first.view.experiment.confidence
    _correct(list(tested.values()), level)
    return [
        replace(pair, claim=tested[n].claim(level, first.view.main_split)) if n in tested else pair
        for n, pair in enumerate(pairs)
    ]


def list_pairs(first: Experiment, other: Experiment) -> Iterator[Pair]:
    """List what is compared on every task of both, and why a pair cannot be."""
    runs = [(run, run) for run in first.view.runs if run in other.view.runs]
    first_run = [(first.view.runs[0], other.view.runs[0])]
    if len(first.view.runs) == len(other.view.runs) == 1:
        runs = first_run
    for task in [task for task in first.tasks if task in other.tasks]:
        for arms in _arm_pairs(first, other):
            # The untuned model answers once, whatever the runs.
            pair = Pair(first, other, arms, task, first_run if UNTUNED in arms else runs, None)
            yield replace(pair, reason=_obstacle(pair))


def _arm_pairs(first: Experiment, other: Experiment) -> list[tuple[str, str]]:
    names = [arm for arm in first.view.arms if arm in other.view.arms]
    pairs = [(name, name) for name in names] or [(first.view.reference, other.view.reference)]
    same_model = first.view.experiment.model_fingerprint == other.view.experiment.model_fingerprint
    return pairs if same_model else [(UNTUNED, UNTUNED), *pairs]


def _obstacle(pair: Pair) -> str | None:
    """Reason why two arms are not paired on a task; None if they are."""
    task, split = pair.task, pair.first.view.main_split
    sides = pair.first, pair.other
    records = [e.view.find("splits", task=task, split=split) for e in sides]
    if pair.other.view.main_split != split or len({record and record.sha256 for record in records}) > 1:
        return OTHER_ITEMS
    forms = [e.answers.measures.forms[task] for e in sides]
    if forms[0].kind != forms[1].kind:
        return OTHER_KIND
    if forms[0].labels != forms[1].labels:
        return OTHER_LABELS
    if not pair.runs:
        return NO_RUN
    for e, lineages in zip((pair.other, pair.first), pair.sides, strict=True):
        if not all(e.answers.at_hand(_plain(e, lineage), task, split) for lineage in lineages):
            return NO_ANSWERS.format(e.label)
    return None


def _measure(pair: Pair, name: str) -> Measure:
    """The measure that a pair's task is compared by."""
    measures = pair.first.answers.measures
    return MEASURES[name] if name in measures_of(measures.forms[pair.task].kind) else measures.own(pair.task)


def _plain(experiment: Experiment, lineage: str) -> str:
    return lineage.removeprefix(f"{experiment.label}:")


def _test(pairs: list[Pair], measure: Measure) -> list[Tested]:
    """Test pairs of the same experiments, task and number of runs, which tell the noise between runs together."""
    arms, task = _scores(pairs), pairs[0].task
    statistics = {}
    for number, pair in enumerate(pairs):
        after, before = (_statistic(arms, task, lineages, measure) for lineages in pair.sides)
        statistics[str(number)] = after - before
    spreads = arms.over_runs(statistics, [task], measure, measure.difference_range)
    seed = pairs[0].first.view.experiment.bootstrap_seed
    return [
        Tested.of(arms, _comparison(pair, measure), spread, seed)
        for pair, spread in zip(pairs, spreads.values(), strict=True)
    ]


def _comparison(pair: Pair, measure: Measure) -> Comparison:
    first, other = pair.arms
    against = f"{pair.first.label}: {first}"
    return Comparison("arms", pair.task, against, measure, {pair.task: pair.sides}, [f"{pair.other.label}: {other}"])


def _scores(pairs: list[Pair]) -> ArmScores:
    """Scores of everyone in pairs of one task, on the resamples that the first experiment's report draws."""
    first, other, task = pairs[0].first, pairs[0].other, pairs[0].task
    facts, split = first.view.experiment, first.view.main_split
    predictions = {}
    for pair in pairs:
        for e, lineages in zip((other, first), pair.sides, strict=True):
            for lineage in lineages:
                if (lineage, task, split) not in predictions:
                    predictions[lineage, task, split] = e.answers.read(_plain(e, lineage), task, split)
    runs = _fold_runs(pairs[0])
    bootstrap = Bootstrap(facts.bootstrap_samples, facts.bootstrap_seed, facts.confidence, first.view.tasks, runs)
    table = ScoreTable(predictions, DecisionRules(predictions, {}, {}), bootstrap)
    # Of the arms nothing but their number of runs is used: what is compared is in the pairs.
    steps = {"": [[Step(0, [], "", {})] for _ in pairs[0].runs]}
    return ArmScores(steps, [task], split, [lineage for lineage, _, _ in predictions], table)


def _fold_runs(pair: Pair) -> Runs:
    """Dependence of the runs on each other; the largest share of held-out items where only some tasks have folds."""
    folds = {fold for (fold, _), _ in pair.runs}
    if len(folds) == 1:
        return Runs()
    sizes = {(s.task, s.split): s.items_before_limit for s in pair.first.view.metrics.splits}
    ratios = [sizes[task, "validation"] / sizes[task, "train"] for task in pair.first.view.tasks]
    return Runs(len(folds), max(ratios))


def _statistic(arms: ArmScores, task: str, lineages: list[str], measure: Measure) -> Resampled:
    """A measure in each run: values (runs,) and draws (runs, samples)."""
    runs = [arms.scores(lineage, task, arms.split).measures[measure.name] for lineage in lineages]
    return Resampled(np.array([run.value for run in runs]), np.array([run.draws for run in runs]))


def _correct(tested: list[Tested], level: float) -> None:
    """Correct all p-values together (Holm 1979), as the claims of a report are."""
    usable = [test for test in tested if test.p is not None]
    corrected = holm([test.p for test in usable])
    step = level / max(1, sum(p >= level for p in corrected))
    for test, p in zip(usable, corrected, strict=True):
        test.p_corrected, test.detectable = p, test.smallest.at(step)
