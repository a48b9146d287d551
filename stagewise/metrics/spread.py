"""A mean over runs, and how much of its interval is test-set size and how much is training noise."""

import numpy as np

from stagewise.metrics.intervals import NO_SPREAD
from stagewise.metrics.schema import Interval, Spread

ONE_RUN = "one run, which says nothing about training noise"


def spread(
    values: np.ndarray, draws: np.ndarray, shares: np.ndarray, confidence: float, least: float = -1, most: float = 1
) -> Spread:
    """The mean over runs with percentile bootstrap intervals over items, over runs, and over both.

    Resampling R runs alone would say too little of training noise: deviations of resampled means are too small by the
    root of (R - 1) / R, and a normal quantile takes their spread for known. They are multiplied by the root of
    R / (R - 1) and by the ratio of Student's t (R - 1 degrees of freedom) to the normal quantile, as the expanded
    percentile interval does (Hesterberg 2015, doi:10.1080/00031305.2015.1089789). With two or three runs that makes
    wide intervals: so little do they say.

    Parameters
    ----------
    values
        The statistic of each run on the items as they are, shape (runs,).
    draws
        The same on every resample of the items, shape (runs, samples); the same resamples for every run.
    shares
        Share of each run in every resample of the runs, shape (samples, runs).
    confidence
        Coverage of the intervals.
    least, most
        What the statistic cannot leave: from -1 for differences, from 0 for scores; losses have no upper bound.
    """
    from scipy import stats

    value, runs = float(values.mean()), len(values)
    items = draws.mean(0)
    common = {"value": value, "runs": runs, "values": values.tolist(), "items": _interval(items, confidence)}
    if runs < 2:
        return Spread(**common, training=Interval(reason=ONE_RUN), both=common["items"], training_share=None)
    unbiased = np.sqrt(runs / (runs - 1))
    tail = (1 + confidence) / 2
    wider = unbiased * stats.t.ppf(tail, runs - 1) / stats.norm.ppf(tail)
    resampled = shares @ values
    training = value + wider * (resampled - value)
    both = items + wider * (np.einsum("sr,rs->s", shares, draws) - items)
    parts = [0.0 if _constant(draws) else draws.var() for draws in (unbiased * resampled, items)]
    return Spread(
        **common,
        training=_interval(training.clip(least, most), confidence),
        both=_interval(both.clip(least, most), confidence),
        training_share=float(parts[0] / sum(parts)) if sum(parts) else None,
    )


def no_spread(reason: str, runs: int) -> Spread:
    """What cannot be computed, and why."""
    nothing = Interval(reason=reason)
    return Spread(
        value=None,
        reason=reason,
        runs=runs,
        items=nothing,
        training=nothing,
        both=nothing,
        training_share=None,
        values=[None] * runs,
    )


def _interval(draws: np.ndarray, confidence: float) -> Interval:
    if _constant(draws):
        return Interval(reason=NO_SPREAD)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))


def _constant(draws: np.ndarray) -> bool:
    # Sums of the same numbers in another order differ in their last digits.
    return np.ptp(draws) < 1e-12
