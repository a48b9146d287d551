"""Exact tests against SciPy, enumeration and worked examples; detectable differences against simulated studies."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from stagewise.metrics import significance
from stagewise.metrics.crossed import Components, Noise, items_alone, standard_error
from stagewise.metrics.significance import detectable_by_t, exchange, flip_signs, sign_flip, sum_by_group


def by_enumeration(differences):
    """Share of all sign patterns whose sum is as far from 0 as the observed one."""
    sums = [np.dot(signs, differences) for signs in product((-1, 1), repeat=len(differences))]
    return np.mean(np.abs(sums) >= abs(differences.sum()))


def test_sign_flips_of_single_answers_are_mcnemars_test():
    rng = np.random.default_rng(0)
    one, other = rng.random(60) < 0.6, rng.random(60) < 0.5
    gained, changed = int((one & ~other).sum()), int((one != other).sum())
    found = sign_flip(one.astype(int) - other.astype(int))
    assert found == pytest.approx(stats.binomtest(gained, changed).pvalue, abs=1e-12)
    assert sign_flip(one.astype(int) - one) == 1


@pytest.mark.parametrize("seed", range(8))
def test_sign_flips_count_every_pattern(seed):
    """Items that several runs answer, or groups of items, differ by any whole number."""
    values = np.random.default_rng(seed).integers(-4, 6, 11)
    assert sign_flip(values) == pytest.approx(by_enumeration(values), abs=1e-12)


def test_sign_flips_of_many_items_agree_with_scipy():
    values = np.concatenate([np.random.default_rng(1).integers(-2, 4, 60), np.zeros(40, int)])
    theirs = stats.permutation_test(
        (values, np.zeros_like(values)),
        lambda x, y, axis: (x - y).sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9_999,
        rng=np.random.default_rng(2),
    ).pvalue
    assert sign_flip(values) == pytest.approx(theirs, abs=0.01)
    assert 0 < sign_flip(np.full(700, 3)) < 1e-200


def test_items_of_a_group_are_flipped_together():
    differences, groups = np.array([1, 1, 1, 1, -1, 0, 1, 1]), np.array([0, 0, 0, 0, 1, 1, 2, 2])
    assert sum_by_group(differences, groups).tolist() == [4, -1, 2]
    assert sum_by_group(differences, None) is differences
    # Of eight patterns of 4, 1 and 2 four have a sum of 5 or more either way.
    assert sign_flip(sum_by_group(differences, groups)) == pytest.approx(0.5)
    assert sign_flip(differences) == pytest.approx(by_enumeration(differences))


def macro_f1_difference(gold, one, other):
    """Macro-F1 of one minus the other with the answers of a pattern exchanged, by hand."""

    def macro_f1(answer):
        labels = np.unique(gold)
        right = np.array([((answer == label) & (gold == label)).sum() for label in labels])
        return np.mean([2 * r / ((answer == n).sum() + (gold == n).sum()) for r, n in zip(right, labels, strict=True)])

    def statistic(patterns):
        sides = [(np.where(mask, other, one), np.where(mask, one, other)) for mask in patterns]
        return np.array([macro_f1(a) - macro_f1(b) for a, b in sides])

    return statistic


def test_exchanged_answers_agree_with_all_exchanges():
    rng = np.random.default_rng(3)
    gold = np.arange(9) % 3
    one, other = np.where(rng.random(9) < 0.8, gold, 0), rng.integers(0, 3, 9)
    statistic = macro_f1_difference(gold, one, other)
    every = statistic(np.array(list(product((False, True), repeat=9))))
    expected = (np.abs(every) >= abs(every[0]) - 1e-12).mean()
    assert 0.02 < expected < 0.04
    assert exchange(statistic, 9, seed=0, permutations=4000) == pytest.approx(expected, abs=0.008)


def test_exchanged_answers_test_accuracy_as_sign_flips_do():
    rng = np.random.default_rng(4)
    differences = rng.choice([-1, 0, 1], 120, p=[0.1, 0.7, 0.2])

    def accuracy(patterns):
        return (np.where(patterns, -1, 1) * differences).mean(1)

    assert exchange(accuracy, 120, seed=1) == pytest.approx(sign_flip(differences), abs=0.01)
    certain = exchange(lambda patterns: 1.0 - 2 * patterns.mean(1), 200, seed=1)
    assert certain == 1 / (significance.PERMUTATIONS + 1)
    assert exchange(lambda patterns: np.zeros(len(patterns)), 200, seed=1) == 1


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.04, and never falling.
    assert significance.holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert significance.holm([0.6, 0.7]) == [1, 1]
    assert significance.holm([]) == []


def test_holm_agrees_with_statsmodels():
    values = np.random.default_rng(5).random(11) ** 3
    assert significance.holm(values.tolist()) == pytest.approx(multipletests(values, method="holm")[1])


def latent_answers(rng, accuracies, correlation, items):
    """Right answers of two adapters, shape (2, ...items): correlated normal variables below their quantiles."""
    first = rng.standard_normal(items)
    second = correlation * first + np.sqrt(1 - correlation**2) * rng.standard_normal(items)
    return np.array([first, second]) < stats.norm.ppf(accuracies).reshape(2, *[1] * len(items))


@pytest.mark.parametrize("correlation", [-0.3, 0.2, 0.81, 0.97])
def test_disagreement_of_two_adapters(correlation):
    # Sheppard (1899): signs of normal variables.
    expected = np.arccos(correlation) / np.pi
    assert significance.disagreement(0.5, 0.5, correlation) == pytest.approx(expected, abs=2e-3)
    found = significance.disagreement(0.6, 0.7, correlation)
    one, other = latent_answers(np.random.default_rng(0), [0.6, 0.7], correlation, (400_000,))
    assert found == pytest.approx((one != other).mean(), abs=4e-3)
    assert significance.latent_correlation(0.5, expected) == pytest.approx(correlation, abs=0.02)


def test_adapters_that_differ_more_disagree_more():
    assert significance.disagreement(0.65, 0.95, 0.99) == pytest.approx(0.3, abs=5e-3)
    assert 0.3 <= significance.disagreement(0.98, 0.68, 0.8) < 0.4


def rejected(units, accuracy, discordant, difference, level, studies=2000):
    """Share of studies of two adapters, which differ that much, in which the exact test rejects."""
    correlation = significance.latent_correlation(accuracy, discordant)
    shares = [accuracy - difference / 2, accuracy + difference / 2]
    one, other = latent_answers(np.random.default_rng(6), shares, correlation, (studies, units))
    lost, gained = (one & ~other).sum(1), (other & ~one).sum(1)
    return (2 * stats.binom.cdf(np.minimum(gained, lost), gained + lost, 0.5) <= level).mean()


@pytest.mark.parametrize(("units", "accuracy", "discordant"), [(80, 0.65, 0.2), (500, 0.65, 0.2), (715, 0.8, 0.05)])
@pytest.mark.parametrize("level", [0.05, 0.05 / 14])
def test_one_run_finds_a_detectable_difference_in_four_of_five_studies(units, accuracy, discordant, level):
    found = significance.detectable_by_sign_flip(units, accuracy, discordant, level)
    assert 0.75 < rejected(units, accuracy, discordant, found, level) < 0.85
    assert rejected(units, accuracy, discordant, found / 2, level) < 0.4


def test_the_power_of_the_exact_test_is_that_of_all_studies():
    """Every number of gained and lost items with its probability, by SciPy's test."""
    units, discordant, difference, level = 14, 0.5, 0.3, 0.05
    shares = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    power = sum(
        stats.multinomial.pmf([gained, lost, units - gained - lost], units, shares)
        for gained, lost in product(range(units + 1), repeat=2)
        if gained + lost <= units and lost < gained and stats.binomtest(lost, gained + lost).pvalue <= level
    )
    assert significance.sign_flip_power(units, discordant, difference, level) == pytest.approx(power, abs=1e-6)


