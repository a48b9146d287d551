"""Baselines: the majority class, and bag-of-words logistic regression."""

from collections import Counter

import numpy as np

from stagewise.metrics.prediction_table import Predictions, group_codes
from stagewise.metrics.schema import MAJORITY, TFIDF, TFIDF_BALANCED


class CannotFit(ValueError):
    """The training split does not allow this baseline; the message says why."""


def majority_label(train: list[dict], labels: list[str]) -> str:
    """The most frequent label of the training split, the first in label order if two tie."""
    counts = Counter(item["label"] for item in train)
    return max(labels, key=lambda label: counts[label])


def fit_baseline(name: str, train: list[dict], labels: list[str]):
    """Fit a baseline on training items; returns a function from items to `Predictions`.

    `tfidf` is TF-IDF over words and pairs of words that occur in two items or more (sublinear term frequency) with
    logistic regression, on all fields joined; `tfidf-balanced` weights classes by inverse frequency.

    Raises
    ------
    CannotFit
        If the training split has one label only, or no words.
    """
    if not train:
        raise CannotFit("the training split is empty")
    if name == MAJORITY:
        return _constant(labels.index(majority_label(train, labels)), labels)
    if name not in (TFIDF, TFIDF_BALANCED):
        raise ValueError(f"no such baseline: {name}")
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    gold = _codes(train, labels)
    if len(set(gold.tolist())) < 2:
        raise CannotFit("the training split has one label only")
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        # Rows of unit length are small numbers: the default penalty (1) would answer little but the majority class.
        LogisticRegression(C=4, max_iter=1000, class_weight="balanced" if name == TFIDF_BALANCED else None),
    )
    try:
        model.fit(_texts(train), gold)
    except ValueError as error:
        raise CannotFit(f"TF-IDF finds no words in the training split ({error})") from None

    def answer(items: list[dict]) -> Predictions:
        # A label that never occurs in training gets probability 0.
        probabilities = np.zeros((len(items), len(labels)))
        probabilities[:, model.classes_] = model.predict_proba(_texts(items))
        with np.errstate(divide="ignore"):
            logprobs = np.log(probabilities)
        return Predictions(
            labels, _codes(items, labels), probabilities.argmax(1), logprobs, group_codes(items), renormalized=True
        )

    return answer


def _constant(code: int, labels: list[str]):
    def answer(items: list[dict]) -> Predictions:
        return Predictions(labels, _codes(items, labels), np.full(len(items), code), groups=group_codes(items))

    return answer


def _codes(items: list[dict], labels: list[str]) -> np.ndarray:
    return np.array([labels.index(item["label"]) for item in items], dtype=int)


def _texts(items: list[dict]) -> list[str]:
    return ["\n".join(item["fields"].values()) for item in items]
