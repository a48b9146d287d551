"""Tests over items, against scikit-learn's measures, SciPy's tests and every pattern counted."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from stagewise.measures import MEASURES
from stagewise.metrics import significance
from stagewise.metrics.item_tests import exchange_answers, p_over_items
from stagewise.metrics.significance import sign_flip
from tests.helpers.drawn_predictions import answered, predictions

ACCURACY = MEASURES["accuracy"]


def macro_f1(answers, patterns):
    """By scikit-learn, the mean over runs of one side's macro-F1 minus the other's under each pattern."""
    differences = []
    for mask in patterns:
        by_run = []
        for after, before in answers:
            swapped = np.where(mask, before.answer, after.answer), np.where(mask, after.answer, before.answer)
            scores = [f1_score(after.gold, a, labels=[0, 1, 2], average="macro", zero_division=0) for a in swapped]
            by_run.append(scores[0] - scores[1])
        differences.append(np.mean(by_run))
    return np.array(differences)


@pytest.mark.parametrize("groups", [None, np.array([0, 0, 1, 2, 3, 3, 4])])
@pytest.mark.parametrize("runs", [1, 2])
def test_macro_f1_is_tested_by_exchanging_answers_in_all_runs(runs, groups):
    rng = np.random.default_rng(5)
    gold = np.arange(7) % 3
    answers = [
        tuple(
            predictions(gold, np.where(rng.random(7) < skill, gold, rng.integers(0, 4, 7)), groups=groups)
            for skill in (0.9, 0.2)
        )
        for _ in range(runs)
    ]
    units = answers[0][0].units
    patterns = np.array(list(product((False, True), repeat=units)))
    every = macro_f1(answers, patterns if groups is None else patterns[:, groups])
    expected = (np.abs(every) >= abs(every[0]) - 1e-9).mean()
    after, before = zip(*answers, strict=True)
    assert exchange_answers([((after, before), MEASURES["macro_f1"])], 0) == pytest.approx(expected, abs=0.012)


def test_a_measure_of_probabilities_is_tested_by_exchanging_them():
    gold, logs = answered(40, 1, strength=2.5)
    _, worse = answered(40, 1, strength=0.5)
    after, before = (predictions(gold, given.argmax(1), given) for given in (logs, worse))
    by_item = [((np.exp(given) - np.eye(3)[gold]) ** 2).sum(1) for given in (logs, worse)]
    theirs = stats.permutation_test(
        (by_item[0] - by_item[1], np.zeros(40)),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9_999,
        rng=np.random.default_rng(2),
    ).pvalue
    assert exchange_answers([(([after], [before]), MEASURES["brier"])], 0) == pytest.approx(theirs, abs=0.01)


def test_accuracy_exchanged_is_accuracy_flipped():
    first, second = (predictions(*pair) for pair in made_pairs())
    exact = sign_flip(first.right.astype(int) - second.right.astype(int))
    assert exchange_answers([(([first], [second]), ACCURACY)], 0) == pytest.approx(exact, abs=0.015)


def made_pairs():
    rng = np.random.default_rng(6)
    gold = rng.integers(0, 3, 70)
    return [(gold, np.where(rng.random(70) < skill, gold, rng.integers(0, 3, 70))) for skill in (0.6, 0.4)]


def by(measure, tasks):
    """Compare all tasks by one measure."""
    return [(answers, measure) for answers in tasks]


def drawn_tasks(sizes, runs, grouped=False):
    """Two sides' answers to tasks of these sizes, one run after the other."""
    rng, tasks = np.random.default_rng(3), []
    for size in sizes:
        gold = rng.integers(0, 2, size)
        groups = np.arange(size) // 2 if grouped else None
        side = [
            [predictions(gold, np.where(rng.random(size) < skill, gold, 1 - gold), groups=groups) for _ in range(runs)]
            for skill in (0.9, 0.5)
        ]
        tasks.append(tuple(side))
    return tasks


def every_pattern(tasks):
    """Mean over tasks of the mean over runs of the accuracy difference, each unit exchanged or not."""
    units = [after[0].units for after, _ in tasks]
    values = []
    for pattern in product((1, -1), repeat=sum(units)):
        parts, by_task = np.split(np.array(pattern), np.cumsum(units)[:-1]), []
        for (after, before), signs in zip(tasks, parts, strict=True):
            signs = signs if after[0].groups is None else signs[after[0].groups]
            runs = [(a.right.astype(int) - b.right) * signs for a, b in zip(after, before, strict=True)]
            by_task.append(np.mean(runs))
        values.append(np.mean(by_task))
    return np.array(values)


@pytest.mark.parametrize(("sizes", "grouped"), [((4, 7), False), ((3, 4, 5), False), ((8, 12), True)])
@pytest.mark.parametrize("runs", [1, 2])
def test_a_mean_over_tasks_counts_every_pattern_of_all_items(sizes, grouped, runs):
    tasks = drawn_tasks(sizes, runs, grouped)
    every = every_pattern(tasks)
    expected = (np.abs(every) >= abs(every[0]) - 1e-12).mean()
    assert 0 < expected < 0.9
    assert p_over_items(by(ACCURACY, tasks), 0) == ("sign-flip", pytest.approx(expected))
    assert exchange_answers(by(ACCURACY, tasks), 0) == pytest.approx(expected, abs=0.015)


def test_a_task_counts_as_much_as_another_however_many_items_it_has():
    """Ten items gained of 10 and a tenth lost of 100 are no balance: the mean of the two accuracies rose."""
    small, large = np.zeros(10, int), np.zeros(100, int)
    lost = np.arange(100) < 10
    tasks = [
        ([predictions(small, small)], [predictions(small, small + 1)]),
        ([predictions(large, lost.astype(int))], [predictions(large, large)]),
    ]
    assert p_over_items(by(ACCURACY, tasks), 0)[1] < 0.01


def test_too_many_sums_are_drawn(monkeypatch):
    tasks = drawn_tasks((40, 50, 60), 1)
    name, exact = p_over_items(by(ACCURACY, tasks), 0)
    monkeypatch.setattr(significance, "MOST_SUMS", 10)
    assert name == "sign-flip"
    assert p_over_items(by(ACCURACY, tasks), 0) == ("exchange", pytest.approx(exact, abs=0.01))


def test_a_mean_over_tasks_of_another_measure_is_exchanged_in_all_tasks():
    tasks = drawn_tasks((3, 5), 1)
    first, second = ([(after[0], before[0])] for after, before in tasks)
    patterns = np.array(list(product((False, True), repeat=8)))
    every = (macro_f1(first, patterns[:, :3]) + macro_f1(second, patterns[:, 3:])) / 2
    expected = (np.abs(every) >= abs(every[0]) - 1e-12).mean()
    name, p = p_over_items(by(MEASURES["macro_f1"], tasks), 0)
    assert (name, p) == ("exchange", pytest.approx(expected, abs=0.02))