@pytest.mark.parametrize("accuracy", [0.0, 0.0125, 0.3, 0.83125, 0.9875, 1.0])
@pytest.mark.parametrize("discordant", [1 / 80, 0.1, 0.5, 1.0])
def test_every_pair_of_adapters_has_a_detectable_difference_or_none(accuracy, discordant):
    found = significance.detectable_by_sign_flip(80, accuracy, discordant, 0.01)
    assert found is None or 0 < found < 1


def test_too_few_items_can_show_nothing():
    # Five items that all change in one direction have p = 0.0625.
    assert significance.detectable_by_sign_flip(5, 0.5, 0.5, 0.05) is None
    # An accuracy of 50 % leaves room for half of the items.
    assert significance.detectable_by_sign_flip(12, 0.5, 0.5, 0.05) is None
    assert 0.3 < significance.detectable_by_sign_flip(30, 0.5, 0.5, 0.05) < 0.5


@pytest.mark.parametrize(("training", "df"), [(0.04, 2), (0.02, 14), (0.005, 4), (0.0, 4)])
@pytest.mark.parametrize("level", [0.05, 0.05 / 14])
def test_a_detectable_difference_is_found_in_four_of_five_studies(training, df, level):
    """Each study estimates the noise between its three runs and tests by it; the items' part grows with the effect."""
    parts = Components(items=0.02**2, rest=0.01**2, units=100, runs=3)
    noise = Noise(training**2 + parts.rest, df)

    def growth(difference):
        return 1 + 2 * difference

    difference = significance.detectable_by_t(standard_error(parts, noise), growth, level)
    rng, parts = np.random.default_rng(7), parts._replace(items=parts.items * growth(difference))
    found = []
    for _ in range(1500):
        mean = difference + rng.normal() * (parts.items + training**2 / 3) ** 0.5
        drawn = noise._replace(variance=noise.variance * rng.chisquare(df) / df)
        found.append(standard_error(parts, drawn).p(mean) < level)
    assert np.mean(found) == pytest.approx(significance.POWER, abs=0.03)


