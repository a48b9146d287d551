"""Divergence of adapters from their parents on a stage's own items, against SciPy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import entropy

from stagewise.metrics.bootstrap import Bootstrap
from stagewise.metrics.drift import SMALLEST_REST, divergences, drift_records
from tests.helpers.drawn_predictions import predictions
from tests.helpers.records import find


def answers(logprobs):
    gold = np.zeros(len(logprobs), int)
    return predictions(gold, gold, logprobs)


def distribution(answers):
    """Labels and the rest, in plain probabilities."""
    probabilities = np.exp(answers.logprobs)
    return np.column_stack([probabilities, 1 - probabilities.sum(1)])


def drawn(seed, items=50):
    """Log-probabilities of three labels among six texts."""
    return log_softmax(np.random.default_rng(seed).normal(scale=3, size=(items, 6)), axis=1)[:, :3]


def test_labels_and_the_rest_are_one_distribution():
    before, after = answers(drawn(1)), answers(drawn(2))
    expected = entropy(distribution(before), distribution(after), axis=1)
    assert divergences(before, after) == pytest.approx(expected, rel=1e-5)
    assert (divergences(before, before) == 0).all()
    # The labels alone would say that nothing moved.
    half = answers(before.logprobs + np.log(0.5))
    assert divergences(before, half).min() > 0


def test_it_is_at_most_the_divergence_over_all_texts():
    texts = [log_softmax(np.random.default_rng(seed).normal(size=(50, 6)), axis=1) for seed in (3, 4)]
    before, after = (answers(logs[:, :3]) for logs in texts)
    over_texts = entropy(*np.exp(texts), axis=1)
    assert (divergences(before, after) <= over_texts + 1e-9).all() and (
        divergences(before, after) < over_texts - 1e-3
    ).any()


def test_rounding_and_impossible_labels_leave_it_finite():
    # All of the probability on labels, a little more than that, and a label without any.
    extreme = answers([[-0.5, np.log(-np.expm1(-0.5)), -np.inf], [1e-7, -40.0, -50.0], [-1e-9, -np.inf, -np.inf]])
    plain = answers(np.log([[0.2, 0.2, 0.1]] * 3))
    for pair in ((extreme, plain), (plain, extreme)):
        assert np.isfinite(divergences(*pair)).all()
    # Half of the parent's answers are elsewhere, and the adapter has next to none there.
    assert divergences(plain, extreme)[1] > 0.5 * np.log(0.5 / SMALLEST_REST) - 1


def test_every_training_has_one_for_each_task_of_its_stage(one):
    results, metrics = one
    expected = {
        (lineage, task) for lineage, a in results.adapters.items() if a.training is not None for task in a.tasks
    }
    assert {(d.lineage, d.task) for d in metrics.drifts} == expected and len(metrics.drifts) == len(expected)
    lineage = "base/seed-0/pubmedqa/dreaddit"
    drift = find(metrics.drifts, lineage=lineage)
    sides = [results.predictions[name, "dreaddit", "test"] for name in (drift.parent, lineage)]
    assert (drift.parent, drift.split) == ("base/seed-0/pubmedqa", "test")
    assert drift.kl.value == pytest.approx(entropy(*map(distribution, sides), axis=1).mean(), rel=1e-5)
    assert drift.kl.low < drift.kl.value < drift.kl.high
    assert find(metrics.drifts, lineage="base/seed-0/dreaddit").parent == "base"


def test_answers_without_probabilities_have_none(one):
    results, _ = one
    generated = {
        key: replace(p, logprobs=None) if key[1] == "dreaddit" else p for key, p in results.predictions.items()
    }
    bootstrap = Bootstrap(100, 0, 0.95, ["pubmedqa", "dreaddit"])
    records = drift_records(replace(results, predictions=generated), "test", bootstrap)
    assert records and {record.task for record in records} == {"pubmedqa"}
