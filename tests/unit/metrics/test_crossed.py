"""Crossed random effects against two-way analyses of variance, published formulas and simulated studies."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from benchmarks.claims import Cell, simulate
from stagewise.metrics import crossed
from stagewise.metrics.bootstrap import Bootstrap, Resampled, draw_weights


def anova(table):
    """Mean squares of rows, of columns and of the rest of a table, by least squares on indicator columns."""
    rows, columns = table.shape
    y, row, column = table.ravel(), np.repeat(np.arange(rows), columns), np.tile(np.arange(columns), rows)
    indicators = {"mean": np.ones((len(y), 1)), "row": np.eye(rows)[row], "column": np.eye(columns)[column]}

    def residual(*terms):
        design = np.hstack([indicators[term] for term in terms])
        return ((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum()

    rest = residual("mean", "row", "column")
    return (
        (residual("mean", "column") - rest) / (rows - 1),
        (residual("mean", "row") - rest) / (columns - 1),
        rest / ((rows - 1) * (columns - 1)),
    )


def test_components_are_those_of_a_two_way_analysis_of_variance():
    """All resamples of four items, so that nothing is drawn; dividing by n, not n - 1, is the bootstrap's."""
    runs, items = 3, 4
    table = np.random.default_rng(0).normal(size=(runs, items))
    draws = np.array([table[:, list(drawn)].mean(1) for drawn in product(range(items), repeat=items)]).T
    found = crossed.components(table.mean(1), draws, items)
    _, by_item, rest = anova(table)
    assert found.items == pytest.approx(by_item / runs / items * (items - 1) / items)
    assert found.rest == pytest.approx(rest / items * (items - 1) / items)
    assert (found.units, found.runs) == (items, runs)


def test_the_run_component_comes_from_mean_squares():
    """(MS of runs - MS of the rest) / (R n) is added to the items' part: the variance of a mean over R runs."""
    runs, items = 4, 50
    rng = np.random.default_rng(1)
    table = 0.3 * rng.normal(size=(runs, 1)) + rng.normal(size=items) + 0.5 * rng.normal(size=(runs, items))
    by_run, by_item, rest = anova(table)
    parts = crossed.Components(by_item / (runs * items), rest / items, items, runs)
    error = crossed.standard_error(parts, crossed.own_noise(table.mean(1)))
    assert error.training == pytest.approx((by_run - rest) / (runs * items))
    assert error.variance == pytest.approx((by_run + by_item - rest) / (runs * items))


def test_degrees_of_freedom_are_satterthwaites():
    error = crossed.standard_error(crossed.Components(4.0, 1.0, 11, 3), crossed.Noise(7.0, 2))
    assert (error.training, error.variance) == pytest.approx((2, 6))
    assert error.df == pytest.approx(6**2 / (4**2 / 10 + (7 / 3) ** 2 / 2))
    assert error.p(3.0) == pytest.approx(2 * stats.t(error.df).cdf(-3 / 6**0.5))
    assert crossed.half_width(error.variance, error.df, 0.9) == pytest.approx(stats.t(error.df).ppf(0.95) * 6**0.5)


def test_runs_that_differ_as_their_items_explain_add_nothing():
    error = crossed.standard_error(crossed.Components(4.0, 1.0, 11, 3), crossed.Noise(0.9, 2))
    assert (error.training, error.variance, error.df) == pytest.approx((0, 4, 10))


def test_comparisons_of_one_kind_share_the_noise_of_a_block_design():
    """What all of them have in common in a run (an earlier adapter) is part of it."""
    number, runs = 5, 4
    rng = np.random.default_rng(2)
    table = rng.normal(size=(number, 1)) + 2 * rng.normal(size=runs) + rng.normal(size=(number, runs))
    _, by_run, rest = anova(table)
    expected = (by_run + (number - 1) * rest) / number
    weights = np.array([by_run / number, (number - 1) * rest / number])
    df = expected**2 / (weights**2 / [runs - 1, (number - 1) * (runs - 1)]).sum()
    assert crossed.shared_noise(table) == [crossed.Noise(pytest.approx(expected), pytest.approx(df), True)] * number
    assert runs - 1 < df < number * (runs - 1)


def test_differences_from_one_reference_have_twice_the_noise_of_an_arm():
    """Dunnett's: the mean square of arms × runs, the reference's runs among them."""
    rng = np.random.default_rng(3)
    reference, others = rng.normal(size=3), rng.normal(size=(6, 3))
    _, _, rest = anova(np.vstack([reference, others]))
    found = crossed.noise_against(others, reference)
    assert found == [crossed.Noise(pytest.approx(2 * rest), 6 * 2, True)] * 6
    # Luck that all arms of a run share falls out of their differences.
    shifted = crossed.noise_against(others + [5, 0, -5], reference + [5, 0, -5])
    assert shifted[0].variance == pytest.approx(2 * rest)


