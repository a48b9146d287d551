"""The measures of a set of answers.

A measure is declared once, here. Scores, decision rules, comparisons, tables, pictures, ``metrics.json``, the schema of
``report_metrics.json``, validation during training and ``training.best_metric`` all iterate over `MEASURES`.

A task may declare a label that a split, a fold or a resample lacks. One rule holds everywhere, on items as on resamples
of them: a label is averaged over where its score is defined. F1 is defined for a label that some item has or that is
answered, recall for one that some item has. So a perfect model has 1 whatever the items are, and answering a label
that no item has costs macro-F1, as any wrong answer does.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stagewise.task_kinds import LABEL_KINDS, TaskKind

MEASURES: dict[str, "Measure"] = {}
"""Every measure by name, in the order of the report."""

RESERVED = ("loss", "last")
"""Values of ``training.best_metric`` that are no measures."""

PRIMARY = "accuracy"
"""The measure that claims are about if `statistics.primary_measure` names no other."""

DEFAULTS: dict[TaskKind, str] = {"multi_label": "jaccard", "generation": "token_f1"}
"""The same of kinds that do not have it."""

TASK_SCORE = "task_score"
"""Name of the pseudo-measure that is each task's own measure, for experiments whose tasks have different ones."""


@dataclass(frozen=True)
class Measure:
    """A registered measure."""

    name: str
    title: str
    """Name as it is written inside a sentence."""
    range: tuple[float, float]
    higher_is_better: bool
    needs: Literal["confusion", "probabilities", "scores"]
    """``scores`` for the measure of a probe, which is not registered: its function takes scores (..., items) and
    the items' weights."""
    test: Literal["sign-flip"] | None
    """Exact test of a paired difference; None if answers are exchanged in drawn patterns."""
    function: Callable[..., np.ndarray]
    kinds: tuple[TaskKind, ...] = LABEL_KINDS
    """Kinds of tasks that have it."""

    @property
    def is_accuracy(self) -> bool:
        """True for the share of right answers."""
        return self.test == "sign-flip"

    @property
    def is_share(self) -> bool:
        """True if values are shares, which are written in percent."""
        return self.range == (0, 1)

    @property
    def difference_range(self) -> tuple[float, float]:
        low, high = self.range
        return low - high, high - low


def measure(name: str, *, title: str, range, higher_is_better=True, needs="confusion", test=None, kinds=LABEL_KINDS):
    """Register a function as a measure.

    Parameters
    ----------
    name
        Key in every file.
    title
        Name inside a sentence; headings capitalize it.
    range
        Smallest and largest possible value, both finite: axes and intervals end there.
    higher_is_better
        Direction of an improvement.
    needs
        ``confusion``: the function takes counts by gold label and answer, shape (..., L, L + 1) for L labels, the last
        column being invalid answers, and returns shape (...). ``probabilities``: it takes probabilities of shape
        (items, L), whose rows add up to 1, and gold codes of shape (items,), and returns one value per item; the
        measure is their mean.
    test
        ``sign-flip`` if it is the share of right answers: a difference is then tested exactly (McNemar's test, for
        single answers). Others are tested by drawn exchanges of answers.
    kinds
        Kinds of tasks that have the measure.
    """

    if name in RESERVED:
        raise ValueError(f"a measure cannot be called '{name}': training.best_metric has that name already")
    if not all(map(math.isfinite, range)):
        raise ValueError(f"the measure '{name}' needs a finite range, not {range}")

    def register(function):
        if name in MEASURES:
            raise ValueError(f"the measure '{name}' is registered twice")
        MEASURES[name] = Measure(name, title, tuple(range), higher_is_better, needs, test, function, kinds)
        return function

    return register


def measures_of(kind: TaskKind) -> dict[str, Measure]:
    """List the measures that a kind of task has, by name."""
    return {name: entry for name, entry in MEASURES.items() if kind in entry.kinds}


def own_measure(kind: TaskKind, primary: str) -> str:
    """Name the measure of a task that chooses none: the experiment's `primary` where the kind has it."""
    return primary if primary in measures_of(kind) else DEFAULTS.get(kind, PRIMARY)


def confusion_counts(gold: np.ndarray, answer: np.ndarray, labels: int, weights=None) -> np.ndarray:
    """Count items by gold label and answer, once or on every resample.

    Parameters
    ----------
    gold, answer
        Codes, shape (items,); the answer `labels` stands for an invalid one. With weights, answers may differ from
        resample to resample: shape (samples, items).
    labels
        Number of labels L.
    weights
        How often each item counts, shape (samples, items).

    Returns
    -------
    Shape (L, L + 1) without weights, (samples, L, L + 1) with them.
    """
    if np.ndim(answer) > 1:
        return _count_by_resample(gold * (labels + 1) + answer, labels * (labels + 1), weights).reshape(
            -1, labels, labels + 1
        )
    # In floating point, which is exact for counts: NumPy multiplies integer matrices many times slower.
    cells = np.zeros((len(gold), labels * (labels + 1)), dtype=np.float32)
    cells[np.arange(len(gold)), np.asarray(gold) * (labels + 1) + answer] = 1
    counts = cells.sum(0, dtype=float) if weights is None else (weights @ cells).astype(float)
    return counts.reshape(*counts.shape[:-1], labels, labels + 1)


