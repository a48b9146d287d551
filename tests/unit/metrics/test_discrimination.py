"""Discrimination: AUROC and log loss against scikit-learn, and what a shifted label prior does not move."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import log_loss, roc_auc_score

from stagewise.metrics.bootstrap import Bootstrap, draw_weights
from stagewise.metrics.decision_rules import normalize
from stagewise.metrics.discrimination import DiscriminationTable, fit_bias, log_losses, pair_aurocs, refit_bias
from tests.helpers.drawn_predictions import answered, predictions
from tests.helpers.records import find

SHIFT = np.array([0.7, 0.2, -2.5])
BASE, FIRST, SECOND = "base", "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
LAST = [f"base/seed-{seed}/pubmedqa/dreaddit" for seed in range(3)]
TEST = {"task": "pubmedqa", "split": "test"}


def mean_loss(probabilities, gold):
    return log_losses(probabilities, gold).mean()


def test_a_fitted_bias_undoes_any_shift():
    (gold, logs), (known, validation) = answered(), answered(400, seed=9)
    shifted, moved = (normalize(each + SHIFT) for each in (logs, validation))
    bias, other = fit_bias(validation, known), fit_bias(moved, known)
    assert other - bias == pytest.approx(-(SHIFT - SHIFT[0]), abs=1e-3)
    losses = [mean_loss(np.exp(normalize(a + b)), gold) for a, b in ((logs, bias), (shifted, other))]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert mean_loss(np.exp(shifted), gold) > losses[1] + 0.1


def test_the_fitted_bias_is_the_optimum():
    gold, logs = answered()
    bias = fit_bias(logs, gold)
    assert bias[0] == 0
    best = mean_loss(np.exp(normalize(logs + bias)), gold)
    for step in np.random.default_rng(0).normal(scale=0.1, size=(20, 3)):
        assert mean_loss(np.exp(normalize(logs + bias + step)), gold) >= best


def test_one_newton_step_is_close_to_the_refitted_bias():
    gold, logs = answered(120, seed=3)
    weights = draw_weights(120, 60, seed=1)
    found = refit_bias(logs, gold, fit_bias(logs, gold), weights)
    items = [np.repeat(np.arange(120), draw.astype(int)) for draw in weights]
    exact = np.array([fit_bias(logs[draw], gold[draw]) for draw in items])
    assert (found[:, 0] == 0).all()
    assert found.std(0)[1:] == pytest.approx(exact.std(0)[1:], rel=0.1)
    assert np.median(np.abs(found - exact)[:, 1:] / exact.std(0)[1:]) < 0.1


def test_labels_told_apart_perfectly_keep_the_refitted_bias_finite():
    gold, logs = np.array([0, 1, 2] * 4), np.log(np.tile(np.eye(3) * 0.99 + 0.0033, (4, 1)))
    found = refit_bias(logs, gold, fit_bias(logs, gold), draw_weights(12, 50, seed=0))
    assert np.isfinite(found).all() and np.abs(found).max() <= 20


def test_the_fitted_log_loss_varies_with_its_validation_items():
    """The bias is fitted on few items: taken as known, the interval is far too narrow."""
    (gold, logs), (known, validation) = answered(400), answered(30, seed=9)
    made = {
        ("base", "task", split): predictions(codes, values.argmax(1), values)
        for split, codes, values in (("test", gold, logs), ("validation", known, validation))
    }
    bootstrap = Bootstrap(500, 0, 0.95, ["task"])
    found = DiscriminationTable(made, bootstrap).log_loss("base", "task", "test", fitted=True)
    losses = log_losses(np.exp(normalize(logs + fit_bias(validation, known))), gold)
    assert found.value == pytest.approx(losses.mean())
    fixed = bootstrap.weights("task", "test", made["base", "task", "test"]) @ losses / 400
    assert found.draws.std() > 1.2 * fixed.std()


def test_log_loss_agrees_with_scikit_learn():
    gold, logs = answered()
    assert mean_loss(np.exp(logs), gold) == pytest.approx(log_loss(gold, np.exp(logs)), abs=1e-12)
    certain = np.array([[1.0, 0.0, 0.0]])
    assert mean_loss(certain, np.array([1])) == pytest.approx(log_loss([1], certain, labels=[0, 1, 2]))


def test_auroc_agrees_with_scikit_learn():
    gold, logs = answered(120)
    logs = np.round(logs, 1)  # ties
    pairs = [(0, 1), (0, 2), (1, 2)]

    def theirs(items):
        kept = [(first, items[np.isin(gold[items], (first, second))], second) for first, second in pairs]
        # The differences of equal odds differ in their last digits.
        odds = [(logs[i, first] - logs[i, second]).round(9) for first, i, second in kept]
        return [roc_auc_score(gold[i] == first, o) for (first, i, _), o in zip(kept, odds, strict=True)]

    everything = np.arange(120)
    assert pair_aurocs(logs, gold)[0] == pytest.approx(theirs(everything), abs=1e-12)
    weights = np.random.default_rng(0).multinomial(120, np.full(120, 1 / 120), size=5).astype(np.float32)
    for found, drawn in zip(pair_aurocs(logs, gold, weights), weights.astype(int), strict=True):
        assert found == pytest.approx(theirs(np.repeat(everything, drawn)), abs=1e-6)


def test_auroc_is_not_moved_by_a_shift():
    gold, logs = answered()
    before, after = (pair_aurocs(normalize(x), gold) for x in (logs, logs + SHIFT))
    assert before == pytest.approx(after, abs=1e-6)


def test_auroc_without_a_label():
    gold, logs = np.array([0, 1, 1]), np.log(np.full((3, 3), 1 / 3))
    assert np.isnan(pair_aurocs(logs, gold)[0]).tolist() == [False, True, True]
    assert pair_aurocs(logs, gold)[0, 0] == 0.5


def test_the_mean_leaves_out_pairs_that_a_split_or_a_resample_lacks():
    gold, logs = answered(30)
    gold = np.where(gold == 2, 0, gold)  # no item has the third label
    given = predictions(gold, logs.argmax(1), logs)
    table = DiscriminationTable({("base", "task", "test"): given}, Bootstrap(100, 0, 0.95, ["task"]))
    pairs, mean = table.pair_aurocs("base", "task", "test"), table.auroc("base", "task", "test")
    assert np.isnan(pairs.value[1:]).all() and mean.value == pairs.value[0]
    few = np.array([0] * 20 + [1] * 9 + [2])  # most resamples have the third label, some do not
    table = DiscriminationTable(
        {("base", "task", "test"): predictions(few, logs.argmax(1), logs)}, Bootstrap(200, 0, 0.95, ["task"])
    )
    pairs, mean = table.pair_aurocs("base", "task", "test"), table.auroc("base", "task", "test")
    lacking = np.isnan(pairs.draws[:, 1])
    assert 0 < lacking.sum() < 200
    assert mean.draws[lacking] == pytest.approx(pairs.draws[lacking, 0])
    assert mean.draws[~lacking] == pytest.approx(pairs.draws[~lacking].mean(1))


def test_the_record_recomputed(one):
    results, report = one
    answers = results.predictions[SECOND, "pubmedqa", "test"]
    found = find(report.discrimination, lineages=[SECOND], **TEST)
    expected = []
    for first, second in ((0, 1), (0, 2), (1, 2)):
        kept = np.isin(answers.gold, (first, second))
        odds = answers.logprobs[kept, first] - answers.logprobs[kept, second]
        expected.append(roc_auc_score(answers.gold[kept] == first, odds))
    assert [pair.auroc.value for pair in found.pairs] == pytest.approx(expected, abs=1e-6)
    assert found.auroc.value == pytest.approx(np.mean(expected), abs=1e-6)
    assert found.auroc.low < found.auroc.value < found.auroc.high
    shares = np.exp(answers.logprobs) / np.exp(answers.logprobs).sum(1, keepdims=True)
    assert found.log_loss.value == pytest.approx(log_loss(answers.gold, shares, labels=[0, 1, 2]))
    assert found.log_loss_fitted.value is not None
    before = find(report.discrimination, lineages=[FIRST], **TEST)
    change = find(report.forgetting, arm="sequential", comparison="paired", after_split="test").auroc
    assert change.value == pytest.approx(found.auroc.value - before.auroc.value)


def test_baselines_with_probabilities_have_a_log_loss(one):
    _, report = one
    assert find(report.discrimination, lineages=["tfidf"], **TEST).log_loss.value > 0
    assert not [record for record in report.discrimination if record.lineages == ["majority"]]


def resampled(statistic, items):
    """A percentile bootstrap of somebody else's, over indices of items."""
    interval = stats.bootstrap(
        (np.arange(items),),
        statistic,
        vectorized=False,
        n_resamples=3000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    return pytest.approx((interval.low, interval.high), abs=0.02)


def test_log_loss_over_runs_recomputed(three):
    results, report = three
    together = find(report.discrimination, lineages=LAST, **TEST)
    runs = [results.predictions[lineage, "pubmedqa", "test"] for lineage in LAST]
    fitted_on = [results.predictions[lineage, "pubmedqa", "validation"] for lineage in LAST]
    biases = [fit_bias(answers.logprobs, answers.gold) for answers in fitted_on]

    def losses(bias_by_run):
        """Of every item, by run."""
        for answers, bias in zip(runs, bias_by_run, strict=True):
            shares = np.exp(answers.logprobs + bias)
            shares /= shares.sum(1, keepdims=True)
            pairs = zip(answers.gold, shares, strict=True)
            yield [log_loss([gold], [share], labels=[0, 1, 2]) for gold, share in pairs]

    for value, shift in ((together.log_loss, [0, 0, 0]), (together.log_loss_fitted, biases)):
        by_item = np.mean(list(losses(shift)), 0)
        assert value.value == pytest.approx(by_item.mean(), abs=1e-4)
        # Items alone are a part of what moves the mean.
        inner = resampled(lambda items: by_item[items].mean(), len(by_item)).expected  # noqa: B023
        assert value.low <= inner[0] + 0.02 and value.high >= inner[1] - 0.02


def test_no_fitted_loss_on_the_items_that_fitted_it(three):
    _, report = three
    value = find(report.discrimination, lineages=LAST[:1], task="pubmedqa", split="validation").log_loss_fitted
    assert (value.value, value.reason) == (None, "the bias is fitted on these items")
