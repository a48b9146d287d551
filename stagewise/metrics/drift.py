"""Drift of a stage's adapter from the one that it started from: their divergence on the stage's own items.

Prediction files hold the probability of each label as a whole answer. With all other texts as one more answer they are
a distribution, and KL(parent || adapter) between two of them is a lower bound of that over all texts. Forgetting of
earlier tasks was seen to follow the divergence on the new task (Shenfeld et al. 2025, arXiv:2509.04259).
"""

import numpy as np

from stagewise.metrics.bootstrap import Bootstrap, Resampled
from stagewise.metrics.decision_rules import normalize
from stagewise.metrics.prediction_table import Predictions
from stagewise.metrics.read_results import ExperimentResults
from stagewise.metrics.schema import Drift
from stagewise.metrics.scores import average_items

SMALLEST_REST = 1e-6
"""Other texts have this probability at least: sums of label probabilities are not known better (single precision)."""


def drift_records(results: ExperimentResults, split: str, bootstrap: Bootstrap) -> list[Drift]:
    """Record every trained adapter on each task of its stage; none without label probabilities.

    Parameters
    ----------
    results
        The experiment, with predictions.
    split
        The split whose items are averaged. Adapters of which parent answered other items are left out.
    bootstrap
        Resamples of the items.
    """
    records = []
    for lineage, adapter in results.adapters.items():
        parent = adapter.parent or adapter.base
        for task in adapter.tasks if adapter.training is not None else []:
            before, after = (results.predictions[name, task, split] for name in (parent, lineage))
            same = results.checksum(parent, task, split) == results.checksum(lineage, task, split)
            if before.logprobs is None or after.logprobs is None or not same:
                continue
            by_item = divergences(before, after)
            drawn = average_items(by_item, bootstrap.weights(task, split, after))
            kl = bootstrap.value(Resampled(by_item.mean(), drawn), after.units)
            records.append(Drift(lineage=lineage, parent=parent, task=task, split=split, kl=kl))
    return records


def divergences(before: Predictions, after: Predictions) -> np.ndarray:
    """KL(before || after) of each item in nats, shape (items,)."""
    first, second = (answer_log_probabilities(side.logprobs) for side in (before, after))
    # Rounding may leave a little less than nothing.
    return np.maximum((np.exp(first) * (first - second)).sum(1), 0.0)


def answer_log_probabilities(logprobs: np.ndarray) -> np.ndarray:
    """Complete labels' log-probabilities by that of all other texts, shape (items, labels) to (items, labels + 1)."""
    from scipy.special import logsumexp

    mass = logsumexp(logprobs, axis=1, keepdims=True)
    rest = np.log(np.maximum(-np.expm1(np.minimum(mass, 0.0)), SMALLEST_REST))
    # Where labels have all of the probability, or more by rounding, the sum is a little above 1.
    return normalize(np.concatenate([logprobs, rest], axis=1))
