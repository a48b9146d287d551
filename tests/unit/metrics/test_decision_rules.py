"""Decision rules: what they add, what a shifted label prior does to them, and what it does not move."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import f1_score, log_loss, recall_score, roc_auc_score

from stagewise.metrics import decision_rules, discrimination, resampling
from stagewise.metrics.classification import log_loss as own_log_loss
from stagewise.metrics.read_results import read_run
from stagewise.metrics.schema import RULES
from tests.helpers import fake_results as made

SHARES = np.array([0.55, 0.34, 0.11])
SHIFT = np.array([0.7, 0.2, -2.5])


def answered(n=600, seed=0, strength=2.0):
    """Gold codes and log-probabilities of a scorer that knows the labels' shares and something of the items."""
    rng = np.random.default_rng(seed)
    gold = rng.choice(3, n, p=SHARES)
    scores = rng.normal(size=(n, 3)) + np.log(SHARES)
    scores[np.arange(n), gold] += strength
    return gold, log_softmax(scores, 1)


def test_priors_never_are_zero():
    found = np.exp(decision_rules.log_priors(["a"] * 6 + ["b"] * 3, ["a", "b", "c"]))
    assert found == pytest.approx(np.array([6, 3, 0.5]) / 9.5)


def test_tau_maximizes_validation_macro_f1_and_is_the_smallest_of_equals():
    gold, logs = answered()
    priors = np.log(SHARES)
    tau, bias = decision_rules.prior_adjusted(logs, gold, priors)
    scores = {t: f1_score(gold, (logs - t * priors).argmax(1), average="macro") for t in np.linspace(0, 3, 61)}
    best = max(scores.values())
    assert tau == pytest.approx(min(t for t, score in scores.items() if score >= best - 1e-12))
    assert bias == pytest.approx(-tau * priors)
    flat, _ = decision_rules.prior_adjusted(np.log([[0.98, 0.01, 0.01]]), np.array([0]), np.zeros(3))
    assert flat == 0


def test_maybe_is_lost_to_a_shifted_prior_and_recovered():
    """The scorer prefers the frequent labels: argmax hardly ever says maybe, the adjusted rule does."""
    (gold, logs), (known, validation) = answered(seed=1), answered(300, seed=2)
    skewed, fitted_on = log_softmax(logs + 1.5 * np.log(SHARES), 1), log_softmax(validation + 1.5 * np.log(SHARES), 1)
    tau, bias = decision_rules.prior_adjusted(fitted_on, known, np.log(SHARES))

    def maybe(values):
        return recall_score(gold, values.argmax(1), labels=[2], average="macro")

    assert maybe(skewed) < 0.25
    assert tau > 0.5
    assert maybe(skewed + bias) > maybe(skewed) + 0.3
    before, after = (f1_score(gold, v.argmax(1), average="macro") for v in (skewed, skewed + bias))
    assert after > before + 0.05


def test_batch_calibration_divides_by_the_mean_probability():
    _, logs = answered()
    bias = decision_rules.average_removed(logs)
    assert bias == pytest.approx(-np.log(np.exp(logs).mean(0)))
    assert (logs + bias).argmax(1).tolist() == (np.exp(logs) / np.exp(logs).mean(0)).argmax(1).tolist()


def test_a_constant_shift_of_contextual_answers_is_undone():
    """Added to items and to inputs without content alike, it leaves the rule's answers as they were."""
    _, logs = answered()
    empty = np.log([[0.5, 0.3, 0.2]])
    shifted = [decision_rules.normalized(each + SHIFT) for each in (logs, empty)]
    before = (logs + decision_rules.average_removed(empty)).argmax(1)
    after = (shifted[0] + decision_rules.average_removed(shifted[1])).argmax(1)
    assert (shifted[0].argmax(1) != logs.argmax(1)).any()
    assert after.tolist() == before.tolist()


def test_a_shift_along_the_prior_is_undone_by_tau():
    (gold, logs), priors = answered(), np.log(SHARES)
    tau, bias = decision_rules.prior_adjusted(logs, gold, priors)
    shifted = decision_rules.normalized(logs + priors)
    more, other = decision_rules.prior_adjusted(shifted, gold, priors)
    assert more == pytest.approx(tau + 1)
    assert (shifted + other).argmax(1).tolist() == (logs + bias).argmax(1).tolist()


def test_a_fitted_bias_undoes_any_shift():
    (gold, logs), (known, validation) = answered(), answered(400, seed=9)
    shifted, moved = (decision_rules.normalized(each + SHIFT) for each in (logs, validation))
    bias, other = discrimination.fit_bias(validation, known), discrimination.fit_bias(moved, known)
    assert other - bias == pytest.approx(-(SHIFT - SHIFT[0]), abs=1e-3)
    losses = [own_log_loss(np.exp(decision_rules.normalized(a + b)), gold) for a, b in ((logs, bias), (shifted, other))]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert own_log_loss(np.exp(shifted), gold) > losses[1] + 0.1


