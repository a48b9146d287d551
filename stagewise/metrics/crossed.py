"""Means over runs that all answered the same items: crossed random effects of items and runs.

The difference between two arms in run r on item i is modelled as ``mean + run_r + item_i + rest_ri``. The variance of
its mean over R runs and n items is ``var(run) / R + var(item) / n + var(rest) / (R n)``. Its parts are estimated by the
method of moments (Searle, Casella & McCulloch 1992, section 4.3; Owen 2007, doi:10.1214/07-AOAS122, for items and
raters): the variance of resampled means gives the last two together, the variance between runs less what the items
explain of it gives the first, which counts as 0 where it comes out negative. Degrees of freedom are Satterthwaite's
(1946, doi:10.2307/3002019).

Two or three runs alone say little about ``var(run)``. Arms of one experiment are trained alike, so comparisons of the
same kind share one estimate, as in a randomized block design with runs as blocks (Dunnett 1955,
doi:10.1080/01621459.1955.10501294), unless their noise measurably differs (Bartlett 1937): then each takes its own
estimate where that is larger.

Runs of a cross-validation share training items. A fold counts once, whatever its seeds, and the variance of a mean over
J folds is ``var(run) (1 / J + q)`` with q the held-out items over the training items (Nadeau & Bengio 2003,
doi:10.1023/A:1024068626366).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

NOTHING = 1e-20
"""A variance below this is rounding."""

HETEROGENEOUS = 0.01
"""Level of Bartlett's test that arms differ in their training noise."""


@dataclass(frozen=True)
class Runs:
    """How the runs of an experiment depend on each other."""

    folds: int = 1
    """Folds, each run with every seed; runs are in the order folds, then seeds."""
    overlap: float = 0.0
    """Held-out items over training items of a fold; 0 if there is one fold."""

    def number(self, runs: int) -> int:
        """Number of runs that count."""
        return runs if self.folds == 1 else self.folds

    def independent(self, values: np.ndarray) -> np.ndarray:
        """Average the seeds of each fold, shape (runs, ...) to (folds, ...); seeds stay as they are without folds."""
        if self.folds == 1:
            return values
        return values.reshape(self.folds, -1, *values.shape[1:]).mean(1)


class Components(NamedTuple):
    """Variance components of one mean over runs."""

    items: float
    """Variance of the mean over these runs on other items: ``var(item) / n + var(rest) / (R n)``."""
    rest: float
    """Part of the variance between runs that comes from the items: ``var(rest) / n``."""
    units: int
    """Items, or groups of items, that vary independently."""
    runs: int


class Noise(NamedTuple):
    """Variance between runs, of one comparison."""

    variance: float
    """Of one run: ``var(run) + var(rest) / n``."""
    df: float
    shared: bool = False
    """Estimated from all comparisons of its kind."""


