"""Intervals: percentile bootstrap over items by resampling confusion counts, and Wilson's score interval.

Accuracy and F1 depend on the items only through how often each (gold, answer) pair occurs. Drawing n items with
replacement is drawing those counts from a multinomial distribution with the observed shares, so that is what is
done: the same distribution as resampling items one by one, thousands of resamples in milliseconds. Paired
comparisons draw counts of (gold, answer before, answer after), so both answers of an item stay together. The
interval is the percentile interval (Efron & Tibshirani 1993, chapter 13): it needs no further assumption, never
leaves the measure's range, and takes any function of the counts.
"""

import numpy as np

from forgetting.metrics.schema import Estimate

TOO_FEW = "fewer than two items"
NO_SPREAD = "every resample gives the same value, so the bootstrap says nothing about the spread"


def resample(columns: np.ndarray, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap draws of items, counted by kind.

    Parameters
    ----------
    columns
        Integer codes, shape (items, columns): what is known of each item.
    samples
        Number of resamples.
    seed
        The same seed gives the same draws, whatever else is computed.

    Returns
    -------
    kinds, draws
        Distinct rows of `columns`, shape (kinds, columns), and how often each is drawn, shape (samples, kinds).
    """
    kinds, counts = np.unique(columns, axis=0, return_counts=True)
    n = counts.sum()
    return kinds, np.random.default_rng(seed).multinomial(n, counts / n, size=samples)


def tables(kinds: np.ndarray, draws: np.ndarray, labels: int) -> np.ndarray:
    """Confusion counts of each draw.

    Parameters
    ----------
    kinds
        Codes of (gold, answer), shape (kinds, 2); the answer `labels` stands for an invalid one.
    draws
        Shape (samples, kinds).
    labels
        Number of labels L.

    Returns
    -------
    Counts by gold and answer, shape (samples, L, L + 1).
    """
    # In floating point, which is exact for counts: NumPy multiplies integer matrices many times slower.
    cells = np.zeros((len(kinds), labels * (labels + 1)))
    cells[np.arange(len(kinds)), kinds[:, 0] * (labels + 1) + kinds[:, 1]] = 1
    return (draws @ cells).reshape(-1, labels, labels + 1)


def accuracy(table: np.ndarray) -> np.ndarray:
    """Share of right answers of confusion counts, shape (..., L, L + 1) to (...)."""
    return np.trace(table, axis1=-2, axis2=-1) / table.sum((-2, -1))


def class_f1(table: np.ndarray) -> np.ndarray:
    """F1 of each label, 0 where a label neither occurs nor is answered; shape (..., L, L + 1) to (..., L)."""
    labels = table.shape[-2]
    right = np.diagonal(table, axis1=-2, axis2=-1)
    total = table.sum(-1) + table.sum(-2)[..., :labels]
    return 2 * right / np.maximum(total, 1)


def estimate(value: float, resampled: np.ndarray, items: int, confidence: float) -> Estimate:
    """The percentile interval around `value`; null bounds with a reason where resampling cannot give one.

    Parameters
    ----------
    value
        The measure on the items themselves.
    resampled
        The measure on each resample, shape (samples,).
    items
        Number of items.
    confidence
        Coverage, such as 0.95.
    """
    if items < 2:
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
