"""Tests between two arms on the same items, their correction for several arms, and what the items could have shown."""

import numpy as np

PERMUTATIONS = 9_999

POWER = 0.8


def mcnemar(right: np.ndarray, other: np.ndarray) -> float:
    """Compute McNemar's exact two-sided p-value (McNemar 1947, binomial); 1 without any change.

    `right` and `other` are boolean, shape (items,).
    """
    from scipy.stats import binomtest

    lost, gained = int((right & ~other).sum()), int((~right & other).sum())
    return float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def permutation(differences: np.ndarray, seed: int) -> list[float]:
    """Test by two-sided sign-flip permutations that items' differences are symmetric around 0.

    Under the hypothesis the two arms could be exchanged at any item, which flips the difference's sign there. All
    sign patterns are tried if there are no more than `PERMUTATIONS`, else so many drawn ones, the observed one
    counted in (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).

    Parameters
    ----------
    differences
        Whole numbers, shape (items, comparisons): sums over runs of right (1) minus right (1) of the other arm.
    seed
        Of the drawn sign patterns, which all comparisons share.

    Returns
    -------
    One p-value per comparison.
    """
    items, comparisons = differences.shape
    observed = np.abs(differences.sum(0))
    values: list[float | None] = [_exact(differences[:, c], observed[c]) for c in range(comparisons)]
    if None in values:
        signs = np.random.default_rng(seed).integers(0, 2, (PERMUTATIONS, items), dtype=np.int8) * 2 - 1
        # Whole numbers below 2^24 are exact in single precision.
        sums = np.abs(signs.astype(np.float32) @ differences.astype(np.float32))
        drawn = ((sums >= observed).sum(0) + 1) / (PERMUTATIONS + 1)
        values = [float(drawn[c]) if p is None else p for c, p in enumerate(values)]
    return values


def _exact(differences: np.ndarray, observed: float) -> float | None:
    changed = differences[differences != 0]
    if 2 ** len(changed) > PERMUTATIONS:
        return None
    sums = np.zeros(1)
    for value in changed:
        sums = np.concatenate([sums + value, sums - value])
    return float((np.abs(sums) >= observed).mean())


def holm(values: list[float]) -> list[float]:
    """Correct p-values for testing several hypotheses (Holm 1979); in the order given."""
    order = np.argsort(values, kind="stable")
    steps = np.array(values)[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()


def smallest_effect(items: int, discordant: float, confidence: float, runs: int = 1) -> float | None:
    """Solve for the accuracy difference that a two-sided test would show with 80 % power.

    It is the d of n = ((z_a sqrt(psi) + z_b sqrt(psi - d^2)) / d)^2, z_a and z_b being normal quantiles of the test's
    level and power (Connor 1987, doi:10.2307/2531961).

    Parameters
    ----------
    items
        Number of items n.
    discordant
        psi, the share of items on which the two disagree; over several runs the mean squared difference of their
        averaged answers, which is the same thing for one.
    confidence
        1 minus the level.
    runs
        Runs that were averaged.

    Returns
    -------
    d, or None if the items could show no difference at all: they agree everywhere, or are too few.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z_a, z_b = norm.ppf(1 - (1 - confidence) / 2), norm.ppf(POWER)

    def lacking(difference: float) -> float:
        return (
            z_a * np.sqrt(discordant) + z_b * np.sqrt(max(discordant - difference**2, 0)) - difference * np.sqrt(items)
        )

    # One run's answers differ by psi at most, all of it in one direction; for averages the variance sets the limit.
    limit = discordant if runs == 1 else min(1.0, np.sqrt(discordant))
    if discordant == 0 or lacking(limit) > 0:
        return None
    return float(brentq(lacking, 0, limit))
