"""Measures of one set of answers, whatever its kind: by item, by counts, and as one number."""

import numpy as np

from stagewise.counts import confusion_counts, label_set_counts
from stagewise.measures import Measure
from stagewise.metrics.decision_rules import normalize
from stagewise.metrics.prediction_table import Predictions


def score_items(answers: Predictions, measure: Measure) -> np.ndarray | None:
    """Value of each item, shape (items,), by a measure that is their mean; None if it needs probabilities and there
    are none."""
    if measure.needs == "texts":
        return answers.item_scores[measure.name]
    if measure.needs == "item_sets":
        low, high = measure.range
        worst = low if measure.higher_is_better else high
        return np.where(answers.is_valid, measure.function(answers.gold, answers.answer), worst)
    if answers.logprobs is None:
        return None
    return measure.function(np.exp(normalize(answers.logprobs)), answers.gold)


def count_answers(answers: Predictions, weights: np.ndarray | None = None) -> np.ndarray:
    """Counts that the other measures are computed of, on all items or on every resample.

    Returns
    -------
    ``confusion_counts`` of answers with one label, ``label_set_counts`` of those with several; with `weights` of shape
    (samples, items) an axis of samples comes first.
    """
    if answers.kind == "multi_label":
        return label_set_counts(answers.gold, answers.answer, weights)
    return confusion_counts(answers.gold, answers.answer, len(answers.labels), weights)


def score(answers: Predictions, measure: Measure) -> float:
    """Score plain answers by one measure; NaN if it needs probabilities and there are none."""
    if not measure.is_item_mean:
        return float(measure.function(count_answers(answers)))
    by_item = score_items(answers, measure)
    return float("nan") if by_item is None else float(by_item.mean())


def right_answers(answers: Predictions, measure: Measure) -> np.ndarray:
    """Tell which answers are right, boolean, shape (items,), by a measure that is the share of them."""
    return score_items(answers, measure) == 1 if measure.is_item_mean else answers.right
