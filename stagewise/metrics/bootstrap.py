"""Percentile bootstrap over items, and over items and runs together.

A resample of the items is a weight for each of them: how often it is drawn. Multiplying weights by indicator columns
gives the confusion counts of all resamples at once, thousands of them in milliseconds. Whoever answered the same items
is resampled by the same weights, so that differences are paired. The interval is the percentile interval (Efron &
Tibshirani 1993, chapter 13): it needs no further assumption, never leaves the measure's range, and takes any function
of the counts.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from stagewise.config.tasks import SPLITS
from stagewise.metrics.schema import Value

TOO_FEW = "fewer than two items"
NO_RESAMPLE = "no resample of the items can be scored in every run"

NO_SPREAD = "every resample gives the same value, so the bootstrap says nothing about the spread"

ONE_RUN = "one run, which says nothing about training noise"


class Resampled(NamedTuple):
    """A statistic on the items as they are, and on every resample of them."""

    value: np.ndarray
    """Shape (...)."""
    draws: np.ndarray
    """Shape (samples, ...)."""


class Spread(NamedTuple):
    """A mean over runs with three intervals."""

    value: Value
    """Over items and runs together: what a claim goes by."""
    items: Value
    """Test-set size alone: items resampled, the runs as they are."""
    training: Value
    """Training noise alone: runs resampled, the items as they are."""


def draw_weights(items: int, samples: int, seed) -> np.ndarray:
    """Draw how often each item is in each resample, shape (samples, items), single precision (exact for counts).

    The same seed (a number or several) gives the same draws, whatever else is computed.
    """
    drawn = np.random.default_rng(seed).multinomial(items, np.full(items, 1 / items), size=samples)
    # Item by item in memory: what is picked and multiplied are items.
    return drawn.astype(np.float32, order="F")


class Bootstrap:
    """Resamples of one experiment's items and runs, and the intervals they give."""

    def __init__(self, samples: int, seed: int, confidence: float, tasks: list[str], runs: int = 1):
        self.samples, self.confidence, self.runs = samples, confidence, runs
        self._seed, self._tasks = seed, tasks
        self._weights: dict[tuple[str, str, int], np.ndarray] = {}

    def weights(self, task: str, split: str, items: int) -> np.ndarray:
        """Weights of a split's items; tasks and splits have draws of their own, so that they vary independently."""
        key = task, split, items
        if key not in self._weights:
            seed = [self._seed, self._tasks.index(task), SPLITS.index(split)]
            self._weights[key] = draw_weights(items, self.samples, seed)
        return self._weights[key]

    @cached_property
    def run_shares(self) -> np.ndarray:
        """Share of each run in each resample of the runs, shape (samples, runs)."""
        return draw_weights(self.runs, self.samples, [self._seed, len(self._tasks)]).astype(float) / self.runs

    def value(self, resampled: Resampled, items: int, reason: str = "") -> Value:
        """One run's value with its interval; `reason` says why there is none if it is NaN."""
        value, draws = resampled
        if np.isnan(value):
            return Value(reason=reason)
        low, high, missing = percentile_interval(draws, items, self.confidence)
        return Value(value=float(value), low=low, high=high, reason=missing)

    def over_runs(self, runs: list[Resampled], items: int, limits: tuple[float, float], reason: str = "") -> Spread:
        """As `spread_over_runs` for this experiment's resamples; one run has its own interval."""
        if len(runs) == 1:
            value = self.value(runs[0], items, reason)
            return Spread(value, value, Value(value=value.value, reason=ONE_RUN))
        values, draws = np.array([run.value for run in runs]), np.array([run.draws for run in runs])
        return spread_over_runs(values, draws, self.run_shares, items, self.confidence, limits, reason)


def percentile_interval(draws: np.ndarray, items: int, confidence: float) -> tuple:
    """Lower and upper bound and None, or None twice and why resampling gives no interval; NaN draws are left out."""
    draws = draws[np.isfinite(draws)]
    if items < 2 or not len(draws):
        return None, None, TOO_FEW
    if _is_constant(draws):
        return None, None, NO_SPREAD
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high), None


def spread_over_runs(
    values: np.ndarray,
    draws: np.ndarray,
    run_shares: np.ndarray,
    items: int,
    confidence: float,
    limits: tuple[float, float] = (-1, 1),
    reason: str = "",
) -> Spread:
    """Average runs, with percentile bootstrap intervals over items, over runs, and over both.

    Resampling R runs alone would say too little of training noise: deviations of resampled means are too small by the
    root of (R - 1) / R, and a normal quantile takes their spread as given. They are multiplied by the root of
    R / (R - 1) and by the ratio of Student's t (R - 1 degrees of freedom) to the normal quantile, as the expanded
    percentile interval does (Hesterberg 2015, doi:10.1080/00031305.2015.1089789). With two or three runs that makes
    wide intervals: so little do they say.

    Parameters
    ----------
    values
        The statistic of each run on the items as they are, shape (runs,), two runs or more.
    draws
        The same on every resample of the items, shape (runs, samples); the same resamples for every run. Resamples
        that give a run NaN are left out.
    run_shares
        Share of each run in every resample of the runs, shape (samples, runs).
    items, confidence
        Number of items; coverage of the intervals.
    limits
        The statistic's range.
    reason
        Why there is no value, if one is NaN.
    """
    from scipy import stats

    if np.isnan(values).any():
        return Spread(*[Value(reason=reason, runs=len(values))] * 3)
    finite = np.isfinite(draws).all(0)
    if not finite.any():
        return Spread(*[Value(value=float(values.mean()), reason=NO_RESAMPLE, runs=len(values))] * 3)
    draws, run_shares = draws[:, finite], run_shares[finite]
    mean, runs = float(values.mean()), len(values)
    over_items = draws.mean(0)
    unbiased = np.sqrt(runs / (runs - 1))
    tail = (1 + confidence) / 2
    wider = unbiased * stats.t.ppf(tail, runs - 1) / stats.norm.ppf(tail)
    resampled = run_shares @ values
    training = mean + wider * (resampled - mean)
    both = over_items + wider * (np.einsum("sr,rs->s", run_shares, draws) - over_items)
    parts = [0.0 if _is_constant(draws) else draws.var() for draws in (unbiased * resampled, over_items)]
    share = float(parts[0] / sum(parts)) if sum(parts) else None

    def value(draws, **more) -> Value:
        low, high, missing = percentile_interval(draws, items, confidence)
        return Value(value=mean, low=low, high=high, reason=missing, runs=runs, **more)

    return Spread(value(both.clip(*limits), training_share=share), value(over_items), value(training.clip(*limits)))


def _is_constant(draws: np.ndarray) -> bool:
    # Sums of the same numbers in another order differ in their last digits.
    return np.ptp(draws) < 1e-12