class StandardError(NamedTuple):
    """Variance of a mean over runs, by what it is made of."""

    items: float
    """The items' part."""
    units: int
    rest: float
    """Part of the noise that comes from the items (`Components`)."""
    noise: Noise
    factor: float
    """``1 / R + q``: what the noise of one run is multiplied by."""

    @property
    def training(self) -> float:
        """The runs' part: ``var(run) (1 / R + q)``, 0 where items explain all of what runs differ by."""
        return max(self.noise.variance - self.rest, 0.0) * self.factor

    @property
    def variance(self) -> float:
        return self.items + self.training

    def estimated(self, items: float, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Variance and degrees of freedom as other runs would estimate them.

        Parameters
        ----------
        items
            The items' part.
        scale
            Estimated over true noise, of any shape, which is that of both results.
        """
        noise = self.noise.variance * scale
        training = np.maximum(noise - self.rest, 0.0) * self.factor
        variance = items + training
        # Where items explain all of what runs differ by, there is nothing but items.
        between = np.where(training > 0, (noise * self.factor) ** 2 / self.noise.df, 0.0)
        spread = items**2 / self.items_df + between
        df = np.divide(variance**2, spread, out=np.full(np.shape(spread), float(self.items_df)), where=spread > 0)
        return variance, df

    @property
    def items_df(self) -> int:
        return self.units - 1

    @property
    def training_df(self) -> float:
        return self.noise.df

    @property
    def df(self) -> float:
        """Satterthwaite's degrees of freedom; those of the items where there is nothing but items."""
        return float(self.estimated(self.items, np.ones(1))[1][0])

    def p(self, mean: float) -> float:
        """Two-sided p-value of Student's t for a mean of 0."""
        from scipy import stats

        return float(2 * stats.t.sf(abs(mean) / np.sqrt(self.variance), self.df))


def components(values: np.ndarray, draws: np.ndarray, units: int) -> Components:
    """Estimate the components that resampling the items tells; `values` has shape (runs,), `draws` (runs, samples)."""
    runs = len(values)
    mean = draws.mean(0)
    # Runs deviate from their common mean: that takes 1 / runs of the variance away.
    rest = ((draws - mean).var(1)).mean() * runs / (runs - 1)
    return Components(float(mean.var()), float(rest), units, runs)


def standard_error(parts: Components, noise: Noise, overlap: float = 0.0) -> StandardError:
    """Put the components and the noise between runs together; `overlap` is that of `Runs`."""
    return StandardError(parts.items, parts.units, parts.rest, noise, 1 / parts.runs + overlap)


def items_alone(variance: float, units: int) -> StandardError:
    """One run's variance, which comes from the items alone."""
    return StandardError(variance, units, 0.0, Noise(0.0, 1), 0.0)


def half_width(variance: float, df: float, confidence: float) -> float:
    """Half of the interval's width."""
    from scipy import stats

    return float(stats.t.ppf((1 + confidence) / 2, df) * np.sqrt(variance))


def own_noise(values: np.ndarray) -> Noise:
    """The variance between these runs alone; `values` has shape (runs,)."""
    return Noise(float(values.var(ddof=1)), len(values) - 1)


def shared_noise(values: np.ndarray) -> list[Noise]:
    """Estimate the noise of comparisons of one kind together.

    Runs are blocks: what all comparisons of a run have in common (one and the same earlier adapter) has the runs'
    degrees of freedom, what they do not have in common those of all of them.

    Parameters
    ----------
    values
        Each comparison in each run, shape (comparisons, runs).
    """
    number, runs = values.shape
    if number == 1:
        return [own_noise(values[0])]
    return _shared(values, values.var(1, ddof=1), *pool(*_block_and_rest(values), number, runs))


def pool(block: float, rest: float, number: int, runs: int) -> tuple[float, float]:
    """Pool the mean squares of a block design into the mean variance of a comparison, with its degrees of freedom.

    Parameters
    ----------
    block, rest
        Mean squares of the runs and of what is left.
    number, runs
        Comparisons, two or more, and runs.
    """
    variance = (block + (number - 1) * rest) / number
    spread = (block / number) ** 2 / (runs - 1) + ((number - 1) * rest / number) ** 2 / ((number - 1) * (runs - 1))
    return variance, variance**2 / spread if spread > 0 else runs - 1


def noise_against(values: np.ndarray, reference: np.ndarray) -> list[Noise]:
    """Estimate the noise of differences from one reference, every arm's noise counting alike.

    Parameters
    ----------
    values
        Score of each other arm in each run, shape (arms, runs).
    reference
        Score of the reference arm in each run, shape (runs,).
    """
    arms = np.concatenate([reference[None], values])
    _, rest = _block_and_rest(arms)
    if len(values) == 1:
        return [own_noise(values[0] - reference)]
    return _shared(arms, (values - reference).var(1, ddof=1), 2 * rest, (len(arms) - 1) * (len(reference) - 1))


def _block_and_rest(values: np.ndarray) -> tuple[float, float]:
    """Mean squares of a randomized block design: of the runs, and of what is left."""
    number, runs = values.shape
    deviations = values - values.mean(1, keepdims=True)
    block = deviations.mean(0)
    rest = deviations - block
    return float(number * (block**2).sum() / (runs - 1)), float((rest**2).sum() / ((number - 1) * (runs - 1)))


def _shared(values: np.ndarray, variances: np.ndarray, variance: float, df: float) -> list[Noise]:
    if _differ(values):
        return [Noise(max(variance, float(alone)), df, shared=True) for alone in variances]
    return [Noise(variance, df, shared=True)] * len(variances)


def _differ(values: np.ndarray) -> bool:
    """Bartlett's test that rows differ in their variance once the runs' common part is taken away."""
    from scipy import stats

    rest = values - values.mean(0)
    variances = rest.var(1, ddof=1)
    if variances.max() <= NOTHING:
        return False
    # Scores are multiples of 1 / n: a row may come out constant by chance.
    runs, floor = values.shape[1], 0.01 * variances.mean()
    logs = np.log(np.maximum(variances, floor))
    k, df = len(values), runs - 1
    statistic = df * (k * np.log(np.maximum(variances, floor).mean()) - logs.sum())
    return bool(stats.chi2.sf(statistic / (1 + (k + 1) / (3 * k * df)), k - 1) < HETEROGENEOUS)
