"""Intervals over items and over runs, each against an independent computation."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from stagewise.metrics.bootstrap import (
    NO_RESAMPLE,
    NO_SPREAD,
    NO_TRAINING_NOISE,
    ONE_RUN,
    TOO_FEW,
    Bootstrap,
    Resampled,
    draw_weights,
)
from stagewise.metrics.scores import resample_scores
from tests.helpers.drawn_predictions import drawn, predictions


def bounds(value):
    return value.low, value.high


def spread(values, draws, confidence=0.95, units=100, limits=(-1, 1)):
    """The intervals of a statistic from its value and its draws, shape (runs, samples), in each run."""
    runs = [Resampled(*run) for run in zip(values, draws, strict=True)]
    return Bootstrap(1, 0, confidence, []).over_runs(runs, units, limits)


def test_tasks_and_splits_are_resampled_apart():
    bootstrap, answers = Bootstrap(200, 0, 0.95, ["pubmedqa", "dreaddit"]), drawn(50)
    one, other, third = (
        bootstrap.weights(task, split, answers)
        for task, split in (("pubmedqa", "test"), ("dreaddit", "test"), ("pubmedqa", "train"))
    )
    assert one.shape == (200, 50) and set(one.sum(1)) == {50}
    assert (one != other).any() and (one != third).any()
    again = Bootstrap(200, 0, 0.95, ["pubmedqa", "dreaddit"]).weights("pubmedqa", "test", answers)
    assert (one == again).all()


def test_items_of_a_group_are_drawn_together():
    groups = np.array([0, 1, 1, 2, 2, 2, 1])
    weights = draw_weights(7, 500, 0, groups)
    for number in range(3):
        members = weights[:, groups == number]
        assert (members == members[:, :1]).all()
    by_group = weights[:, [0, 1, 3]]
    assert set(by_group.sum(1)) == {3} and by_group.mean(0) == pytest.approx([1, 1, 1], abs=0.15)


def test_groups_whose_items_agree_are_as_few_items():
    """Five copies of each item say no more than the item."""
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 2, 60)
    answer = np.where(rng.random(60) < 0.7, gold, 1 - gold)
    copies, groups = (np.repeat(column, 5) for column in (gold, answer)), np.repeat(np.arange(60), 5)
    intervals = []
    for (g, a), numbers in (((gold, answer), None), (tuple(copies), groups)):
        scores = resample_scores(predictions(g, a, labels=["a", "b"]), draw_weights(len(g), 4000, 1, numbers))
        intervals.append(bounds(Bootstrap(4000, 0, 0.95, []).value(scores.measures["accuracy"], 60)))
    assert intervals[1] == pytest.approx(intervals[0])
    alone = resample_scores(
        predictions(np.repeat(gold, 5), np.repeat(answer, 5), labels=["a", "b"]), draw_weights(300, 4000, 1)
    )
    low, high = bounds(Bootstrap(4000, 0, 0.95, []).value(alone.measures["accuracy"], 300))
    assert intervals[1][1] - intervals[1][0] == pytest.approx(5**0.5 * (high - low), rel=0.1)


@pytest.mark.parametrize("name", ["accuracy", "macro_f1"])
def test_an_interval_agrees_with_scipys_bootstrap(name):
    rng = np.random.default_rng(5)
    gold = rng.choice(3, 150, p=[0.55, 0.34, 0.11])
    answer = np.where(rng.random(150) < 0.5, gold, rng.integers(0, 4, 150))
    score = {
        "accuracy": sk.accuracy_score,
        "macro_f1": lambda g, a: sk.f1_score(g, a, labels=[0, 1, 2], average="macro", zero_division=0),
    }[name]
    scores = resample_scores(predictions(gold, answer), draw_weights(150, 9000, 0))
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
    # Hesterberg (2015), section 5.1: 95 % of ten items are the quantiles 0.9 % and 99.1 %.
    tail = stats.norm.cdf(-np.sqrt(10 / 9) * stats.t(9).ppf(0.975))
    assert tail == pytest.approx(0.0086, abs=1e-4)
    assert bounds(found.value) == pytest.approx(tuple(np.quantile(draws, [tail, 1 - tail])))
    assert (found.training.low, found.training.reason) == (None, ONE_RUN)


def test_intervals_of_few_groups_cover():
    """27 groups of three items that agree; the plain percentile interval covers 92 to 93 %."""
    rng, held = np.random.default_rng(4), []
    groups = np.repeat(np.arange(27), 3)
    for _ in range(600):
        right = (rng.normal(0, 0.9, 27)[groups] + rng.normal(0, 0.45, 81) > 0).astype(float)
        weights = draw_weights(81, 400, 0, groups)
        value = Bootstrap(400, 0, 0.95, []).value(Resampled(right.mean(), weights @ right / weights.sum(1)), 27)
        held.append(value.low <= 0.5 <= value.high)
    assert np.mean(held) > 0.93


def test_runs_without_difference_leave_item_noise_alone():
    draws = np.tile(np.random.default_rng(0).normal(0.1, 0.02, 1000), (3, 1))
    found = spread(np.full(3, 0.1), draws)
    half = stats.t(99).ppf(0.975) * draws[0].std()
    assert bounds(found.value) == bounds(found.items) == pytest.approx((0.1 - half, 0.1 + half))
    assert (found.training.low, found.training.reason) == (None, NO_TRAINING_NOISE)
    assert found.value.training_share == pytest.approx(0)


def test_items_without_influence_leave_training_noise_alone():
    values = np.array([0.1, 0.2, 0.4, 0.15, 0.3])
    found = spread(values, np.tile(values[:, None], (1, 200)), 0.9)
    assert (found.items.low, found.items.reason) == (None, NO_SPREAD)
    assert (found.value.training_share, found.value.runs) == (1, 5)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert bounds(found.value) == bounds(found.training) == pytest.approx((theirs.low, theirs.high))
    assert found.value.value == found.items.value == pytest.approx(values.mean())


def test_both_adds_the_variances():
    rng = np.random.default_rng(1)
    values = rng.normal(0.5, 0.05, 40)
    shared = rng.normal(0, 0.02, 20000)
    found = spread(values, values[:, None] + shared)
    training, items = values.var(ddof=1) / 40, shared.var()
    df = (training + items) ** 2 / (training**2 / 39 + items**2 / 99)
    half = stats.t(df).ppf(0.975) * (training + items) ** 0.5
    assert bounds(found.value) == pytest.approx((values.mean() - half, values.mean() + half))
    assert found.value.training_share == pytest.approx(training / (training + items))
    assert found.error.p(values.mean()) == pytest.approx(2 * stats.t(df).sf(values.mean() / (training + items) ** 0.5))


def test_noise_of_single_items_is_not_counted_twice():
    """Runs that answer other items right by chance alone do not differ beyond that."""
    rng, right = np.random.default_rng(2), []
    for _ in range(100):
        answers = rng.random((3, 200)) < 0.6
        draws = answers @ draw_weights(200, 200, 0).T / 200
        right.append(spread(answers.mean(1), draws, units=200).value)
    # One accuracy over all 600 answers; resampling runs too gave more than twice this width.
    expected = 2 * 1.96 * (0.6 * 0.4 / 600) ** 0.5
    assert np.median([value.high - value.low for value in right]) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize(("runs", "least"), [(2, 0.91), (3, 0.925), (5, 0.925)])
def test_few_runs_do_not_promise_too_much(runs, least):
    """Items' noise of 2 points, training noise of 3; two runs by themselves hold the truth in 93 instead of 95 %."""
    rng, held = np.random.default_rng(runs), []
    for _ in range(1000):
        items = rng.normal(0, 0.02)
        values = items + rng.normal(0, 0.03, runs)
        both = spread(values, values[:, None] + rng.normal(0, 0.02, 400)).value
        held.append(both.low < 0 < both.high)
    assert least < np.mean(held) < 0.98


