"""Items resampled once for everything that is computed from them, so that all differences are paired."""

from dataclasses import dataclass

import numpy as np

from stagewise.config.tasks import SPLITS
from stagewise.metrics import intervals
from stagewise.metrics.decision_rules import ARGMAX, Decider
from stagewise.metrics.prediction_table import Answers
from stagewise.metrics.read_results import Run

MEASURES = ("accuracy", "macro_f1")


class Draws:
    """Bootstrap weights of the items of each split."""

    def __init__(self, run: Run):
        self.samples, self.seed = run.config.statistics.bootstrap_samples, run.config.statistics.seed
        self._tasks, self._known = list(run.config.active_tasks), {}

    def weights(self, task: str, split: str, items: int) -> np.ndarray:
        """As `intervals.weights`; tasks and splits get draws of their own, so that they vary independently."""
        key = task, split, items
        if key not in self._known:
            seed = [self.seed, self._tasks.index(task), SPLITS.index(split)]
            self._known[key] = intervals.weights(items, self.samples, seed)
        return self._known[key]

    def runs(self, runs: int) -> np.ndarray:
        """Share of each run in each resample of the runs, shape (samples, runs)."""
        return intervals.weights(runs, self.samples, [self.seed, len(self._tasks)]).astype(float) / runs


@dataclass(frozen=True)
class Resampled:
    """Scores of one set of answers, on the items as they are and on every resample."""

    gold: np.ndarray
    value: dict[str, float]
    """By measure."""
    draws: dict[str, np.ndarray]
    """By measure, shape (samples,)."""
    recall: np.ndarray
    """Shape (labels,); NaN for a label that no item has."""
    recall_draws: np.ndarray
    """Shape (samples, labels); NaN where a resample lacks the label."""
    share: np.ndarray
    """Share of each label among the answers, shape (labels,)."""


def resample(gold: np.ndarray, answer: np.ndarray, labels: int, weights: np.ndarray) -> Resampled:
    """Scores of one set of answers, for the weights of `intervals.weights`; codes of shape (items,)."""
    (whole,) = intervals.tables(gold, answer, np.ones((1, len(gold)), dtype=np.float32), labels)
    drawn = intervals.tables(gold, answer, weights, labels)
    return Resampled(
        gold,
        {"accuracy": float(intervals.accuracy(whole)), "macro_f1": float(intervals.class_f1(whole).mean())},
        {"accuracy": intervals.accuracy(drawn), "macro_f1": intervals.class_f1(drawn).mean(-1)},
        intervals.recalls(whole),
        intervals.recalls(drawn),
        whole.sum(0)[:labels] / len(gold),
    )


class Scorer:
    """Resampled scores of every lineage and baseline by task, split and rule, each computed once."""

    def __init__(self, answers: dict[tuple[str, str, str], Answers], decider: Decider, draws: Draws):
        """`answers` by lineage or baseline, task and split."""
        self.answers, self.decider, self.draws, self._known = answers, decider, draws, {}

    def __call__(self, scorer: str, task: str, split: str, rule: str = ARGMAX) -> Resampled:
        key = scorer, task, split, rule
        if key not in self._known:
            known = self.answers[scorer, task, split]
            answer = known.answer if rule == ARGMAX else self.decider.decide(scorer, task, split)[rule].answer
            weights = self.draws.weights(task, split, len(known))
            self._known[key] = resample(known.gold, answer, len(known.words), weights)
        return self._known[key]
