"""Exact tests between two sets of answers to the same items, their correction, and the differences they find."""

from collections.abc import Callable

import numpy as np

PERMUTATIONS = 9_999

POWER = 0.8


def sum_by_group(differences: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Sum items' differences over their groups (shape (items,) to (groups,)); unchanged if items stand alone."""
    if groups is None:
        return differences
    return np.bincount(groups, differences, int(groups.max()) + 1).round().astype(int)


def sign_flip(differences: np.ndarray) -> float:
    """Test exactly that items' differences are symmetric around 0 (two-sided).

    If two adapters could be exchanged at any item, the sign of its difference could be any. All sign patterns are
    counted, by convolution. For single answers of two adapters it is McNemar's exact test (1947).

    Parameters
    ----------
    differences
        Whole numbers, shape (items,) or (groups,): right (1) minus right (1) of the other, summed over runs or over
        the items of a group.

    Returns
    -------
    Share of the sign patterns whose sum is as far from 0 as the observed one, or farther; 1 without any difference.
    """
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    total, observed = int((sizes * counts).sum()), abs(int(differences.sum()))
    # distribution[k] is the share of patterns whose negative differences add up to k; their sum is total - 2 k.
    distribution = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        distribution = np.convolve(distribution, _binomial(count, size))
    sums = total - 2 * np.arange(total + 1)
    return min(1.0, float(distribution[np.abs(sums) >= observed].sum()))


def _binomial(count: int, size: int) -> np.ndarray:
    """Distribution of `size` times a fair binomial number of `count`."""
    from scipy.stats import binom

    spread = np.zeros(count * size + 1)
    spread[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
    return spread


def exchange(
    statistic: Callable[[np.ndarray], np.ndarray], units: int, seed: int, permutations: int = PERMUTATIONS
) -> float:
    """Test any difference by exchanging the two sets of answers item by item, in drawn patterns (two-sided).

    The observed pattern is counted in (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585), so no p is below
    1 / (permutations + 1).

    Parameters
    ----------
    statistic
        Computes the difference for patterns of shape (patterns, units), True where the answers are exchanged;
        returns shape (patterns,).
    units
        Items, or groups of items that are exchanged together.
    seed
        Of the drawn patterns.
    permutations
        Number of drawn patterns.
    """
    observed = abs(statistic(np.zeros((1, units), dtype=bool))[0])
    patterns = np.random.default_rng(seed).random((permutations, units)) < 0.5
    # Equal differences may differ in their last digit.
    as_far = np.abs(statistic(patterns)) >= observed - 1e-12
    return float((as_far.sum() + 1) / (permutations + 1))


def holm(values: list[float]) -> list[float]:
    """Correct p-values for testing several hypotheses (Holm 1979); in the order given."""
    order = np.argsort(values, kind="stable")
    steps = np.array(values)[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()


def detectable_by_sign_flip(units: int, discordant: float, level: float) -> float | None:
    """Solve for the accuracy difference that the exact test of one run finds with 80 % power.

    The number of items on which the two disagree is binomial, and so are the gained ones among them; the power is
    summed over both (the unconditional power of McNemar's test: Connor 1987, doi:10.2307/2531961, without his normal
    approximation).

    Parameters
    ----------
    units
        Number of items.
    discordant
        Share of items on which the two disagree.
    level
        Level of the test, corrections included.

    Returns
    -------
    The difference, at most 1; None if even items that all differ in one direction would not be enough.
    """
    from scipy.optimize import brentq

    def lacking(difference: float) -> float:
        return POWER - sign_flip_power(units, max(discordant, difference), difference, level)

    if lacking(1.0) > 0:
        return None
    return float(brentq(lacking, 0.0, 1.0, xtol=1e-4))


def sign_flip_power(units: int, discordant: float, difference: float, level: float) -> float:
    """Power of the exact test for a share of disagreement and a difference; arguments as above."""
    from scipy.stats import binom

    changed = np.arange(units + 1)
    likely = binom.pmf(changed, units, discordant)
    changed = changed[likely > 1e-9]
    # The largest number of lost items at which the test still rejects, for every number of changed items.
    lost = binom.ppf(level / 2, changed, 0.5).astype(int)
    lost = np.where(binom.cdf(lost, changed, 0.5) <= level / 2, lost, lost - 1)
    share_lost = (discordant - difference) / (2 * discordant) if discordant else 0.5
    return float((likely[likely > 1e-9] * binom.cdf(lost, changed, share_lost)).sum())


def detectable_by_t(variance: float, df: float, level: float) -> float:
    """Solve for the difference that a two-sided t-test finds with 80 % power, by the noncentral t distribution.

    Parameters
    ----------
    variance
        Of the estimated difference.
    df
        Its degrees of freedom.
    level
        Level of the test, corrections included.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    critical = t.ppf(1 - level / 2, df)
    distance = brentq(lambda shift: nct.sf(critical, df, shift) - POWER, 0.0, 10 * critical + 10)
    return float(distance * np.sqrt(variance))