def test_a_score_stays_in_its_range():
    values = np.array([1.0, 0.8])
    found = spread(values, np.tile(values[:, None], (1, 100)), 0.99, limits=(0, 1))
    assert found.value.high == found.training.high == 1


def test_resamples_that_lack_a_value_are_left_out():
    values, draws = np.array([0.4, 0.6]), np.random.default_rng(0).normal(0.5, 0.1, (2, 500))
    holes = draws.copy()
    holes[0, ::2] = np.nan
    assert spread(values, holes) == spread(values, draws[:, 1::2])


def test_no_interval_over_runs_has_its_reason():
    values = np.array([0.4, 0.6])
    never = spread(values, np.array([[np.nan, 0.5], [0.5, np.nan]])).value
    assert (never.value, never.low, never.reason) == (0.5, None, NO_RESAMPLE)
    few = spread(values, np.tile(values[:, None], (1, 10)), units=1).value
    assert (few.value, few.low, few.reason, few.runs) == (0.5, None, TOO_FEW, 2)
    same = spread(np.full(2, 0.5), np.full((2, 10), 0.5))
    assert (same.value.low, same.value.reason, same.error) == (None, NO_SPREAD, None)
    missing = Bootstrap(10, 0, 0.95, []).over_runs([Resampled(np.nan, np.full(10, np.nan))] * 2, 9, (0, 1), "why")
    assert (missing.value.value, missing.value.reason, missing.value.runs, missing.error) == (None, "why", 2, None)
    # Two items are enough.
    two = spread(values, np.random.default_rng(0).random((2, 10)), units=2).value
    assert two.low is not None and two.reason is None
