"""Scores, resamples and records against scikit-learn, for one run and over several."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from stagewise.measures import measures_of
from stagewise.metrics import bootstrap
from stagewise.metrics.build import _label_priors
from stagewise.metrics.decision_rules import DecisionRules
from stagewise.metrics.schema import RULES
from stagewise.metrics.scores import LABEL_UNUSED, NO_PROBABILITIES, ScoreTable, resample_scores, score_record
from tests.helpers import fake_results as made
from tests.helpers.drawn_predictions import LABELS, drawn, predictions
from tests.helpers.records import find

SECOND = "base/seed-0/pubmedqa/dreaddit"
LAST = [f"base/seed-{seed}/pubmedqa/dreaddit" for seed in range(3)]
TEST = {"task": "pubmedqa", "split": "test"}


def record(given, samples=400):
    """The score record of predictions alone."""
    key = "base", "task", "test"
    rules = DecisionRules({key: given}, {}, {})
    return score_record(ScoreTable({key: given}, rules, bootstrap.Bootstrap(samples, 0, 0.95, ["task"])), *key)


@pytest.mark.parametrize("invalid", [True, False])
def test_scores_of_labels_agree_with_scikit_learn(invalid):
    given = drawn(invalid=invalid)
    words = np.array([*LABELS, "none of them"])
    gold, answer = words[given.gold], words[given.answer]
    score = record(given)
    assert score.measures["accuracy"].value == pytest.approx(sk.accuracy_score(gold, answer), abs=1e-12)
    macro = sk.f1_score(gold, answer, labels=LABELS, average="macro", zero_division=0)
    assert score.measures["macro_f1"].value == pytest.approx(macro, abs=1e-12)
    report = sk.classification_report(gold, answer, labels=LABELS, output_dict=True, zero_division=0)
    for entry in score.labels:
        theirs = report[entry.label]
        assert entry.precision == pytest.approx(theirs["precision"], abs=1e-12)
        assert entry.recall.value == pytest.approx(theirs["recall"], abs=1e-12)
        assert entry.f1.value == pytest.approx(theirs["f1-score"], abs=1e-12)
        assert entry.support == theirs["support"]
        assert entry.predicted == (answer == entry.label).sum()


def test_an_invalid_answer_is_wrong_and_belongs_to_no_label():
    score = record(predictions([0, 0, 1, 2], [0, 3, 3, 2]))
    assert score.measures["accuracy"].value == 0.5
    assert [entry.recall.value for entry in score.labels] == [0.5, 0, 1]
    assert [entry.precision for entry in score.labels] == [1, 0, 1]
    # Mean of 2/3, 0 and 1: the invalid answers are no class of their own.
    assert score.measures["macro_f1"].value == pytest.approx(5 / 9, abs=1e-12)


def macro_f1(gold, answer):
    """By scikit-learn, over the labels that items or answers have; 3 is an invalid answer."""
    return sk.f1_score(gold, answer, labels=sorted({*gold, *answer} - {3}), average="macro")


@pytest.mark.parametrize("groups", [None, np.minimum(np.arange(60), 40)], ids=["items", "groups of unequal sizes"])
def test_weights_stand_for_resampled_items(groups):
    """Every draw, written out as items and scored by scikit-learn, gives the same numbers."""
    given = drawn(60, 1)
    probabilities = np.exp(given.logprobs) / np.exp(given.logprobs).sum(1, keepdims=True)
    draws = bootstrap.draw_weights(60, 40, 3, groups)
    scores = resample_scores(given, draws)
    for number, draw in enumerate(draws):
        assert groups is not None or draw.sum() == 60
        items = np.repeat(np.arange(60), draw.astype(int))
        gold, answer = given.gold[items], given.answer[items]
        expected = {
            "accuracy": sk.accuracy_score(gold, answer),
            "macro_f1": macro_f1(gold, answer),
            "mcc": sk.matthews_corrcoef(gold, answer),
            "brier": sk.brier_score_loss(gold, probabilities[items], labels=[0, 1, 2], scale_by_half=False),
        }
        for name, value in expected.items():
            assert scores.measures[name].draws[number] == pytest.approx(value, abs=1e-6)


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
    score = record(predictions(gold, answer, np.full((len(gold), 3), -1.0)))
    for value in score.measures.values():
        assert math.isfinite(value.value)
        assert (value.low is None) == (value.reason is not None)
    for entry in score.labels:
        assert entry.recall.value is not None or entry.recall.reason == "no item has this label"
        assert entry.f1.value is not None or entry.f1.reason == LABEL_UNUSED
    assert [entry.label for entry in score.labels if entry.f1.value is None] == [
        word for n, word in enumerate(LABELS) if n not in gold and n not in answer
    ]


def test_a_perfect_score_claims_no_certainty():
    value = record(predictions([0, 1, 2, 0], [0, 1, 2, 0])).measures["accuracy"]
    assert (value.value, value.low, value.reason) == (1, None, bootstrap.NO_SPREAD)


def test_without_probabilities_a_proper_score_says_why():
    score = record(predictions([0, 1], [0, 3]))
    for name, measure in measures_of("classification").items():
        value = score.measures[name]
        assert (value.reason == NO_PROBABILITIES) == (measure.needs == "probabilities") == (value.value is None)


def test_every_rule_recomputed(one):
    results, report = one
    answers = results.predictions[SECOND, "pubmedqa", "test"]
    for rule in RULES:
        found = find(report.scores, lineages=[SECOND], rule=rule, **TEST)
        logits = answers.logprobs + (found.bias or np.zeros(3))
        answer, shares = logits.argmax(1), np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        expected = {
            "accuracy": sk.accuracy_score(answers.gold, answer),
            "macro_f1": sk.f1_score(answers.gold, answer, labels=[0, 1, 2], average="macro", zero_division=0),
            "balanced_accuracy": sk.balanced_accuracy_score(answers.gold, answer),
            "mcc": sk.matthews_corrcoef(answers.gold, answer),
            "brier": sk.brier_score_loss(answers.gold, shares, labels=[0, 1, 2], scale_by_half=False),
        }
        assert {name: value.value for name, value in found.measures.items()} == pytest.approx(expected)
        maybe = find(found.labels, label="maybe")
        assert maybe.recall.value == pytest.approx((answer[answers.gold == 2] == 2).mean())
        assert maybe.predicted == (answer == 2).sum()
        assert (found.tau is None) == (rule != "prior-adjusted")
    assert find(report.scores, lineages=["base"], task="dreaddit", split="test", rule="argmax")


def test_resampled_recalls_agree_with_scikit_learn(small):
    _, results, _ = small
    rules = DecisionRules(results.predictions, _label_priors(results), results.content_free)
    resamples = bootstrap.Bootstrap(100, 0, 0.95, ["pubmedqa", "dreaddit"])
    scores, key = ScoreTable(results.predictions, rules, resamples), ("base", "pubmedqa", "test")
    gold = results.predictions[key].gold
    for rule in RULES:
        recalls = sk.recall_score(gold, rules.apply(*key)[rule].answer, labels=[0, 1, 2], average=None)
        assert scores(*key, rule).labels.recall.value == pytest.approx(recalls)


def test_adapters_stand_once_together_with_their_runs_in_order(three):
    results, report = three
    together = {tuple(score.lineages) for score in report.scores if len(score.lineages) > 1}
    assert together == {
        tuple(lineage.replace("seed-0", f"seed-{seed}") for seed in range(3))
        for lineage in results.adapters
        if "/seed-0/" in lineage
    }
    rules = {score.rule for score in report.scores if score.lineages == LAST}
    assert rules == set(RULES)


def test_recall_over_runs_recomputed(three):
    results, report = three
    found = find(report.scores, lineages=LAST, rule="argmax", **TEST)
    runs = [results.predictions[lineage, "pubmedqa", "test"] for lineage in LAST]
    gold = runs[0].gold

    def recall(items, label):
        of_label = items[gold[items] == label]
        return float(np.mean([(run.answer[of_label] == label).mean() for run in runs]))

    for label, word in enumerate(results.labels("pubmedqa")):
        value = find(found.labels, label=word).recall
        singles = [find(report.scores, lineages=[lineage], rule="argmax", **TEST) for lineage in LAST]
        singles = [find(single.labels, label=word).recall.value for single in singles]
        assert (value.value, value.runs) == (pytest.approx(np.mean(singles)), 3)
        assert value.value == pytest.approx(recall(np.arange(len(gold)), label))
        inner = stats.bootstrap(
            (np.arange(len(gold)),),
            lambda items: recall(items, label),  # noqa: B023
            vectorized=False,
            n_resamples=1000,
            method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval
        # Training noise comes on top of the items'.
        assert value.low <= inner.low + 0.02 and value.high >= inner.high - 0.02


def test_a_label_without_items_has_no_recall_and_says_why(tmp_path):
    sizes = {"train": 60, "validation": 40, "test": 2}
    results, report = made.experiment(tmp_path, sizes, seeds=[0, 1], statistics={"bootstrap_samples": 100})
    absent = set(results.labels("pubmedqa")) - {item["label"] for item in results.items_of("base", "pubmedqa", "test")}
    found = find(report.scores, lineages=LAST[:2], rule="argmax", **TEST)
    assert absent
    for word in absent:
        assert find(found.labels, label=word).recall.reason == "no item has this label"


def test_one_run_has_single_records_alone(small):
    _, _, report = small
    assert all(len(score.lineages) == 1 for score in (*report.scores, *report.discrimination))