def test_the_fitted_bias_is_the_optimum():
    gold, logs = answered()
    bias = discrimination.fit_bias(logs, gold)
    assert bias[0] == 0
    best = own_log_loss(np.exp(decision_rules.normalized(logs + bias)), gold)
    for step in np.random.default_rng(0).normal(scale=0.1, size=(20, 3)):
        assert own_log_loss(np.exp(decision_rules.normalized(logs + bias + step)), gold) >= best


def test_log_loss_agrees_with_scikit_learn():
    gold, logs = answered()
    assert own_log_loss(np.exp(logs), gold) == pytest.approx(log_loss(gold, np.exp(logs)), abs=1e-12)
    certain = np.array([[1.0, 0.0, 0.0]])
    assert own_log_loss(certain, np.array([1])) == pytest.approx(log_loss([1], certain, labels=[0, 1, 2]))


def test_auroc_agrees_with_scikit_learn():
    gold, logs = answered(120)
    logs = np.round(logs, 1)  # ties
    pairs = [(0, 1), (0, 2), (1, 2)]

    def theirs(items):
        kept = [(first, items[np.isin(gold[items], (first, second))], second) for first, second in pairs]
        return [roc_auc_score(gold[i] == first, logs[i, first] - logs[i, second]) for first, i, second in kept]

    everything = np.arange(120)
    assert discrimination.pair_aurocs(logs, gold)[0] == pytest.approx(theirs(everything), abs=1e-12)
    weights = np.random.default_rng(0).multinomial(120, np.full(120, 1 / 120), size=5).astype(np.float32)
    for found, drawn in zip(discrimination.pair_aurocs(logs, gold, weights), weights.astype(int), strict=True):
        assert found == pytest.approx(theirs(np.repeat(everything, drawn)), abs=1e-6)


def test_auroc_is_not_moved_by_a_shift():
    gold, logs = answered()
    before, after = (discrimination.pair_aurocs(decision_rules.normalized(x), gold) for x in (logs, logs + SHIFT))
    assert before == pytest.approx(after, abs=1e-6)


def test_auroc_without_a_label():
    gold, logs = np.array([0, 1, 1]), np.log(np.full((3, 3), 1 / 3))
    assert np.isnan(discrimination.pair_aurocs(logs, gold)[0]).tolist() == [False, True, True]
    assert discrimination.pair_aurocs(logs, gold)[0, 0] == 0.5


def test_impossible_answers_stay_finite():
    logs = decision_rules.normalized(np.array([[0.0, -np.inf, -np.inf], [-np.inf, -np.inf, 0.0]]))
    assert np.isfinite(logs).all()
    assert np.isfinite(decision_rules.average_removed(logs)).all()
    assert np.isfinite(discrimination.pair_aurocs(logs, np.array([0, 2]))[0, 1])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = made.config(statistics={"bootstrap_samples": 200})
    sizes = {"train": 60, "validation": 40, "test": 50}
    return read_run(settings, made.write_results(tmp_path_factory.mktemp("made"), settings, sizes=sizes))


def test_rules_of_an_experiment(run):
    decider = decision_rules.Decider(run)
    for split, rules in (("test", list(RULES)), ("validation", ["argmax", "batch-calibrated", "contextual"])):
        assert decider.rules(run.lineages, "pubmedqa", split) == rules
    found = decider.decide("base", "pubmedqa", "test")
    assert found["argmax"].answer.tolist() == run.answers["base", "pubmedqa", "test"].answer.tolist()
    priors = np.exp(run.content_free["base", "pubmedqa"])
    mean = (priors / priors.sum(1, keepdims=True)).mean(0)
    assert found["contextual"].bias == pytest.approx(-np.log(mean))


def test_resampled_scores_agree_with_scikit_learn(run):
    draws, decider = resampling.Draws(run), decision_rules.Decider(run)
    score, key = resampling.Scorer(run.answers, decider, draws), ("base", "pubmedqa", "test")
    gold, weights = run.answers[key].gold, draws.weights("pubmedqa", "test", 50)
    assert weights.shape == (200, 50)
    assert set(weights.sum(1)) == {50}
    for rule in RULES:
        answer, found = decider.decide(*key)[rule].answer, score(*key, rule)
        for number in range(3):
            items = np.repeat(np.arange(50), weights[number].astype(int))
            macro = f1_score(gold[items], answer[items], labels=[0, 1, 2], average="macro", zero_division=0)
            assert found.draws["macro_f1"][number] == pytest.approx(macro, abs=1e-12)
            assert found.draws["accuracy"][number] == pytest.approx((gold[items] == answer[items]).mean())
        recalls = recall_score(gold, answer, labels=[0, 1, 2], average=None)
        assert found.recall == pytest.approx(recalls)


def test_tasks_and_splits_are_resampled_apart(run):
    draws = resampling.Draws(run)
    one, other, third = (
        draws.weights(task, split, 50)
        for task, split in (("pubmedqa", "test"), ("dreaddit", "test"), ("pubmedqa", "train"))
    )
    assert (one != other).any() and (one != third).any()
    assert (one == draws.weights("pubmedqa", "test", 50)).all()
