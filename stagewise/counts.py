"""Counts of answers by gold label, on all items or on every resample, and the scores of single labels that follow.

A task may declare a label that a split, a fold or a resample lacks. One rule holds everywhere, on items as on resamples
of them: a label is averaged over where its score is defined. F1 is defined for a label that some item has or that is
answered, recall for one that some item has. So a perfect model has 1 whatever the items are, and answering a label
that no item has costs macro-F1, as any wrong answer does.
"""

import numpy as np


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
    return divide(_right(confusion), confusion.sum(-1), np.nan)


def precisions(confusion: np.ndarray) -> np.ndarray:
    """Precision of each label, 0 if it is never answered; shape (..., L, L + 1) to (..., L)."""
    return divide(_right(confusion), confusion.sum(-2)[..., :-1], 0)


def label_f1(confusion: np.ndarray) -> np.ndarray:
    """F1 of each label, NaN if no item has it and none is answered with it; shape (..., L, L + 1) to (..., L).

    It is 0 / 0 then, which is no evidence about a label.
    """
    return divide(2 * _right(confusion), confusion.sum(-1) + confusion.sum(-2)[..., :-1], np.nan)


def average_labels(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """Average scores of labels, or of pairs of labels, over those that have one; NaN if none has."""
    defined = ~np.isnan(scores)
    return divide(np.where(defined, scores, 0).sum(axis), defined.sum(axis), np.nan)


def _right(confusion: np.ndarray) -> np.ndarray:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def divide(part: np.ndarray, total: np.ndarray, otherwise: float) -> np.ndarray:
    return np.divide(part, total, out=np.full(total.shape, float(otherwise)), where=total > 0)


def label_set_counts(gold: np.ndarray, answered: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Count items by label: gold and answered, answered, and gold; once or on every resample.

    Parameters
    ----------
    gold, answered
        Sets of labels, boolean, shape (items, L).
    weights
        How often each item counts, shape (samples, items).

    Returns
    -------
    Shape (L, 3) without weights, (samples, L, 3) with them.
    """
    # In floating point, as `confusion_counts`.
    sets = np.stack([gold & answered, answered, gold], -1).astype(np.float32).reshape(len(gold), -1)
    counts = sets.sum(0, dtype=float) if weights is None else (weights @ sets).astype(float)
    return counts.reshape(*counts.shape[:-1], gold.shape[1], 3)


def set_f1(counts: np.ndarray) -> np.ndarray:
    """F1 by counts of `label_set_counts`, NaN where nothing is gold and nothing answered; shape (..., 3) to (...)."""
    return divide(2 * counts[..., 0], counts[..., 1] + counts[..., 2], np.nan)
