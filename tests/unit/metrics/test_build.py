"""Scores, intervals and comparisons, each against an independent computation."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from stagewise.metrics import baselines, classification, intervals, paired
from stagewise.metrics.prediction_table import Answers
from stagewise.metrics.resampling import resample
from stagewise.metrics.schema import BASELINES, INVALID, MAJORITY, TFIDF, Estimate, Pairs

WORDS = ["yes", "no", "maybe"]


def answers(gold, answer, logprobs=None, words=WORDS) -> Answers:
    logs = None if logprobs is None else np.asarray(logprobs, dtype=float)
    return Answers(list(words), np.asarray(gold, dtype=int), np.asarray(answer, dtype=int), logs)


def drawn(n=120, seed=0, invalid=True) -> Answers:
    rng = np.random.default_rng(seed)
    gold = rng.choice(3, n, p=[0.55, 0.34, 0.11])
    answer = np.where(rng.random(n) < 0.5, gold, rng.integers(0, 4 if invalid else 3, n))
    return answers(gold, answer, rng.normal(size=(n, 3)) - 3)


def scored(given, samples=400):
    return classification.label_scores(given, intervals.weights(len(given), samples, 0), 0.95)


def changes(before, after, samples=100, confidence=0.95, seed=0):
    weights = intervals.weights(len(before), samples, seed)
    resampled = [resample(each.gold, each.answer, len(each.words), weights) for each in (before, after)]
    return paired.changes(*resampled, confidence)


def named(given):
    """Gold and answer as words, so that scikit-learn sees something else than our codes."""
    every = np.array([*WORDS, "none of them"])
    return every[given.gold], every[given.answer]


@pytest.mark.parametrize("invalid", [True, False])
def test_scores_agree_with_scikit_learn(invalid):
    given = drawn(invalid=invalid)
    gold, answer = named(given)
    score = scored(given)
    assert score["accuracy"].value == pytest.approx(sk.accuracy_score(gold, answer), abs=1e-12)
    expected = sk.f1_score(gold, answer, labels=WORDS, average="macro", zero_division=0)
    assert score["macro_f1"].value == pytest.approx(expected, abs=1e-12)
    report = sk.classification_report(gold, answer, labels=WORDS, output_dict=True, zero_division=0)
    for entry in score["classes"]:
        theirs = report[entry.label]
        assert entry.precision == pytest.approx(theirs["precision"], abs=1e-12)
        assert entry.recall == pytest.approx(theirs["recall"], abs=1e-12)
        assert entry.f1.value == pytest.approx(theirs["f1-score"], abs=1e-12)
        assert entry.support == theirs["support"]
        assert entry.predicted == (answer == entry.label).sum()
        assert entry.predicted_share == pytest.approx((answer == entry.label).mean())
    columns = [*WORDS, *(["none of them"] if invalid else [])]
    matrix = sk.confusion_matrix(gold, answer, labels=[*WORDS, "none of them"])[:3, : len(columns)]
    assert score["confusion"].counts == matrix.tolist()
    assert score["confusion"].columns == [*WORDS, *([INVALID] if invalid else [])]
    assert score["invalid"] == (answer == "none of them").sum()


def test_an_invalid_answer_is_wrong_and_belongs_to_no_label():
    score = scored(answers([0, 0, 1, 2], [0, 3, 3, 2]))
    assert score["accuracy"].value == 0.5
    assert [entry.recall for entry in score["classes"]] == [0.5, 0, 1]
    assert [entry.precision for entry in score["classes"]] == [1, 0, 1]
    # Mean of 2/3, 0 and 1: the invalid answers are no class of their own.
    assert score["macro_f1"].value == pytest.approx(5 / 9, abs=1e-12)
    assert score["confusion"].counts == [[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 0]]


def test_log_loss_and_label_mass():
    given = drawn()
    score = classification.probability_scores(given, 15)
    raw = np.exp(given.logprobs)
    share = raw / raw.sum(1, keepdims=True)
    expected = -np.log(share[np.arange(len(given)), given.gold]).mean()
    assert score["log_loss"].value == pytest.approx(expected, abs=1e-12)
    assert score["label_mass"].value == pytest.approx(raw.sum(1).mean(), abs=1e-12)


def test_log_loss_keeps_to_the_label_order():
    # In alphabetical order the columns would be maybe, no, yes.
    given = answers([0], [0], [[math.log(0.7), math.log(0.2), math.log(0.1)]])
    assert classification.probability_scores(given, 15)["log_loss"].value == pytest.approx(-math.log(0.7), abs=1e-12)


def test_ece_by_hand():
    # Confidences 0.9 (right), 0.7 (wrong), 0.6 (right), and 0.6 again (wrong), in five bins of width 0.2:
    # (0.8, 1] holds 0.9; (0.6, 0.8] holds 0.7; 0.6 is the upper edge of (0.4, 0.6], which holds the other two.
    probabilities = [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.6, 0.4]]
    given = answers([0, 0, 0, 1], [0, 1, 0, 0], np.log(probabilities), words=["a", "b"])
    score = classification.probability_scores(given, 5)
    assert [(entry.items, entry.accuracy) for entry in score["calibration"]] == [(2, 0.5), (1, 0), (1, 1)]
    expected = 2 / 4 * abs(0.5 - 0.6) + 1 / 4 * abs(0 - 0.7) + 1 / 4 * abs(1 - 0.9)
    assert score["ece"].value == pytest.approx(expected, abs=1e-12)


def test_ece_renormalizes_over_the_labels():
    given = answers([0, 1], [0, 0], np.log([[0.09, 0.01], [0.009, 0.001]]), words=["a", "b"])
    score = classification.probability_scores(given, 10)
    assert score["ece"].value == pytest.approx(0.4, abs=1e-9)
    assert score["label_mass"].value == pytest.approx(0.055, abs=1e-12)


def test_weights_stand_for_resampled_items():
    """Every draw, written out as items and scored by scikit-learn, gives the same numbers."""
    before, after = drawn(60, 1), drawn(60, 2)
    after = answers(before.gold, after.answer)
    draws = intervals.weights(60, 40, seed=3)
    first, second = (intervals.tables(each.gold, each.answer, draws, 3) for each in (before, after))
    differences = []
    for number, draw in enumerate(draws):
        assert draw.sum() == 60
        items = np.repeat(np.arange(60), draw.astype(int))
        scores = []
        for table, given in ((first, before), (second, after)):
            gold, answer = given.gold[items], given.answer[items]
            accuracy = sk.accuracy_score(gold, answer)
            macro = sk.f1_score(gold, answer, labels=[0, 1, 2], average="macro", zero_division=0)
            assert intervals.accuracy(table[number]) == pytest.approx(accuracy, abs=1e-12)
            assert intervals.class_f1(table[number]).mean() == pytest.approx(macro, abs=1e-12)
            scores.append((accuracy, macro))
        differences.append(np.subtract(scores[1], scores[0]))
    found = changes(before, after, samples=40, confidence=0.9, seed=3)
    for change, theirs in zip(found, np.transpose(differences), strict=True):
        low, high = np.percentile(theirs, [5, 95])
        assert (change.difference.low, change.difference.high) == pytest.approx((low, high), abs=1e-12)


def test_interval_agrees_with_scipy_bootstrap():
    given = drawn(150, 5)
    score = scored(given, samples=9000)

    def macro(gold, answer):
        return sk.f1_score(gold, answer, labels=[0, 1, 2], average="macro", zero_division=0)

    for ours, data, statistic, vectorized, resamples in (
        (score["accuracy"], (given.right.astype(float),), np.mean, True, 9000),
        (score["macro_f1"], (given.gold, given.answer), macro, False, 800),
    ):
        theirs = stats.bootstrap(
            data,
            statistic,
            paired=len(data) > 1,
            vectorized=vectorized,
            n_resamples=resamples,
            method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_wilson_agrees_with_statsmodels():
    for right in (0, 1, 17, 30):
        ours = intervals.wilson(right, 30, 0.9)
        assert (ours.low, ours.high) == pytest.approx(proportion_confint(right, 30, 0.1, "wilson"), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_agrees_with_statsmodels(seed):
    before, after = drawn(40, seed), drawn(40, seed + 100)
    after = answers(before.gold, after.answer)
    found = paired.pairs(before, after)
    table = [[found.right_both, found.lost], [found.gained, found.wrong_both]]
    assert sum(map(sum, table)) == 40
    assert found.lost == sum(b == g != a for g, b, a in zip(before.gold, before.answer, after.answer, strict=True))
    assert found.mcnemar_p == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-12)


def test_unchanged_answers():
    given = drawn()
    assert paired.pairs(given, given).mcnemar_p == 1
    difference = changes(given, given)[0].difference
    assert (difference.value, difference.low, difference.high) == (0, None, None)
    claim, reason = paired.claim_difference(difference, paired.pairs(given, given), ("up", "same", "down"))
    assert (claim, reason) == ("same", "Every item is right or wrong as before.")


def test_other_items_are_no_pairs():
    with pytest.raises(ValueError, match="same items"):
        changes(answers([0, 1], [0, 1]), answers([1, 0], [0, 1]))


@pytest.mark.parametrize(
    ("accuracy", "over_majority", "claim", "reason"),
    [
        ((-0.2, -0.3, -0.1), (0.1, 0.02, 0.2), "forgotten", "below 0: accuracy -20.0 points [-30.0, -10.0]"),
        ((-0.2, -0.3, -0.1), (0.1, 0.0, 0.2), "not claimed", "Stage 1 did not beat the majority class"),
        ((-0.2, -0.3, -0.1), (0.0, None, None), "not claimed", "Stage 1 did not beat the majority class"),
        ((-0.05, -0.1, 0.01), (0.1, 0.02, 0.2), "no measurable change", "includes 0"),
        ((-0.05, -0.1, 0.01), (0.1, -0.1, 0.2), "not claimed", "Stage 1 did not beat the majority class"),
        ((0.2, 0.1, 0.3), (0.1, -0.1, 0.2), "improved", "above 0"),
        ((-1.0, None, None), (0.1, 0.02, 0.2), "not claimed", "No interval"),
    ],
)
def test_claims(accuracy, over_majority, claim, reason):
    def estimate(value, low, high):
        return Estimate(value=value, low=low, high=high, reason=None if low is not None else intervals.NO_SPREAD)

    counts = Pairs(right_both=1, lost=5, gained=1, wrong_both=1, mcnemar_p=0.2)
    found = paired.claim_forgetting(estimate(*accuracy), counts, estimate(*over_majority), stage=1)
    assert found[0] == claim
    assert reason in found[1]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ([0], [0]),
        ([0], [3]),
        ([0, 0, 0], [0, 0, 0]),
        ([0, 1, 2], [0, 1, 2]),
        ([0, 1], [3, 3]),
        ([1, 1, 1, 1], [0, 1, 2, 3]),
    ],
)
def test_degenerate_answers_give_numbers_or_a_reason(gold, answer):
    given = answers(gold, answer, np.full((len(gold), 3), -1.0))
    score = scored(given) | classification.probability_scores(given, 15)
    for name in ("accuracy", "macro_f1", "accuracy_wilson", "ece", "log_loss"):
        assert math.isfinite(score[name].value)
    for name in ("accuracy", "macro_f1"):
        assert (score[name].low is None) == (score[name].reason is not None)
    assert 0 <= score["accuracy_wilson"].low <= score["accuracy_wilson"].high <= 1
    changes(given, given)


def test_a_perfect_score_claims_no_certainty():
    score = scored(answers([0, 1, 2, 0], [0, 1, 2, 0]))
    assert score["accuracy"].value == 1
    assert score["accuracy"].low is None
    assert score["accuracy"].reason == intervals.NO_SPREAD
    assert score["accuracy_wilson"].low == pytest.approx(proportion_confint(4, 4, 0.05, "wilson")[0])


def test_extreme_log_probabilities():
    given = answers([0, 1], [0, 0], [[0.0, -800.0, -900.0], [-1e-9, -np.inf, -5.0]])
    score = classification.probability_scores(given, 15)
    assert math.isfinite(score["log_loss"].value)
    assert score["log_loss"].value > 10


def test_no_log_probabilities():
    score = classification.probability_scores(answers([0, 1], [0, 3]), 15)
    assert score["ece"].value is score["log_loss"].value is score["label_mass"].value is None
    assert score["ece"].reason == classification.NO_PROBABILITIES


def _texts(labels, words):
    return [{"id": str(i), "label": x, "fields": {"a": f"{words[x]} item", "b": "it"}} for i, x in enumerate(labels)]


def test_baselines():
    words = {"yes": "good help", "no": "bad harm", "maybe": "unclear mixed"}
    train = _texts(["yes"] * 6 + ["no"] * 4 + ["maybe"] * 2, words)
    test = _texts(["maybe", "no", "yes"], words)
    assert baselines.fit(MAJORITY, train, WORDS)(test).answer.tolist() == [0, 0, 0]
    for name in BASELINES[1:]:
        found = baselines.fit(name, train, WORDS)(test)
        assert found.gold.tolist() == [2, 1, 0]
        assert np.exp(found.logprobs).sum(1) == pytest.approx(1)
        assert found.answer.tolist() == found.logprobs.argmax(1).tolist()
    assert found.answer.tolist() == [2, 1, 0]
    assert classification.probability_scores(found, 15)["label_mass"].value is None


def test_a_label_unseen_in_training_gets_probability_zero():
    train = _texts(["yes", "no"] * 3, {"yes": "good", "no": "bad"})
    found = baselines.fit(TFIDF, train, WORDS)(_texts(["maybe"], {"maybe": "bad"}))
    assert found.answer.tolist() == [1]
    assert found.logprobs[0, 2] == -np.inf
    assert math.isfinite(classification.probability_scores(found, 15)["log_loss"].value)


def test_majority_ties_go_to_the_first_label():
    assert baselines.majority(_texts(["no", "yes"], {"yes": "a", "no": "b"}), WORDS) == "yes"


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        ([], "empty"),
        (_texts(["yes"] * 3, {"yes": "good"}), "one label only"),
        ([{"id": "1", "label": x, "fields": {"a": "! ?"}} for x in ("yes", "no")], "no words"),
    ],
)
def test_a_baseline_that_cannot_be_fitted_says_why(train, reason):
    with pytest.raises(baselines.CannotFit, match=reason):
        baselines.fit(TFIDF, train, WORDS)
