"""Decision rules: what they add, what a shifted label prior does to them, and what it does not move."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, log_loss, recall_score

from stagewise.measures import MEASURES, Measure
from stagewise.metrics import decision_rules
from stagewise.metrics.bootstrap import Bootstrap, draw_weights
from stagewise.metrics.build import _label_priors
from stagewise.metrics.schema import RULES
from stagewise.metrics.scores import ScoreTable
from tests.helpers.drawn_predictions import SHARES, answered, predictions

SHIFT = np.array([0.7, 0.2, -2.5])
ACCURACY, MACRO_F1 = MEASURES["accuracy"], MEASURES["macro_f1"]


def negative_log(probabilities, gold):
    return -np.log(probabilities[np.arange(len(gold)), gold])


LOG_LOSS = Measure("log_loss", "log loss", (0, 700), False, "probabilities", None, negative_log)

BY_SCIKIT_LEARN = {
    "accuracy": (ACCURACY, lambda gold, logs: accuracy_score(gold, logs.argmax(1))),
    "macro-F1": (MACRO_F1, lambda gold, logs: f1_score(gold, logs.argmax(1), average="macro")),
    "log loss": (
        LOG_LOSS,
        lambda gold, logs: -log_loss(gold, np.exp(decision_rules.normalize(logs)), labels=[0, 1, 2]),
    ),
}
"""Each measure, and the same in scikit-learn, the higher the better."""


def test_priors_never_are_zero():
    found = np.exp(decision_rules.log_priors(["a"] * 6 + ["b"] * 3, ["a", "b", "c"]))
    assert found == pytest.approx(np.array([6, 3, 0.5]) / 9.5)


@pytest.mark.parametrize("name", BY_SCIKIT_LEARN)
def test_tau_has_the_best_value_on_validation_and_is_the_smallest_of_equals(name):
    """On the items, and on resamples of them written out."""
    measure, score = BY_SCIKIT_LEARN[name]
    gold, logs = answered(60)
    logs = decision_rules.normalize(logs + 0.8 * np.log(SHARES))
    priors, weights = np.log(SHARES), draw_weights(60, 5, 0)
    chosen = decision_rules.choose_taus(logs, gold, priors, weights, measure)
    for weight, number in zip(weights, chosen, strict=True):
        items = np.repeat(np.arange(60), weight.astype(int))
        scores = [score(gold[items], (logs - tau * priors)[items]) for tau in np.linspace(0, 3, 61)]
        assert number == np.flatnonzero(np.array(scores) >= max(scores) - 1e-9)[0]
    tau, bias = decision_rules.fit_prior_adjustment(logs, gold, priors, measure)
    scores = [score(gold, logs - each * priors) for each in np.linspace(0, 3, 61)]
    assert tau == pytest.approx(np.linspace(0, 3, 61)[np.argmax(np.array(scores) >= max(scores) - 1e-9)])
    assert 0 < tau < 3 and bias == pytest.approx(-tau * priors)
    flat, _ = decision_rules.fit_prior_adjustment(np.log([[0.98, 0.01, 0.01]]), np.array([0]), np.zeros(3), measure)
    assert flat == 0


def test_tau_is_chosen_by_the_measure_that_the_rule_is_judged_by():
    """A weak model is right most often if it answers the frequent label; macro-F1 gives that up for the rare ones."""
    key, right = ("base", "task"), []
    for seed in range(10):
        made = drawn_task(seed, 400, 1000, tilt=1, strength=0.2)
        gold = made[*key, "test"].gold
        judged = [{k: replace(given, own=name) for k, given in made.items()} for name in ("accuracy", "macro_f1")]
        rules = [decision_rules.DecisionRules(given, {key: np.log(SHARES)}, {}) for given in judged]
        adjusted = [entry.apply(*key, "test")["prior-adjusted"].answer for entry in rules]
        right.append([(answer == gold).mean() for answer in (made[*key, "test"].answer, *adjusted)])
    plain, by_accuracy, by_macro_f1 = np.mean(right, 0)
    assert by_accuracy > plain - 0.01
    assert by_macro_f1 < plain - 0.03


def test_a_measure_that_no_tau_has_leaves_answers_as_they_are():
    gold, logs = answered(20)
    undefined = Measure("none", "none", (0, 1), True, "confusion", None, lambda counts: np.full(len(counts), np.nan))
    assert decision_rules.choose_taus(logs, gold, np.log(SHARES), np.ones((2, 20)), undefined).tolist() == [0, 0]


def test_maybe_is_lost_to_a_shifted_prior_and_recovered():
    """The scorer prefers the frequent labels: argmax hardly ever says maybe, the adjusted rule does."""
    (gold, logs), (known, validation) = answered(seed=1), answered(300, seed=2)
    skewed, fitted_on = log_softmax(logs + 1.5 * np.log(SHARES), 1), log_softmax(validation + 1.5 * np.log(SHARES), 1)
    tau, bias = decision_rules.fit_prior_adjustment(fitted_on, known, np.log(SHARES), MACRO_F1)

    def maybe(values):
        return recall_score(gold, values.argmax(1), labels=[2], average="macro")

    assert maybe(skewed) < 0.25
    assert tau > 0.5
    assert maybe(skewed + bias) > maybe(skewed) + 0.3
    before, after = (f1_score(gold, v.argmax(1), average="macro") for v in (skewed, skewed + bias))
    assert after > before + 0.05


def test_batch_calibration_divides_by_the_mean_probability():
    _, logs = answered()
    bias = decision_rules.remove_average(logs)
    assert bias == pytest.approx(-np.log(np.exp(logs).mean(0)))
    assert (logs + bias).argmax(1).tolist() == (np.exp(logs) / np.exp(logs).mean(0)).argmax(1).tolist()


def test_a_constant_shift_of_contextual_answers_is_undone():
    """Added to items and to inputs without content alike, it leaves the rule's answers as they were."""
    _, logs = answered()
    empty = np.log([[0.5, 0.3, 0.2]])
    shifted = [decision_rules.normalize(each + SHIFT) for each in (logs, empty)]
    before = (logs + decision_rules.remove_average(empty)).argmax(1)
    after = (shifted[0] + decision_rules.remove_average(shifted[1])).argmax(1)
    assert (shifted[0].argmax(1) != logs.argmax(1)).any()
    assert after.tolist() == before.tolist()


