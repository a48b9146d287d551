"""Items resampled once for everything that is computed from them, so that all differences are paired.

Every resample is a weight for each item, how often it is drawn. Multiplying weights by indicator columns gives the
confusion counts of all resamples at once; the same weights serve every adapter, rule and run that answered these items.
"""

from dataclasses import dataclass

import numpy as np

from forgetting.metrics import intervals
from forgetting.metrics.decisions import Decider
from forgetting.metrics.run import Run
from forgetting.metrics.schema import Estimate

MEASURES = ("accuracy", "macro_f1")


class Draws:
    """Bootstrap weights of the items of each split."""

    def __init__(self, run: Run):
        self.samples, self.seed = run.config.statistics.bootstrap_samples, run.config.statistics.seed
        self._tasks, self._known = list(run.config.active_tasks), {}

    def weights(self, task: str, split: str, items: int) -> np.ndarray:
        """How often each item is drawn, shape (samples, items), single precision (exact for counts).

        Tasks and splits get draws of their own, so that they vary independently.
        """
        key = task, split, items
        if key not in self._known:
            rng = self._rng(self._tasks.index(task), "train validation test".split().index(split))
            drawn = rng.multinomial(items, np.full(items, 1 / items), size=self.samples)
            self._known[key] = drawn.astype(np.float32)
        return self._known[key]

    def runs(self, runs: int) -> np.ndarray:
        """Share of each run in each resample of the runs, shape (samples, runs)."""
        return self._rng(len(self._tasks)).multinomial(runs, np.full(runs, 1 / runs), size=self.samples) / runs

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *key])


@dataclass(frozen=True)
class Resampled:
    """Scores of one set of answers, on the items as they are and on every resample."""

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


class Scorer:
    """Resampled scores of every lineage, task, split and rule, each computed once."""

    def __init__(self, run: Run, decider: Decider, draws: Draws):
        self.run, self.decider, self.draws, self._known = run, decider, draws, {}

    def __call__(self, lineage: str, task: str, split: str, rule: str) -> Resampled:
        key = lineage, task, split
        if key not in self._known:
            decided = self.decider.decide(*key)
            known = self.run.answers[key]
            weights = self.draws.weights(task, split, len(known))
            answers = [each.answer for each in decided.values()]
            self._known[key] = dict(zip(decided, resample(known.gold, answers, len(known.words), weights), strict=True))
        return self._known[key][rule]


def resample(gold: np.ndarray, answers: list[np.ndarray], labels: int, weights: np.ndarray) -> list[Resampled]:
    """Scores of several sets of answers to the same items.

    Parameters
    ----------
    gold
        Codes, shape (items,).
    answers
        Codes of each set, shape (items,); `labels` stands for an invalid answer.
    weights
        Shape (samples, items).
    """
    items, cells = len(gold), labels * (labels + 1)
    counted = np.zeros((items, len(answers) * cells), dtype=np.float32)
    for number, answer in enumerate(answers):
        counted[np.arange(items), number * cells + gold * (labels + 1) + answer] = 1
    shape = (-1, len(answers), labels, labels + 1)
    tables = (weights @ counted).astype(float).reshape(shape)
    exact = counted.sum(0, dtype=float).reshape(shape)[0]
    found = []
    for number in range(len(answers)):
        whole, drawn = exact[number], tables[:, number]
        found.append(
            Resampled(
                {"accuracy": float(intervals.accuracy(whole)), "macro_f1": float(intervals.class_f1(whole).mean())},
                {"accuracy": intervals.accuracy(drawn), "macro_f1": intervals.class_f1(drawn).mean(-1)},
                recalls(whole),
                recalls(drawn),
                whole.sum(0)[:labels] / items,
            )
        )
    return found


def recalls(table: np.ndarray) -> np.ndarray:
    """Recall of each label, NaN where no item has it; shape (..., L, L + 1) to (..., L)."""
    support = table.sum(-1)
    right = np.diagonal(table, axis1=-2, axis2=-1)
    return np.divide(right, support, out=np.full(support.shape, np.nan), where=support > 0)


def estimate(value: float, draws: np.ndarray, items: int, confidence: float, reason: str = "") -> Estimate:
    """The percentile interval around `value` from the draws that are numbers; null with `reason` for a NaN value."""
    if np.isnan(value):
        return Estimate(value=None, reason=reason)
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        return Estimate(value=float(value), reason=intervals.TOO_FEW)
    return intervals.estimate(float(value), finite, items, confidence)
