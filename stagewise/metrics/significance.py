"""Exact tests between two sets of answers to the same items, their correction, and the differences they find."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from stagewise.metrics.crossed import StandardError

PERMUTATIONS = 9_999

POWER = 0.8

MOST_SUMS = 2**22
"""So many sums of several tasks' flipped signs are counted."""


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
    sums, shares = _flipped_sums(differences)
    return min(1.0, float(shares[np.abs(sums) >= abs(int(differences.sum()))].sum()))


def sign_flip_mean(differences: list[np.ndarray], items: list[int]) -> float | None:
    """Test the mean over tasks as `sign_flip` tests one: the signs of all tasks' differences could be any.

    If the tasks differ in opposite ways and their mean in none, the test is conservative: what is flipped varies more
    than what was drawn.

    Parameters
    ----------
    differences
        As `sign_flip` takes them, one array a task.
    items
        Number of items of each task, which its sum is divided by.

    Returns
    -------
    The p-value; None if there are more than `MOST_SUMS` sums to count.
    """
    if len(differences) == 1:
        return sign_flip(differences[0])
    observed = abs(sum(int(task.sum()) / number for task, number in zip(differences, items, strict=True)))
    tasks = [
        (sums / number, shares) for (sums, shares), number in zip(map(_flipped_sums, differences), items, strict=True)
    ]
    # Counted one by one but for the last task, whose sums are in ascending order.
    *others, (last, shares) = sorted(tasks, key=lambda task: len(task[0]))
    if np.prod([float(len(sums)) for sums, _ in others]) > MOST_SUMS:
        return None
    totals, chances = np.zeros(1), np.ones(1)
    for sums, each in others:
        totals, chances = np.add.outer(totals, sums).ravel(), np.outer(chances, each).ravel()
    tail = np.append(np.cumsum(shares[::-1])[::-1], 0.0)
    # The distribution is symmetric. Equal sums may differ in their last digit.
    above = tail[np.searchsorted(last, observed - totals - 1e-12)]
    return min(1.0, float(2 * (chances * above).sum()))