def test_a_shift_along_the_prior_is_undone_by_tau():
    (gold, logs), priors = answered(), np.log(SHARES)
    tau, bias = decision_rules.fit_prior_adjustment(logs, gold, priors, MACRO_F1)
    shifted = decision_rules.normalize(logs + priors)
    more, other = decision_rules.fit_prior_adjustment(shifted, gold, priors, MACRO_F1)
    assert more == pytest.approx(tau + 1)
    assert (shifted + other).argmax(1).tolist() == (logs + bias).argmax(1).tolist()


def test_impossible_answers_stay_finite():
    logs = decision_rules.normalize(np.array([[0.0, -np.inf, -np.inf], [-np.inf, -np.inf, 0.0]]))
    assert np.isfinite(logs).all()
    assert np.isfinite(decision_rules.remove_average(logs)).all()


@pytest.fixture
def rules(small):
    _, results, _ = small
    return decision_rules.DecisionRules(results.predictions, _label_priors(results), results.content_free)


def test_rules_of_an_experiment(small, rules):
    _, results, _ = small
    for split, names in (("test", list(RULES)), ("validation", ["argmax", "batch-calibrated", "contextual"])):
        assert rules.shared(results.lineages, "pubmedqa", split) == names
    found = rules.apply("base", "pubmedqa", "test")
    assert found["argmax"].answer.tolist() == results.predictions["base", "pubmedqa", "test"].answer.tolist()
    priors = np.exp(results.content_free["base", "pubmedqa"])
    mean = (priors / priors.sum(1, keepdims=True)).mean(0)
    assert found["contextual"].bias == pytest.approx(-np.log(mean))


def test_a_baseline_has_no_rule_but_its_answers(small):
    _, results, _ = small
    predictions = {("tfidf", *key[1:]): value for key, value in results.predictions.items() if key[0] == "base"}
    rules = decision_rules.DecisionRules(predictions, _label_priors(results), results.content_free)
    assert rules.of("tfidf", "pubmedqa", "test") == ["argmax"]


def drawn_task(seed: int, validation: int, test: int, tilt=0.7, strength=1.0) -> dict:
    """Predictions of one model on one task that prefers frequent labels, drawn anew with every seed."""
    made = {}
    for number, (split, items) in enumerate((("validation", validation), ("test", test))):
        gold, logs = answered(items, 2 * seed + number, strength)
        logs = decision_rules.normalize(logs + tilt * np.log(SHARES))
        made["base", "task", split] = predictions(gold, logs.argmax(1), logs)
    return made


def scored(made: dict, samples: int) -> tuple[decision_rules.DecisionRules, ScoreTable]:
    made = {key: replace(given, own="macro_f1") for key, given in made.items()}
    rules = decision_rules.DecisionRules(made, {("base", "task"): np.log(SHARES)}, {})
    return rules, ScoreTable(made, rules, Bootstrap(samples, 0, 0.95, ["task"]))


