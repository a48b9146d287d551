"""Baselines on hand-made items."""

import warnings

import numpy as np
import pytest

from stagewise.metrics import baselines
from stagewise.metrics.calibration import answer_record
from stagewise.metrics.discrimination import log_losses
from stagewise.metrics.prediction_table import AnswerFormat
from stagewise.metrics.schema import BASELINES, MAJORITY, TFIDF
from tests.helpers.drawn_predictions import LABELS

FORM = AnswerFormat(LABELS)


def _texts(labels, words):
    return [{"id": str(i), "label": x, "fields": {"a": f"{words[x]} item", "b": "it"}} for i, x in enumerate(labels)]


def test_baselines():
    words = {"yes": "good help", "no": "bad harm", "maybe": "unclear mixed"}
    train = _texts(["yes"] * 6 + ["no"] * 4 + ["maybe"] * 2, words)
    test = _texts(["maybe", "no", "yes"], words)
    assert baselines.fit_baseline(MAJORITY, train, FORM)(test).answer.tolist() == [0, 0, 0]
    for name in BASELINES[1:]:
        found = baselines.fit_baseline(name, train, FORM)(test)
        assert found.gold.tolist() == [2, 1, 0]
        assert np.exp(found.logprobs).sum(1) == pytest.approx(1)
        assert found.answer.tolist() == found.logprobs.argmax(1).tolist()
    assert found.answer.tolist() == [2, 1, 0]
    assert answer_record(found, 15, "tfidf", "task", "test").label_mass.value is None


def test_a_label_unseen_in_training_gets_probability_zero():
    train = _texts(["yes", "no"] * 3, {"yes": "good", "no": "bad"})
    found = baselines.fit_baseline(TFIDF, train, FORM)(_texts(["maybe"], {"maybe": "bad"}))
    assert found.answer.tolist() == [1]
    assert found.logprobs[0, 2] == -np.inf
    assert np.isfinite(log_losses(np.exp(found.logprobs), found.gold)).all()


def test_many_labels_of_few_items_are_fitted_without_a_warning():
    """As in a task of 77 labels that is limited to a few items each."""
    form = AnswerFormat([f"kind{n}" for n in range(20)])
    train = _texts([*form.labels, *form.labels[:4]], {label: label for label in form.labels})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = baselines.fit_baseline(TFIDF, train, form)
    assert fitted(train[:2]).answer.tolist() == [0, 1]


def test_majority_ties_go_to_the_first_label():
    assert baselines.majority_answer(_texts(["no", "yes"], {"yes": "a", "no": "b"}), LABELS) == "yes"


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
        baselines.fit_baseline(TFIDF, train, FORM)