def test_a_single_comparison_has_the_noise_of_its_runs():
    values, reference = np.array([[0.1, 0.4, 0.2]]), np.array([0.2, 0.1, 0.1])
    assert crossed.shared_noise(values) == [crossed.Noise(pytest.approx(np.var(values[0], ddof=1)), 2)]
    expected = np.var(values[0] - reference, ddof=1)
    assert crossed.noise_against(values, reference) == [crossed.Noise(pytest.approx(expected), 2)]


@pytest.mark.parametrize("factor", [1, 3, 6, 10, 30])
def test_arms_that_measurably_differ_in_noise_keep_their_own(factor):
    """By Bartlett's test, at 1 %, of what is left without the runs' common part."""
    table = np.random.default_rng(4).normal(size=(5, 6))
    table[0] *= factor
    differ = stats.bartlett(*(table - table.mean(0))).pvalue < crossed.HETEROGENEOUS
    found, own = crossed.shared_noise(table), table.var(1, ddof=1)
    shared = min(noise.variance for noise in found)
    assert [noise.variance for noise in found] == pytest.approx(np.maximum(shared, own) if differ else [shared] * 5)
    assert differ == (factor >= 6)


def test_a_fold_counts_once_however_many_seeds_it_has():
    """Nadeau & Bengio (2003): the variance of a mean over J folds is that of one fold times (1 / J + test / train)."""
    folds, overlap = np.array([0.1, 0.3, 0.2, 0.4]), 25 / 75
    seeds = np.array([-0.05, 0.05])
    values = (folds[:, None] + seeds).ravel()
    runs = [Resampled(value, np.full(100, value)) for value in values]
    found = Bootstrap(100, 0, 0.95, [], crossed.Runs(4, overlap)).over_runs(runs, 80, (-1, 1))
    half = stats.t(3).ppf(0.975) * np.sqrt(folds.var(ddof=1) * (1 / 4 + overlap))
    assert found.value.value == pytest.approx(0.25)
    assert (found.value.low, found.value.high) == pytest.approx((0.25 - half, 0.25 + half))
    assert found.value.runs == 8
    alone = Bootstrap(100, 0, 0.95, []).over_runs(runs, 80, (-1, 1))
    assert found.value.high - found.value.low > 1.5 * (alone.value.high - alone.value.low)


def interval_studies(studies, arms, runs, noise, samples=300):
    """Yield each study's intervals of differences from the first arm on one task, all truly 0."""
    cell, bootstrap = Cell(arms, 120, runs, noise), Bootstrap(samples, 0, 0.95, [])
    weights = draw_weights(cell.items, samples, 0)
    for seed in range(studies):
        answers = simulate(cell, seed).predictions
        right = np.array(
            [[answers[f"run-{run}/arm-{arm}", "first", "test"].right for run in range(runs)] for arm in range(arms)]
        ).astype(np.float32)
        values, draws = right.mean(2).astype(float), right @ weights.T / cell.items
        shared = crossed.noise_against(values[1:], values[0])
        for arm, one in enumerate(shared, 1):
            by_run = [Resampled(*run) for run in zip(values[arm] - values[0], draws[arm] - draws[0], strict=True)]
            yield bootstrap.over_runs(by_run, cell.items, (-1, 1), noise=one).value


@pytest.mark.parametrize(("runs", "noise"), [(3, 0), (3, 3), (5, 3)])
def test_intervals_hold_the_truth_as_often_as_they_say(runs, noise):
    """Eight arms. Resampling the runs as well held the truth in 99.6 to 100 % of studies of three runs."""
    held = [value.low <= 0 <= value.high for value in interval_studies(200, 8, runs, noise)]
    assert 0.93 < np.mean(held) < 0.98


def test_one_run_varies_with_its_items_alone():
    error = crossed.items_alone(0.04, 11)
    assert (error.items, error.variance, error.training, error.items_df) == (0.04, 0.04, 0, 10)
    assert error.df == 10
    assert error.p(0.4) == pytest.approx(2 * stats.t.sf(2, 10))


def test_without_any_variance_there_are_the_items_degrees_of_freedom():
    variance, df = crossed.items_alone(0.0, 11).estimated(0.0, np.ones(3))
    assert variance.tolist() == [0, 0, 0] and df.tolist() == [10, 10, 10]