@pytest.mark.parametrize("rule", ["prior-adjusted", "batch-calibrated"])
def test_every_resample_is_answered_by_the_rule_fitted_on_it(rule):
    """Every draw, written out as items, fitted and scored again, gives the same numbers."""
    made = drawn_task(3, 40, 60)
    answers, validation = made["base", "task", "test"], made["base", "task", "validation"]
    rules, table = scored(made, 30)
    scores, priors = table("base", "task", "test", rule), np.log(SHARES)
    weights = [
        table.bootstrap.weights("task", side, one).astype(int)
        for side, one in (("validation", validation), ("test", answers))
    ]
    taus = set()
    for number, draws in enumerate(zip(*weights, strict=True)):
        fitted_on, items = (np.repeat(np.arange(len(draw)), draw) for draw in draws)
        tau, bias = decision_rules.fit_prior_adjustment(
            validation.logprobs[fitted_on], validation.gold[fitted_on], priors, MACRO_F1
        )
        if rule == "batch-calibrated":
            bias = decision_rules.remove_average(answers.logprobs[items])
        else:
            assert scores.tau.draws[number] == tau
        logs, gold = decision_rules.normalize(answers.logprobs[items] + bias), answers.gold[items]
        expected = (
            accuracy_score(gold, logs.argmax(1)),
            brier_score_loss(gold, np.exp(logs), labels=[0, 1, 2], scale_by_half=False),
        )
        found = scores.measures["accuracy"].draws[number], scores.measures["brier"].draws[number]
        assert found == pytest.approx(expected, abs=1e-6)
        taus.add(tau)
    assert len(taus) > 5
    assert rules.refit("base", "task", "test", "argmax", table.bootstrap) is None


def test_intervals_under_a_fitted_rule_cover():
    """Tau is chosen by macro-F1 on 24 items: taken as known, intervals miss many studies' mean accuracy too often."""
    values, intervals, fixed = [], [], []
    for seed in range(100):
        made = drawn_task(seed, 24, 200)
        rules, table = scored(made, 200)
        accuracy, answers = (
            table("base", "task", "test", "prior-adjusted").measures["accuracy"],
            made["base", "task", "test"],
        )
        values.append(accuracy.value)
        intervals.append(np.quantile(accuracy.draws, [0.025, 0.975]))
        as_fitted = answers.gold == rules.apply("base", "task", "test")["prior-adjusted"].answer
        weights = table.bootstrap.weights("task", "test", answers)
        fixed.append(np.quantile(weights @ as_fitted / 200, [0.025, 0.975]))

    def coverage(bounds):
        low, high = np.transpose(bounds)
        return np.mean((low <= np.mean(values)) & (np.mean(values) <= high))

    assert coverage(fixed) < 0.88
    assert coverage(intervals) >= 0.92


def test_refitted_answers_and_probabilities_are_those_of_each_bias():
    """Also where a bias is so large that another's probabilities all but vanish."""
    gold, logs = answered(50)
    logs[:5] = decision_rules.normalize(np.array([[0.0, -900.0, -900.0]]))
    biases = np.array([[0.0, 0.0, 0.0], [0.3, 0.1, 1.5], [0.0, 700.0, 2.0], [0.2, 0.1, 0.4]])
    fit = np.array([3, 0, 1, 1, 2])
    refits = decision_rules.Refits(logs, biases, fit)
    shifted = [decision_rules.normalize(logs + biases[number]) for number in fit]
    assert refits.answers().tolist() == [(logs + biases[number]).argmax(1).tolist() for number in fit]
    expected = np.array([np.exp(each[np.arange(50), gold]) for each in shifted])
    assert refits.of_gold(gold) == pytest.approx(expected, abs=1e-12)
    briers = [MEASURES["brier"].function(np.exp(each), gold) for each in shifted]
    assert refits.by_item(MEASURES["brier"].function, gold) == pytest.approx(np.array(briers), abs=1e-12)


def test_what_no_rule_can_be_applied_to_is_listed_with_its_reason():
    gold, logs = answered(20)
    given = {(name, "task", "test"): predictions(gold, logs.argmax(1), logs) for name in ("one", "two")}
    priors = {(name, "task"): np.log(SHARES) for name in ("one", "two")}
    without = decision_rules.DecisionRules(given, priors, {("one", "task"): logs[:2]}).omitted(["task"], ["test"])
    assert [(entry.what, entry.reason) for entry in without] == [
        ("the decision rule contextual on task", "1 of 2 predictions have no answers to inputs without content"),
        (
            "the decision rule prior-adjusted and the fitted log loss",
            "they are fitted on validation, which evaluation.splits leaves out",
        ),
    ]
    generated = {key: predictions(gold, logs.argmax(1)) for key in given}
    first, _ = decision_rules.DecisionRules(generated, priors, {}).omitted(["task"], ["test"])
    assert first.what == "decision rules and discrimination on task"
    assert first.reason == "some answers are without log-probabilities (they were generated)"
