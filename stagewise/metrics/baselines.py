"""Baselines: the most frequent answer, and a bag of words.

The bag of words is TF-IDF over words and pairs of words that occur in two items or more (sublinear term frequency), of
all fields joined. Labels are predicted by logistic regression, of several labels an item one against the rest;
generated texts are answered with those of the nearest training item.
"""

import warnings
from collections import Counter
from collections.abc import Callable

import numpy as np

from stagewise.measures import measures_of, score_texts
from stagewise.metrics.prediction_table import AnswerFormat, Predictions, group_codes, label_sets
from stagewise.metrics.schema import MAJORITY, TFIDF, TFIDF_BALANCED
from stagewise.predictions.prediction_files import gold_cell

_LETTERS = "a letter stands for another option in every item"

NO_BASELINE: dict[str, dict[str, str]] = {
    "multiple_choice": {TFIDF: _LETTERS, TFIDF_BALANCED: _LETTERS},
    "generation": {TFIDF_BALANCED: "there are no classes to balance"},
}
"""Baselines that a kind of task does not have, and why."""

Baseline = Callable[[list[dict]], Predictions]
"""A function from items to answers."""


class CannotFit(ValueError):
    """The task or its training split does not allow this baseline; the message says why."""


def majority_answer(train: list[dict], labels: list[str]) -> str:
    """The most frequent answer of the training split; of equals the first in label order, or without labels in the
    split."""
    counts = Counter(item["label"] for item in train)
    return max([label for label in labels if label in counts] or counts, key=lambda answer: counts[answer])


def fit_baseline(name: str, train: list[dict], form: AnswerFormat) -> Baseline:
    """Fit a baseline on training items.

    `tfidf-balanced` weights classes by inverse frequency.

    Raises
    ------
    CannotFit
        If the training split has one label only, or no words, or the kind of task has no such baseline.
    """
    if not train:
        raise CannotFit("the training split is empty")
    if name not in (MAJORITY, TFIDF, TFIDF_BALANCED):
        raise ValueError(f"no such baseline: {name}")
    if reason := NO_BASELINE.get(form.kind, {}).get(name):
        raise CannotFit(reason)
    fit = {"multi_label": _fit_sets, "generation": _fit_texts}.get(form.kind, _fit_labels)
    return fit(name, train, form)


def _fit_labels(name: str, train: list[dict], form: AnswerFormat) -> Baseline:
    labels = form.labels
    common = {"kind": form.kind, "own": form.own}
    if name == MAJORITY:
        code = labels.index(majority_answer(train, labels))
        return lambda items: Predictions(
            labels, _codes(items, labels), np.full(len(items), code), groups=group_codes(items), **common
        )
    gold = _codes(train, labels)
    if len(set(gold.tolist())) < 2:
        raise CannotFit("the training split has one label only")
    model = _fit(_regression(name), train, gold)

    def answer(items: list[dict]) -> Predictions:
        # A label that never occurs in training gets probability 0.
        probabilities = np.zeros((len(items), len(labels)))
        probabilities[:, model.classes_] = model.predict_proba(_texts(items))
        with np.errstate(divide="ignore"):
            logprobs = np.log(probabilities)
        gold, groups = _codes(items, labels), group_codes(items)
        return Predictions(labels, gold, probabilities.argmax(1), logprobs, groups, renormalized=True, **common)

    return answer


def _fit_sets(name: str, train: list[dict], form: AnswerFormat) -> Baseline:
    gold = label_sets(train, form.labels)

    def answer_with(predict: Callable[[list[dict]], np.ndarray]) -> Baseline:
        return lambda items: Predictions(
            form.labels,
            label_sets(items, form.labels),
            predict(items),
            groups=group_codes(items),
            kind=form.kind,
            own=form.own,
        )

    if name == MAJORITY:
        most = majority_answer(train, [])
        row = gold[[item["label"] for item in train].index(most)]
        return answer_with(lambda items: np.tile(row, (len(items), 1)))
    # A label that all training items have, or none, needs no model.
    varies = gold.any(0) & ~gold.all(0)
    if not varies.any():
        raise CannotFit("all training items have the same labels")
    model = _fit(_regression(name, one_against_rest=True), train, gold[:, varies])

    def predict(items: list[dict]) -> np.ndarray:
        answered = np.tile(gold[0], (len(items), 1))
        answered[:, varies] = np.reshape(model.predict(_texts(items)), (len(items), -1)).astype(bool)
        return answered

    return answer_with(predict)


def _fit_texts(name: str, train: list[dict], form: AnswerFormat) -> Baseline:
    answers = [item["label"] for item in train]

    def answer_with(choose: Callable[[list[dict]], list[str]]) -> Baseline:
        def answer(items: list[dict]) -> Predictions:
            texts = choose(items)
            by_item = [score_texts(text, item["references"]) for text, item in zip(texts, items, strict=True)]
            scores = {name: np.array([each[name] for each in by_item]) for name in measures_of(form.kind)}
            gold, given = np.array(list(map(gold_cell, items))), np.array(texts, dtype=object)
            return Predictions(
                [], gold, given, groups=group_codes(items), kind=form.kind, own=form.own, item_scores=scores
            )

        return answer

    if name == MAJORITY:
        most = majority_answer(train, [])
        return answer_with(lambda items: [most] * len(items))
    model = _fit(None, train, None)
    rows = model.transform(_texts(train))

    def nearest(items: list[dict]) -> list[str]:
        # Rows have unit length, so that products are cosines; the first of equally near items.
        similar = np.asarray((model.transform(_texts(items)) @ rows.T).argmax(1)).ravel()
        return [answers[number] for number in similar]

    return answer_with(nearest)


def _regression(name: str, one_against_rest: bool = False):
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    # Rows of unit length are small numbers: the default penalty (1) would answer little but the majority class.
    model = LogisticRegression(C=4, max_iter=1000, class_weight="balanced" if name == TFIDF_BALANCED else None)
    return OneVsRestClassifier(model) if one_against_rest else model


def _fit(model, train: list[dict], gold: np.ndarray | None):
    """Fit a bag of words, with a model of labels after it if there is one."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), *([model] if model else [])
    )
    try:
        with warnings.catch_warnings():
            # Gold labels are codes of declared labels: many labels of few items are still no regression.
            warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%", UserWarning)
            return pipeline.fit(_texts(train), gold)
    except ValueError as error:
        raise CannotFit(f"TF-IDF finds no words in the training split ({error})") from None


def _codes(items: list[dict], labels: list[str]) -> np.ndarray:
    return np.array([labels.index(item["label"]) for item in items], dtype=int)


def _texts(items: list[dict]) -> list[str]:
    return ["\n".join(item["fields"].values()) for item in items]
