"""Tests between arms against SciPy and worked examples; the smallest effect against its formula and a simulation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from stagewise.metrics import significance


def test_mcnemar_is_a_binomial_test():
    rng = np.random.default_rng(0)
    one, other = rng.random(60) < 0.6, rng.random(60) < 0.5
    changed = int((one & ~other).sum()), int((one != other).sum())
    assert significance.mcnemar(one, other) == pytest.approx(stats.binomtest(*changed).pvalue, abs=1e-12)
    assert significance.mcnemar(one, one) == 1


def test_exact_permutation_of_one_run_is_mcnemar():
    one = np.array([True] * 9 + [False] * 2 + [True] * 30)
    other = np.array([False] * 9 + [True] * 2 + [True] * 30)
    (p,) = significance.permutation((one.astype(int) - other.astype(int))[:, None], seed=0)
    assert p == pytest.approx(significance.mcnemar(one, other), abs=1e-12)


def test_permutation_agrees_with_scipy():
    rng = np.random.default_rng(1)
    few, many = rng.integers(-3, 4, 8), np.concatenate([rng.integers(-2, 4, 60), np.zeros(40, int)])
    for values, tolerance in ((few, 1e-12), (many, 0.01)):
        theirs = stats.permutation_test(
            (values, np.zeros_like(values)),
            lambda x, y, axis: (x - y).sum(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=9_999,
            rng=np.random.default_rng(2),
        ).pvalue
        (ours,) = significance.permutation(values[:, None], seed=3)
        assert ours == pytest.approx(theirs, abs=tolerance)


def test_permutations_of_several_comparisons():
    rng = np.random.default_rng(4)
    null, shifted = rng.choice([-1, 0, 1], 200), rng.choice([-1, 0, 1], 200, p=[0.1, 0.4, 0.5])
    same = np.zeros(200, int)
    p = significance.permutation(np.stack([null, shifted, same], 1), seed=0)
    assert p[0] > 0.05 > p[1] >= 1 / (significance.PERMUTATIONS + 1)
    assert p[2] == 1


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.04, and never falling.
    assert significance.holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert significance.holm([0.6, 0.7]) == [1, 1]


def test_holm_agrees_with_statsmodels():
    values = np.random.default_rng(5).random(11) ** 3
    assert significance.holm(values.tolist()) == pytest.approx(multipletests(values, method="holm")[1])


@pytest.mark.parametrize(("items", "discordant"), [(500, 0.2), (715, 0.05), (100, 0.4)])
def test_smallest_effect_solves_connor(items, discordant):
    effect = significance.smallest_effect(items, discordant, 0.95)
    z_a, z_b = 1.959963984540054, 0.8416212335729143
    needed = ((z_a * discordant**0.5 + z_b * (discordant - effect**2) ** 0.5) / effect) ** 2
    assert needed == pytest.approx(items, rel=1e-9)


def test_smallest_effect_is_found_in_four_of_five_experiments():
    items, discordant = 500, 0.2
    effect = significance.smallest_effect(items, discordant, 0.95)
    shares = [(discordant + effect) / 2, (discordant - effect) / 2, 1 - discordant]
    gained, lost, _ = np.random.default_rng(6).multinomial(items, shares, size=4000).T
    found = (np.abs(gained - lost) / np.sqrt(gained + lost) > stats.norm.ppf(0.975)).mean()
    assert found == pytest.approx(significance.POWER, abs=0.03)


def test_no_effect_can_be_shown():
    assert significance.smallest_effect(500, 0.0, 0.95) is None
    assert significance.smallest_effect(20, 0.05, 0.95) is None
