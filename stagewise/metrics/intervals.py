"""Intervals: percentile bootstrap over items, and Wilson's score interval.

A resample of the items is a weight for each of them: how often it is drawn. Multiplying weights by indicator columns
gives the confusion counts of all resamples at once, thousands of them in milliseconds, and whoever answered the same
items is resampled by the same weights, so that differences are paired. The interval is the percentile interval (Efron &
Tibshirani 1993, chapter 13): it needs no further assumption, never leaves the measure's range, and takes any function
of the counts.
"""

import numpy as np

from stagewise.metrics.schema import Estimate

TOO_FEW = "fewer than two items"

NO_SPREAD = "every resample gives the same value, so the bootstrap says nothing about the spread"


def weights(items: int, samples: int, seed) -> np.ndarray:
    """How often each item is drawn in each resample, shape (samples, items), single precision (exact for counts).

    The same seed (a number or several) gives the same draws, whatever else is computed.
    """
    drawn = np.random.default_rng(seed).multinomial(items, np.full(items, 1 / items), size=samples)
    # Item by item in memory: what is picked and multiplied are items.
    return drawn.astype(np.float32, order="F")


def tables(gold: np.ndarray, answer: np.ndarray, weights: np.ndarray, labels: int) -> np.ndarray:
    """Confusion counts of each resample.

    Parameters
    ----------
    gold, answer
        Codes, shape (items,); the answer `labels` stands for an invalid one.
    weights
        Shape (samples, items).
    labels
        Number of labels L.

    Returns
    -------
    Counts by gold and answer, shape (samples, L, L + 1).
    """
    # In floating point, which is exact for counts: NumPy multiplies integer matrices many times slower.
    cells = np.zeros((len(gold), labels * (labels + 1)), dtype=np.float32)
    cells[np.arange(len(gold)), gold * (labels + 1) + answer] = 1
    return (weights @ cells).astype(float).reshape(-1, labels, labels + 1)


def accuracy(table: np.ndarray) -> np.ndarray:
    """Share of right answers of confusion counts, shape (..., L, L + 1) to (...)."""
    return np.trace(table, axis1=-2, axis2=-1) / table.sum((-2, -1))


def class_f1(table: np.ndarray) -> np.ndarray:
    """F1 of each label, 0 where a label neither occurs nor is answered; shape (..., L, L + 1) to (..., L)."""
    labels = table.shape[-2]
    right = np.diagonal(table, axis1=-2, axis2=-1)
    total = table.sum(-1) + table.sum(-2)[..., :labels]
    return 2 * right / np.maximum(total, 1)


def recalls(table: np.ndarray) -> np.ndarray:
    """Recall of each label, NaN where no item has it; shape (..., L, L + 1) to (..., L)."""
    support = table.sum(-1)
    right = np.diagonal(table, axis1=-2, axis2=-1)
    return np.divide(right, support, out=np.full(support.shape, np.nan), where=support > 0)


def estimate(value: float, resampled: np.ndarray, items: int, confidence: float, reason: str = "") -> Estimate:
    """The percentile interval around `value`; null bounds with a reason where resampling cannot give one.

    Parameters
    ----------
    value
        The measure on the items themselves.
    resampled
        The measure on each resample, shape (samples,); those that are NaN have none and are left out.
    items
        Number of items.
    confidence
        Coverage, such as 0.95.
    reason
        Why there is no measure, where `value` is NaN.
    """
    if np.isnan(value):
        return Estimate(value=None, reason=reason)
    value, resampled = float(value), resampled[np.isfinite(resampled)]
    if items < 2 or not len(resampled):
        return Estimate(value=value, reason=TOO_FEW)
    if np.ptp(resampled) == 0:
        return Estimate(value=value, reason=NO_SPREAD)
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Estimate(value=value, low=float(low), high=float(high))


def wilson(right: int, items: int, confidence: float) -> Estimate:
    """Share of right answers with Wilson's score interval (Wilson 1927), which holds for few items and for 0 or 1."""
    from scipy.stats import binomtest

    interval = binomtest(right, items).proportion_ci(confidence, method="wilson")
    return Estimate(value=right / items, low=float(interval.low), high=float(interval.high))
