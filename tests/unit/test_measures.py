"""Every measure against scikit-learn or its own package, on labels as they come and on labels that are absent."""

import math
import typing
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from stagewise.config.evaluation import Statistics
from stagewise.config.training import Training
from stagewise.counts import confusion_counts, label_f1, label_set_counts, precisions, recalls
from stagewise.measures import (
    LABEL_MEASURES,
    MEASURES,
    PRIMARY,
    TASK_SCORE,
    evaluate,
    measure,
    measures_of,
    own_measure,
    score_texts,
    task_score,
)

COUNTED = [name for name, entry in MEASURES.items() if entry.needs == "confusion"]
OF_SETS = list(measures_of("multi_label"))
OF_TEXTS = list(measures_of("generation"))
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


def farthest(gold, answer):
    """Answers of which invalid ones are the label farthest from the gold one, the lowest of two."""
    return np.where(answer == INVALID, np.where(np.array(gold) >= 1, 0, 2), answer)


def kappa(gold, answer, _):
    answer = farthest(gold, answer)
    if len({*gold, *answer}) == 1:
        return 0
    return sk.cohen_kappa_score(gold, answer, labels=LABELS, weights="quadratic")


def rank_error(gold, answer, _):
    errors = np.where(answer == INVALID, 2, np.abs(np.subtract(gold, answer)))
    return sk.mean_absolute_error(np.zeros(len(errors)), errors) / 2


EXPECTED = {
    "quadratic_kappa": kappa,
    "rank_error": rank_error,
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


@pytest.mark.parametrize("name", LABEL_MEASURES)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 1], [1, 2]], ids=str)
@pytest.mark.parametrize("invalid", [True, False], ids=["invalid answers", "valid answers"])
def test_a_measure_agrees_with_scikit_learn(name, seed, labels, invalid):
    given = drawn(seed, labels, invalid)
    assert value(name, *given) == pytest.approx(EXPECTED[name](*given), abs=1e-12)


@pytest.mark.parametrize("name", LABEL_MEASURES)
def test_a_value_stays_in_its_range_and_its_ends_are_reached(name):
    entry = MEASURES[name]
    perfect = value(name, np.array(LABELS), np.array(LABELS), np.eye(3))
    gold, other = (np.array([0, 2]), np.array([2, 0])) if "ordinal" in entry.kinds else ([0, 1], [1, 0])
    wrong = value(name, np.array(gold), np.array(other), np.eye(3)[other])
    best, worst = entry.range[:: -1 if entry.higher_is_better else 1]
    assert perfect == pytest.approx(best)
    assert wrong == pytest.approx(worst)
    for seed in range(20):
        assert entry.range[0] <= value(name, *drawn(seed, items=5)) <= entry.range[1]


@pytest.mark.parametrize("name", COUNTED)
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
    assert set(found) == set(measures_of("classification")) < set(evaluate(gold, np.log(probabilities), "ordinal"))
    for name in found:
        assert found[name] == pytest.approx(EXPECTED[name](gold, probabilities.argmax(1), probabilities), abs=1e-12)
        assert type(found[name]) is float and math.isfinite(found[name])


def test_every_measure_may_pick_the_checkpoint():
    choices = typing.get_args(Training.model_fields["best_metric"].annotation)
    assert choices == ("loss", *LABEL_MEASURES, "last")
    assert set(MEASURES) == {*LABEL_MEASURES, *OF_SETS, *OF_TEXTS}


def test_claims_are_about_accuracy_unless_the_configuration_names_another_measure():
    assert next(iter(MEASURES)) == PRIMARY == Statistics().primary_measure
    assert Statistics(primary_measure="macro_f1").primary_measure == "macro_f1"
    with pytest.raises(ValueError, match="'accuracy', 'macro_f1'"):
        Statistics(primary_measure="f1")
    # A share of right answers has an exact test over items; answers are exchanged for any other.
    exact = ["accuracy", "subset_accuracy", "exact_match", "numeric_match"]
    assert [name for name, entry in MEASURES.items() if entry.test == "sign-flip"] == exact


def test_no_measure_replaces_another():
    with pytest.raises(ValueError, match="'accuracy' is registered twice"):
        measure("accuracy", title="accuracy", range=(0, 1))(lambda confusion: 0)


def test_every_measure_is_documented_and_rare_ones_name_their_source():
    assert all(entry.function.__doc__ for entry in MEASURES.values())
    for name in ("balanced_accuracy", "mcc", "brier", "quadratic_kappa", "rank_error", *OF_SETS):
        assert "doi:" in MEASURES[name].function.__doc__ or name == "label_macro_f1"


def drawn_sets(seed):
    rng = np.random.default_rng(seed)
    gold = rng.random((60, 4)) < 0.3
    return gold, np.where(rng.random((60, 4)) < 0.6, gold, rng.random((60, 4)) < 0.3)


SETS_EXPECTED = {
    "subset_accuracy": sk.accuracy_score,
    "jaccard": lambda gold, answered: sk.jaccard_score(gold, answered, average="samples", zero_division=1),
    "label_micro_f1": lambda gold, answered: sk.f1_score(gold, answered, average="micro"),
    "label_macro_f1": lambda gold, answered: sk.f1_score(gold, answered, average="macro"),
}


def sets_value(name, gold, answered):
    entry = MEASURES[name]
    if entry.needs == "item_sets":
        return entry.function(gold, answered).mean()
    return entry.function(label_set_counts(gold, answered))


