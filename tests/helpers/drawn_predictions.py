"""Predictions drawn at random, without an experiment around them."""

import numpy as np
from scipy.special import log_softmax

from stagewise.metrics.prediction_table import Predictions

LABELS = ["yes", "no", "maybe"]
SHARES = np.array([0.55, 0.34, 0.11])


def answered(n=600, seed=0, strength=2.0):
    """Gold codes and log-probabilities of a model that knows the labels' shares and something of the items."""
    rng = np.random.default_rng(seed)
    gold = rng.choice(3, n, p=SHARES)
    scores = rng.normal(size=(n, 3)) + np.log(SHARES)
    scores[np.arange(n), gold] += strength
    return gold, log_softmax(scores, 1)


def predictions(gold, answer, logprobs=None, labels=LABELS, groups=None) -> Predictions:
    """Predictions from plain lists; the answer 3 (the number of labels) is an invalid one."""
    logs = None if logprobs is None else np.asarray(logprobs, dtype=float)
    return Predictions(list(labels), np.asarray(gold, dtype=int), np.asarray(answer, dtype=int), logs, groups)


def drawn(n=120, seed=0, invalid=True) -> Predictions:
    """Predictions of three labels that are right about half of the time."""
    rng = np.random.default_rng(seed)
    gold = rng.choice(3, n, p=SHARES)
    answer = np.where(rng.random(n) < 0.5, gold, rng.integers(0, 4 if invalid else 3, n))
    return predictions(gold, answer, rng.normal(size=(n, 3)) - 3)