def _count_by_resample(cells: np.ndarray, size: int, weights: np.ndarray) -> np.ndarray:
    """Sum weights by cell in every resample, both of shape (samples, items), to shape (samples, size)."""
    counts = np.empty((len(weights), size))
    # One call counts many resamples, each in cells of its own; blocks bound what is in memory.
    for start in range(0, len(weights), 256):
        part = slice(start, start + 256)
        apart = cells[part] + size * np.arange(len(weights[part]))[:, None]
        counts[part] = np.bincount(apart.ravel(), weights[part].ravel(), apart.shape[0] * size).reshape(-1, size)
    return counts


def recalls(confusion: np.ndarray) -> np.ndarray:
    """Recall of each label, NaN if no item has it; shape (..., L, L + 1) to (..., L)."""
    return _divide(_right(confusion), confusion.sum(-1), np.nan)


def precisions(confusion: np.ndarray) -> np.ndarray:
    """Precision of each label, 0 if it is never answered; shape (..., L, L + 1) to (..., L)."""
    return _divide(_right(confusion), confusion.sum(-2)[..., :-1], 0)


def label_f1(confusion: np.ndarray) -> np.ndarray:
    """F1 of each label, NaN if no item has it and none is answered with it; shape (..., L, L + 1) to (..., L).

    It is 0 / 0 then, which is no evidence about a label.
    """
    return _divide(2 * _right(confusion), confusion.sum(-1) + confusion.sum(-2)[..., :-1], np.nan)


def average_labels(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """Average scores of labels, or of pairs of labels, over those that have one; NaN if none has."""
    defined = ~np.isnan(scores)
    return _divide(np.where(defined, scores, 0).sum(axis), defined.sum(axis), np.nan)


def _right(confusion: np.ndarray) -> np.ndarray:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _divide(part: np.ndarray, total: np.ndarray, otherwise: float) -> np.ndarray:
    return np.divide(part, total, out=np.full(total.shape, float(otherwise)), where=total > 0)


@measure("accuracy", title="accuracy", range=(0, 1), test="sign-flip")
def accuracy(confusion):
    """Share of right answers; an invalid answer is a wrong one."""
    return np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum((-2, -1))


@measure("macro_f1", title="macro-F1", range=(0, 1))
def macro_f1(confusion):
    """Mean F1 over the labels that some item has or that are answered, as scikit-learn's ``average="macro"``.

    It is the mean of F1 values, not F1 of the mean precision and recall, which is another measure (Opitz & Burst 2019,
    arXiv:1911.03347). Averaging over the declared labels would charge a model for labels that the
    items lack (scikit-learn/scikit-learn#23130); averaging over those that items have would let it answer the others
    for nothing. An invalid answer belongs to no label.
    """
    return average_labels(label_f1(confusion))


@measure("balanced_accuracy", title="balanced accuracy", range=(0, 1))
def balanced_accuracy(confusion):
    """Mean recall (Brodersen et al. 2010, doi:10.1109/ICPR.2010.764) over the labels that some item has."""
    return average_labels(recalls(confusion))


@measure("mcc", title="Matthews correlation", range=(-1, 1))
def mcc(confusion):
    """Matthews' correlation coefficient for several labels (Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006).

    Invalid answers are a label of their own that no item has. It is 0 if all items have one label or all answers are
    one label, as in scikit-learn.
    """
    items, right = confusion.sum((-2, -1)), np.trace(confusion, axis1=-2, axis2=-1)
    gold, answered = confusion.sum(-1), confusion.sum(-2)
    covariance = right * items - (gold * answered[..., :-1]).sum(-1)
    variances = (items**2 - (gold**2).sum(-1)) * (items**2 - (answered**2).sum(-1))
    return _divide(covariance, np.sqrt(variances), 0)


@measure("brier", title="Brier score", range=(0, 2), higher_is_better=False, needs="probabilities")
def brier(probabilities, gold):
    """Sum over labels of the squared distance of the probabilities from the gold label (Brier 1950, eq. 2,
    doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2)."""
    distances = np.array(probabilities)
    distances[np.arange(len(gold)), gold] -= 1
    return np.einsum("il,il->i", distances, distances)


def evaluate(gold, logprobs: np.ndarray) -> dict[str, float]:
    """Every measure of the most probable labels; `logprobs` has shape (items, labels), `gold` holds codes."""
    gold, logprobs = np.asarray(gold, dtype=int), np.asarray(logprobs, dtype=float)
    confusion = confusion_counts(gold, logprobs.argmax(1), logprobs.shape[1])
    probabilities = np.exp(logprobs - logprobs.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    return {
        name: float(
            entry.function(confusion) if entry.needs == "confusion" else entry.function(probabilities, gold).mean()
        )
        for name, entry in MEASURES.items()
    }