@pytest.mark.parametrize("name", OF_SETS)
@pytest.mark.parametrize("seed", range(4))
def test_a_measure_of_sets_agrees_with_scikit_learn(name, seed):
    gold, answered = drawn_sets(seed)
    assert sets_value(name, gold, answered) == pytest.approx(SETS_EXPECTED[name](gold, answered), abs=1e-12)
    assert sets_value(name, gold, gold) == 1 and sets_value(name, gold, ~gold) == 0


def test_counts_of_sets_on_resamples_are_those_of_the_items_written_out():
    gold, answered = drawn_sets(5)
    weights = np.random.default_rng(1).multinomial(60, np.full(60, 1 / 60), size=6).astype(np.float32)
    tables = label_set_counts(gold, answered, weights)
    for table, weight in zip(tables, weights, strict=True):
        items = np.repeat(np.arange(60), weight.astype(int))
        assert (table == label_set_counts(gold[items], answered[items])).all()
    for name in ("label_micro_f1", "label_macro_f1"):
        assert MEASURES[name].function(tables) == pytest.approx([float(MEASURES[name].function(t)) for t in tables])


def test_an_item_without_labels_is_right_if_nothing_is_answered():
    nothing, one = np.zeros((1, 3), bool), np.array([[True, False, False]])
    assert [sets_value("jaccard", *pair) for pair in ((nothing, nothing), (nothing, one), (one, nothing))] == [1, 0, 0]
    assert np.isnan(sets_value("label_micro_f1", nothing, nothing))
    # A label without items has no vote unless it is answered.
    assert sets_value("label_macro_f1", one, one) == 1
    assert sets_value("label_macro_f1", one, np.array([[True, True, False]])) == 0.5


@pytest.mark.parametrize(
    ("answer", "references", "expected"),
    [
        ("The  Cat.", ["cat"], 1),
        ("cats", ["cat", "Cats!"], 1),
        ("«Grüße»", ["Große"], 0),
        ("«Straße»", ["STRASSE"], 1),
        ("", ["cat"], 0),
    ],
)
def test_exact_match_forgives_case_articles_punctuation_and_blanks(answer, references, expected):
    assert MEASURES["exact_match"].function(answer, references) == expected


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("The answer is 1,000.", "1000", 1),
        ("1000.0", "1000", 1),
        ("first 3, then -3", "−3", 1),
        ("12%", "12", 1),
        ("-$4.50", "-4.5", 1),
        ("5 - 3 = 2, so 2.", "#### 2", 1),
        ("5-3", "-3", 0),
        ("3 of 4", "3", 0),
        ("none", "3", 0),
        ("3", "4 apples and then 3", 1),
        ("it is equal", "It is equal.", 1),
        ("1,23", "1.23", 0),
    ],
)
def test_the_last_number_of_an_answer_counts(answer, reference, expected):
    assert MEASURES["numeric_match"].function(answer, [reference]) == expected


def test_words_in_common_count_as_often_as_both_have_them():
    token_f1 = MEASURES["token_f1"].function
    assert token_f1("the red red fox", ["a red fox"]) == pytest.approx(2 * 2 / (3 + 2))
    assert token_f1("red", ["blue", "red car"]) == pytest.approx(2 / 3)
    assert token_f1("", ["the"]) == 1 and token_f1("", ["cat"]) == 0
    # A script without blanks is compared character by character; marks belong to their letters.
    assert token_f1("北京市", ["北京"]) == pytest.approx(0.8)
    assert token_f1("हिन्दी", ["हनद"]) == 0


def test_rouge_is_that_of_its_package_and_keeps_letters_of_other_alphabets():
    from rouge_score.rouge_scorer import RougeScorer

    theirs, rng = RougeScorer(["rougeL"]), np.random.default_rng(0)
    words = "the cat, sat on (the) mat; it's a dog's life: 3,5 times".split()
    for _ in range(20):
        answer, *references = (" ".join(rng.choice(words, size)) for size in rng.integers(1, 9, 3))
        best = max(theirs.score(text, answer)["rougeL"].fmeasure for text in references)
        assert score_texts(answer, references)["rouge_l"] == pytest.approx(best)
    assert theirs.score("Größe", "Grüße")["rougeL"].fmeasure > 0  # "gr" and "e"
    assert score_texts("Größe", ["Grüße"])["rouge_l"] == 0
    assert score_texts("größe der stadt", ["Die Größe der Stadt."])["rouge_l"] == pytest.approx(2 * 3 / (3 + 4))


def test_kinds_have_the_measures_that_mean_something_for_them():
    assert list(measures_of("multiple_choice")) == ["accuracy", "brier"]
    assert {"quadratic_kappa", "rank_error"} == set(measures_of("ordinal")) - set(measures_of("classification"))
    assert own_measure("generation", "accuracy") == "token_f1" and own_measure("generation", "rouge_l") == "rouge_l"
    assert own_measure("multiple_choice", "macro_f1") == "accuracy"


def test_a_task_score_has_one_direction():
    mixed = task_score([MEASURES["accuracy"], MEASURES["rank_error"], MEASURES["token_f1"]])
    assert (mixed.name, mixed.range, mixed.higher_is_better, mixed.is_accuracy) == (TASK_SCORE, (0, 1), True, False)
    assert MEASURES["rank_error"].oriented(0.2) == 0.8 and MEASURES["brier"].oriented(0.5) == 1.5
    assert task_score([MEASURES["accuracy"], MEASURES["exact_match"]]).is_accuracy
    with pytest.raises(ValueError, match="'task_score'"):
        measure(TASK_SCORE, title="score", range=(0, 1))
