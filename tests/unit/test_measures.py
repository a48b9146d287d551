"""Every measure against scikit-learn, on labels as they come and on labels that are absent."""

import math
import typing
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from stagewise.config.evaluation import Statistics
from stagewise.config.training import Training
from stagewise.measures import (
    MEASURES,
    PRIMARY,
    confusion_counts,
    evaluate,
    label_f1,
    measure,
    precisions,
    recalls,
)

LABELS = [0, 1, 2]
INVALID = 3


def drawn(seed, labels=LABELS, invalid=True, items=80):
    """Gold labels, answers and probabilities of three labels, of which only some may occur."""
    rng = np.random.default_rng(seed)
    gold = rng.choice(labels, items)
    choices = [*labels, INVALID] if invalid else labels
    answer = np.where(rng.random(items) < 0.5, gold, rng.choice(choices, items))
    return gold, answer, rng.dirichlet(np.ones(3), items)


def quiet(function, *args, **more):
    """Call scikit-learn, which warns of what is absent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **more)


def macro_f1(gold, answer):
    """By scikit-learn, whose ``average="macro"`` is over the labels of both; an invalid answer is no label."""
    return sk.f1_score(gold, answer, labels=sorted({*gold, *answer} - {INVALID}), average="macro", zero_division=0)


EXPECTED = {
    "accuracy": lambda gold, answer, _: sk.accuracy_score(gold, answer),
    "macro_f1": lambda gold, answer, _: macro_f1(gold, answer),
    "balanced_accuracy": lambda gold, answer, _: quiet(sk.balanced_accuracy_score, gold, answer),
    "mcc": lambda gold, answer, _: sk.matthews_corrcoef(gold, answer),
    "brier": lambda gold, _, p: sk.brier_score_loss(gold, p, labels=LABELS, scale_by_half=False),
}


def value(name, gold, answer, probabilities):
    entry = MEASURES[name]
    if entry.needs == "confusion":
        return entry.function(confusion_counts(gold, answer, 3))
    return entry.function(probabilities, gold).mean()


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 1], [1, 2]], ids=str)
@pytest.mark.parametrize("invalid", [True, False], ids=["invalid answers", "valid answers"])
def test_a_measure_agrees_with_scikit_learn(name, seed, labels, invalid):
    given = drawn(seed, labels, invalid)
    assert value(name, *given) == pytest.approx(EXPECTED[name](*given), abs=1e-12)


@pytest.mark.parametrize("name", MEASURES)
def test_a_value_stays_in_its_range_and_its_ends_are_reached(name):
    entry = MEASURES[name]
    perfect = value(name, np.array(LABELS), np.array(LABELS), np.eye(3))
    wrong = value(name, np.array([0, 1]), np.array([1, 0]), np.eye(3)[[1, 0]])
    best, worst = entry.range[:: -1 if entry.higher_is_better else 1]
    assert perfect == pytest.approx(best)
    assert wrong == pytest.approx(worst)
    for seed in range(20):
        assert entry.range[0] <= value(name, *drawn(seed, items=5)) <= entry.range[1]


@pytest.mark.parametrize("name", [name for name, entry in MEASURES.items() if entry.needs == "confusion"])
def test_many_tables_at_once_give_what_each_gives(name):
    gold, answer, _ = drawn(0)
    weights = np.random.default_rng(1).multinomial(80, np.full(80, 1 / 80), size=6).astype(np.float32)
    tables = confusion_counts(gold, answer, 3, weights)
    for table, weight, together in zip(tables, weights, MEASURES[name].function(tables), strict=True):
        items = np.repeat(np.arange(80), weight.astype(int))
        assert (table == confusion_counts(gold[items], answer[items], 3)).all()
        assert together == pytest.approx(EXPECTED[name](gold[items], answer[items], None), abs=1e-12)


def test_correlation_of_one_label_or_one_answer_is_zero():
    for gold, answer in (([0, 0, 0], [0, 1, 2]), ([0, 1, 2], [1, 1, 1]), ([0, 1], [INVALID, INVALID])):
        found = value("mcc", np.array(gold), np.array(answer), None)
        assert found == sk.matthews_corrcoef(gold, answer) == 0


def test_scores_of_labels_agree_with_scikit_learn():
    gold, answer, _ = drawn(3)
    counts = confusion_counts(gold, answer, 3)
    for function, theirs in ((precisions, sk.precision_score), (recalls, sk.recall_score), (label_f1, sk.f1_score)):
        expected = theirs(gold, answer, labels=LABELS, average=None, zero_division=0)
        assert function(counts) == pytest.approx(expected, abs=1e-12)
    absent = confusion_counts(np.array([0, 0, 0]), np.array([0, INVALID, 1]), 3)
    assert np.isnan(recalls(absent)).tolist() == [False, True, True]
    assert precisions(absent).tolist() == [1, 0, 0]
    assert label_f1(absent) == pytest.approx([0.5, 0, np.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ([0, 1, 0, 1], [0, 1, 0, 1], 1.0),  # perfect, though no item has the third label
        ([0, 1, 0, 1], [0, 1, 0, 2], (1 + 2 / 3 + 0) / 3),  # answering it counts, as any wrong answer
        ([0, 0], [0, 0], 1.0),
        ([0, 0], [INVALID, INVALID], 0.0),
        ([0, 0, 1], [0, INVALID, 1], (2 / 3 + 1) / 2),
    ],
)
def test_a_label_that_no_item_has_and_no_answer_is_has_no_vote(gold, answer, expected):
    gold, answer = np.array(gold), np.array(answer)
    assert value("macro_f1", gold, answer, None) == pytest.approx(expected, abs=1e-12)
    twice = confusion_counts(gold, answer, 3, np.full((2, len(gold)), 2, dtype=np.float32))
    assert MEASURES["macro_f1"].function(twice) == pytest.approx([expected] * 2, abs=1e-12)
    # Training and the report use one definition.
    if INVALID not in answer:
        assert evaluate(gold, np.log(np.eye(3)[answer] * 0.9 + 0.03))["macro_f1"] == pytest.approx(expected)


def test_validation_in_training_gives_every_measure():
    gold, _, probabilities = drawn(5)
    found = evaluate(gold.tolist(), np.log(probabilities) - 0.3)
    assert set(found) == set(MEASURES)
    for name in found:
        assert found[name] == pytest.approx(EXPECTED[name](gold, probabilities.argmax(1), probabilities), abs=1e-12)
        assert type(found[name]) is float and math.isfinite(found[name])


def test_every_measure_may_pick_the_checkpoint():
    choices = typing.get_args(Training.model_fields["best_metric"].annotation)
    assert choices == ("loss", *MEASURES, "last")


def test_claims_are_about_accuracy_unless_the_configuration_names_another_measure():
    assert next(iter(MEASURES)) == PRIMARY == Statistics().primary_measure
    assert Statistics(primary_measure="macro_f1").primary_measure == "macro_f1"
    with pytest.raises(ValueError, match="'accuracy', 'macro_f1'"):
        Statistics(primary_measure="f1")
    # A share of right answers has an exact test over items; answers are exchanged for any other.
    assert [name for name, entry in MEASURES.items() if entry.test == "sign-flip"] == ["accuracy"]


def test_no_measure_replaces_another():
    with pytest.raises(ValueError, match="'accuracy' is registered twice"):
        measure("accuracy", title="accuracy", range=(0, 1))(lambda confusion: 0)


def test_every_measure_is_documented_and_rare_ones_name_their_source():
    assert all(entry.function.__doc__ for entry in MEASURES.values())
    for name in ("balanced_accuracy", "mcc", "brier"):
        assert "doi:" in MEASURES[name].function.__doc__
