"""Intervals over items and over runs, each against an independent computation."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from stagewise.metrics.bootstrap import (
    NO_SPREAD,
    ONE_RUN,
    TOO_FEW,
    Bootstrap,
    Resampled,
    draw_weights,
    spread_over_runs,
)
from stagewise.metrics.scores import resample_scores


def bounds(value):
    return value.low, value.high


def shares(samples, runs, seed=0):
    return np.random.default_rng(seed).multinomial(runs, np.full(runs, 1 / runs), size=samples) / runs


def spread(values, draws, samples, confidence=0.95, seed=0, limits=(-1, 1)):
    run_shares = shares(samples, len(values), seed)
    return spread_over_runs(np.asarray(values), draws, run_shares, 100, confidence, limits)


def test_tasks_and_splits_are_resampled_apart():
    bootstrap = Bootstrap(200, 0, 0.95, ["pubmedqa", "dreaddit"])
    one, other, third = (
        bootstrap.weights(task, split, 50)
        for task, split in (("pubmedqa", "test"), ("dreaddit", "test"), ("pubmedqa", "train"))
    )
    assert one.shape == (200, 50) and set(one.sum(1)) == {50}
    assert (one != other).any() and (one != third).any()
    again = Bootstrap(200, 0, 0.95, ["pubmedqa", "dreaddit"]).weights("pubmedqa", "test", 50)
    assert (one == again).all()


@pytest.mark.parametrize("name", ["accuracy", "macro_f1"])
def test_an_interval_agrees_with_scipys_bootstrap(name):
    rng = np.random.default_rng(5)
    gold = rng.choice(3, 150, p=[0.55, 0.34, 0.11])
    answer = np.where(rng.random(150) < 0.5, gold, rng.integers(0, 4, 150))
    score = {
        "accuracy": sk.accuracy_score,
        "macro_f1": lambda g, a: sk.f1_score(g, a, labels=[0, 1, 2], average="macro", zero_division=0),
    }[name]
    scores = resample_scores(gold, answer, 3, draw_weights(150, 9000, 0))
    ours = Bootstrap(9000, 0, 0.95, []).value(scores.measures[name], 150)
    theirs = stats.bootstrap(
        (gold, answer),
        score,
        paired=True,
        vectorized=False,
        n_resamples=800,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ours.value == pytest.approx(score(gold, answer), abs=1e-12)
    assert bounds(ours) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_no_interval_has_its_reason():
    bootstrap = Bootstrap(100, 0, 0.95, [])
    assert bootstrap.value(Resampled(1.0, np.ones(100)), 4).reason == NO_SPREAD
    assert bootstrap.value(Resampled(1.0, np.ones(100)), 1).reason == TOO_FEW
    missing = bootstrap.value(Resampled(np.nan, np.full(100, np.nan)), 4, "why")
    assert (missing.value, missing.low, missing.reason) == (None, None, "why")


def test_one_run_has_the_interval_of_its_items():
    draws = np.random.default_rng(0).normal(0.5, 0.1, 100)
    found = Bootstrap(100, 0, 0.95, []).over_runs([Resampled(0.5, draws)], 10, (0, 1))
    assert found.value == found.items and found.value.runs is None
    assert bounds(found.value) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])))
    assert (found.training.low, found.training.reason) == (None, ONE_RUN)


def test_runs_without_difference_leave_item_noise_alone():
    draws = np.tile(np.random.default_rng(0).normal(0.1, 0.02, 1000), (3, 1))
    found = spread(np.full(3, 0.1), draws, 1000)
    assert bounds(found.value) == pytest.approx(bounds(found.items))
    assert (found.training.low, found.training.reason, found.value.training_share) == (None, NO_SPREAD, 0)


def test_items_without_influence_leave_training_noise_alone():
    values = np.array([0.1, 0.2, 0.4, 0.15, 0.3])
    found = spread(values, np.tile(values[:, None], (1, 20000)), 20000)
    assert (found.items.low, found.value.training_share, found.value.runs) == (None, 1, 5)
    assert bounds(found.value) == pytest.approx(bounds(found.training))
    assert found.value.value == found.items.value == pytest.approx(values.mean())


def test_training_noise_of_many_runs_is_students_interval():
    values = np.random.default_rng(3).normal(0.2, 0.05, 12)
    found = spread(values, np.tile(values[:, None], (1, 50000)), 50000, 0.9)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert bounds(found.training) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_both_adds_the_variances():
    rng = np.random.default_rng(1)
    values = rng.normal(0.5, 0.05, 40)
    draws = values[:, None] + rng.normal(0, 0.02, (1, 20000))
    found = spread(values, draws, 20000).value
    error = np.hypot(values.std(ddof=1) / np.sqrt(40), 0.02)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.05)
    assert found.training_share == pytest.approx(values.var(ddof=1) / 40 / error**2, abs=0.05)


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_few_runs_do_not_promise_too_much(runs):
    """The interval over items and runs holds the truth about as often as it says, however few the runs."""
    rng, held = np.random.default_rng(runs), []
    for _ in range(400):
        items = rng.normal(0, 0.02)
        values = items + rng.normal(0, 0.03, runs)
        draws = values[:, None] + rng.normal(0, 0.02, 400)
        both = spread(values, draws, 400, 0.9, int(rng.integers(1e9))).value
        held.append(both.low < 0 < both.high)
    assert np.mean(held) > 0.86


def test_a_score_stays_in_its_range():
    values = np.array([1.0, 0.8])
    found = spread(values, np.tile(values[:, None], (1, 100)), 100, 0.99, limits=(0, 1))
    assert found.value.high == found.training.high == 1


def test_resamples_that_lack_a_value_are_left_out():
    values, draws = np.array([0.4, 0.6]), np.random.default_rng(0).normal(0.5, 0.1, (2, 500))
    holes = draws.copy()
    holes[0, ::2] = np.nan
    run_shares = shares(500, 2)
    found = spread_over_runs(values, holes, run_shares, 10, 0.95)
    expected = spread_over_runs(values, draws[:, 1::2], run_shares[1::2], 10, 0.95)
    assert found == expected


def test_no_interval_if_no_resample_can_be_scored_in_every_run():
    draws = np.array([[np.nan, 0.5], [0.5, np.nan]])
    spread = spread_over_runs(np.array([0.4, 0.6]), draws, np.full((2, 2), 0.5), 10, 0.95)
    assert spread.value.value == 0.5 and spread.value.low is None
    assert spread.value.reason == "no resample of the items can be scored in every run"