def training_alone(error, df):
    """Two runs whose mean has this standard error."""
    return standard_error(Components(0.0, 0.0, 500, 2), Noise(2 * error**2, df))


@pytest.mark.parametrize(("df", "level"), [(1, 0.05), (3, 0.01), (499, 0.05 / 40)])
def test_with_training_noise_alone_power_is_that_of_the_noncentral_t_distribution(df, level):
    difference = significance.detectable_by_t(training_alone(0.01, df), lambda _: 1.0, level)
    shift = difference / 0.01
    assert stats.nct.sf(stats.t.ppf(1 - level / 2, df), df, shift) == pytest.approx(0.8, abs=3e-3)


def test_a_difference_of_more_than_all_points_cannot_be_detected():
    """Two runs and many claims: SciPy's noncentral t distribution does not converge there."""
    found = [significance.detectable_by_t(training_alone(e, 1), lambda _: 1.0, 0.05 / 100) for e in (1e-4, 1e-2)]
    assert found == [pytest.approx(0.163, abs=0.002), None]


@pytest.mark.parametrize("runs", [1, 3])
def test_variance_of_answers_over_items(runs):
    """Difficulty is common to all adapters of both arms, chance is each one's own."""
    accuracy, difference, correlation, items = 0.65, 0.2, 0.8, 60_000
    rng = np.random.default_rng(8)
    hard = np.sqrt(correlation) * rng.standard_normal(items)
    thresholds = stats.norm.ppf([accuracy - difference / 2, accuracy + difference / 2])[:, None, None]
    chance = np.sqrt(1 - correlation) * rng.standard_normal((2, runs, items))
    right = (hard + chance < thresholds).mean(1)
    expected = (right[1] - right[0]).var()
    assert significance.answer_variance(accuracy, difference, correlation, runs) == pytest.approx(expected, rel=0.03)
    growth = significance.items_growth(accuracy, significance.disagreement(accuracy, accuracy, correlation), runs)
    now = significance.answer_variance(accuracy, 0.0, correlation, runs)
    assert (growth(0.0), growth(difference)) == (pytest.approx(1), pytest.approx(max(1, expected / now), rel=0.05))


def test_signs_are_flipped_as_answers_are_exchanged():
    rng = np.random.default_rng(3)
    differences = rng.normal(0.1, 1, 40) * (rng.random(40) < 0.7)
    p = exchange(lambda patterns: np.where(patterns, -differences, differences).sum(1), 40, seed=0)
    assert flip_signs(differences, seed=1) == pytest.approx(p, abs=0.02)
    assert flip_signs(np.zeros(5), seed=0) == 1
    # Weights of any size change nothing but the unit.
    assert flip_signs(1000 * differences, seed=1) == flip_signs(differences, seed=1)
    assert flip_signs(np.ones(30), seed=0) == 1 / 10_000


def test_a_detectable_difference_scales_with_the_noise():
    small, large = (items_alone(variance, 60) for variance in (1e-6, 1.0))
    one, other = (detectable_by_t(e, lambda _: 1.0, 0.05, 100 * e.variance**0.5) for e in (small, large))
    assert other == pytest.approx(1000 * one, rel=1e-3)
    assert detectable_by_t(large, lambda _: 1.0, 0.05) is None  # more than 99 points