def _flipped_sums(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distribution of the sum of whole numbers whose signs are flipped by chance: sums in ascending order, shares."""
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    total = int((sizes * counts).sum())
    # distribution[k] is the share of patterns whose negative differences add up to k; their sum is total - 2 k.
    distribution = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        distribution = np.convolve(distribution, _binomial(count, size))
    return 2 * np.arange(total + 1) - total, distribution


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


def flip_signs(differences: np.ndarray, seed: int, permutations: int = PERMUTATIONS) -> float:
    """Test that items' differences are symmetric around 0 by flipping their signs in drawn patterns (two-sided).

    It is `exchange` for a sum over items, shape (items,), whatever the items' weights.
    """
    moved = differences[differences != 0]
    observed = abs(moved.sum())
    # Equal sums may differ in their last digits, which grow with the numbers that are added.
    limit = observed - 1e-12 * max(1.0, np.abs(moved).sum())
    rng, as_far = np.random.default_rng(seed), 0
    for start in range(0, permutations, 512):
        signs = rng.integers(0, 2, (min(512, permutations - start), len(moved)), dtype=np.int8) * 2 - 1
        as_far += int((np.abs(signs @ moved) >= limit).sum())
    return (as_far + 1) / (permutations + 1)


def holm(values: list[float]) -> list[float]:
    """Correct p-values for testing several hypotheses (Holm 1979); in the order given."""
    order = np.argsort(values, kind="stable")
    steps = np.array(values)[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()


def detectable_by_sign_flip(units: int, accuracy: float, discordant: float, level: float) -> float | None:
    """Solve for the accuracy difference that the exact test of one run finds with 80 % power.

    The number of items on which the two disagree is binomial, and so are the gained ones among them; the power is
    summed over both (the unconditional power of McNemar's test: Connor 1987, doi:10.2307/2531961, without his normal
    approximation). Two adapters that differ more also disagree more (`disagreement`), one that is worse more than one
    that is better: the power is the mean of both, as far as there is room above and below.

    Parameters
    ----------
    units
        Number of items.
    accuracy
        Mean accuracy of the two.
    discordant
        Share of items on which the two disagree, above 0.
    level
        Level of the test, corrections included.

    Returns
    -------
    The difference; None if not even the largest that leaves room would be found.
    """
    from scipy.optimize import brentq

    accuracy = min(max(accuracy, 0.01), 0.99)
    similarity = latent_correlation(accuracy, discordant)

    def lacking(difference: float) -> float:
        others = [other for other in (accuracy + difference, accuracy - difference) if 0 < other < 1]
        powers = [
            sign_flip_power(units, disagreement(accuracy, other, similarity), difference, level) for other in others
        ]
        return POWER - np.mean(powers)

    largest = max(accuracy, 1 - accuracy) - 1e-3
    if lacking(largest) > 0:
        return None
    return float(brentq(lacking, 0.0, largest, xtol=1e-3))


def latent_correlation(accuracy: float, discordant: float) -> float:
    """Correlation of two normal variables whose signs are right with this accuracy and disagree on this share
    (the tetrachoric correlation: Pearson 1900, doi:10.1098/rsta.1900.0022)."""
    from scipy.optimize import brentq

    accuracy = min(max(accuracy, 0.01), 0.99)

    def excess(correlation: float) -> float:
        return disagreement(accuracy, accuracy, correlation) - discordant

    low, high = -0.999, 0.999
    if excess(high) >= 0:
        return high
    return low if excess(low) <= 0 else float(brentq(excess, low, high, xtol=1e-4))


def disagreement(accuracy: float, other: float, correlation: float) -> float:
    """Share of items on which one of two adapters alone is right.

    Parameters
    ----------
    accuracy, other
        Their accuracies, above 0 and below 1.
    correlation
        Of the latent variables whose signs are the answers (`latent_correlation`).
    """
    from scipy.special import ndtr, ndtri

    # Both are right where x is below its quantile and so is the other's, given x: midpoints of 400 equal parts.
    x = ndtri(accuracy * (np.arange(400) + 0.5) / 400)
    given_x = ndtr((ndtri(other) - correlation * x) / np.sqrt(1 - correlation**2))
    return min(1.0, max(float(accuracy + other - 2 * accuracy * given_x.mean()), abs(other - accuracy)))


def sign_flip_power(units: int, discordant: float, difference: float, level: float) -> float:
    """Power of the exact test for a share of disagreement and a difference; arguments as above."""
    from scipy.special import bdtr

    likely = np.diff(bdtr(np.arange(units + 1), units, discordant), prepend=0.0)
    kept = likely > 1e-9
    changed, lost = np.arange(units + 1)[kept], _most_lost(units, level)[kept]
    # Rounding may put the difference above the disagreement, of which it can be all.
    share_lost = max(0.0, (discordant - difference) / (2 * discordant)) if discordant else 0.5
    rejected = np.where(lost < 0, 0.0, bdtr(np.maximum(lost, 0), changed, share_lost))
    return float((likely[kept] * rejected).sum())


@lru_cache(maxsize=32)
def _most_lost(units: int, level: float) -> np.ndarray:
    """The largest number of lost items at which the test rejects, for each number of changed items; -1 for none."""
    from scipy.stats import binom

    changed = np.arange(units + 1)
    lost = binom.ppf(level / 2, changed, 0.5).astype(int)
    return np.where(binom.cdf(lost, changed, 0.5) <= level / 2, lost, lost - 1)


def detectable_by_t(
    error: StandardError, growth: Callable[[float], float], level: float, largest: float = 0.99
) -> float | None:
    """Solve for the difference that the t-test over items and runs finds with 80 % power.

    Estimated noise is the true one times a chi-squared number over its degrees of freedom. For each of 100 equal parts
    of that distribution the test is done as it would be: with the variance and the degrees of freedom that these runs
    would have shown. (With many degrees of freedom it is the noncentral t distribution.)

    Parameters
    ----------
    error
        Variance of the estimated difference, by its parts, taken for the true ones.
    growth
        Factor of the items' part by the difference (`items_growth`).
    level
        Level of the test, corrections included.
    largest
        The largest difference that is tried; 99 points of a share by default.

    Returns
    -------
    The difference; None if not even the largest would be found.
    """
    from scipy.optimize import brentq
    from scipy.special import gammaincinv, ndtr, stdtrit

    df = error.noise.df
    scale = 2 * gammaincinv(df / 2, (np.arange(100) + 0.5) / 100) / df

    def lacking(difference: float) -> float:
        items = error.items * growth(difference)
        variance, degrees = error.estimated(items, scale)
        needed = stdtrit(degrees, 1 - level / 2) * np.sqrt(variance)
        return POWER - ndtr((difference - needed) / np.sqrt(items + error.training)).mean()

    return None if lacking(largest) > 0 else float(brentq(lacking, 0.0, largest, xtol=1e-4 * (largest / 0.99)))


def answer_variance(accuracy: float, difference: float, correlation: float, runs: int) -> float:
    """Variance over items of the difference between two arms' right answers, averaged over runs.

    Each item has a difficulty that all adapters share; given it, answers are independent. An effect moves items of
    medium difficulty more than others, so a difference varies from item to item however many runs are averaged.
    `accuracy` is the mean of both, moved away from 0 or 1 if the difference leaves too little room; `correlation` is
    that of `latent_correlation`, and `runs` the number of runs.
    """
    from scipy.special import ndtr, ndtri

    margin = difference / 2 + 1e-3
    low = min(max(accuracy, margin), 1 - margin) - difference / 2
    correlation = min(max(correlation, 0.0), 0.999)
    difficulty = np.sqrt(correlation) * ndtri((np.arange(400) + 0.5) / 400)
    one, other = (ndtr((ndtri(share) + difficulty) / np.sqrt(1 - correlation)) for share in (low, low + difference))
    return float((other - one).var() + (one * (1 - one) + other * (1 - other)).mean() / runs)


def items_growth(accuracy: float, discordant: float, runs: int) -> Callable[[float], float]:
    """Return by how much the items' part of a variance grows with the difference, as a function of that."""
    correlation = latent_correlation(accuracy, discordant)
    now = answer_variance(accuracy, 0.0, correlation, runs)
    # Near 0 and 1 answers vary less; that is no reason to expect less noise.
    return lambda difference: max(1.0, answer_variance(accuracy, difference, correlation, runs) / now)


def growth_of_mean(tasks: list[tuple[float, float, float]], runs: int) -> Callable[[float], float]:
    """As `items_growth`, for a mean over tasks that all differ by as much: each counts by its part of the variance.

    `tasks` holds the accuracy, the share of disagreement and the number of items (groups) of each.
    """
    growths = [items_growth(accuracy, discordant, runs) for accuracy, discordant, _ in tasks]
    parts = [discordant / units for _, discordant, units in tasks]
    return lambda difference: float(np.average([growth(difference) for growth in growths], weights=parts))
