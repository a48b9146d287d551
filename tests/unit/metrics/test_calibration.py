"""Calibration, label mass and confusion counts, by hand and against scikit-learn."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from stagewise.metrics.calibration import answer_record, confusion
from stagewise.metrics.discrimination import log_losses
from stagewise.metrics.schema import INVALID
from stagewise.metrics.scores import NO_PROBABILITIES
from tests.helpers.drawn_predictions import LABELS, drawn, predictions


def record(given, bins=15):
    return answer_record(given, bins, "base", "task", "test")


@pytest.mark.parametrize("invalid", [True, False])
def test_confusion_counts_agree_with_scikit_learn(invalid):
    given = drawn(invalid=invalid)
    words = np.array([*LABELS, INVALID])
    columns = [*LABELS, *([INVALID] if invalid else [])]
    expected = sk.confusion_matrix(words[given.gold], words[given.answer], labels=words)[:3, : len(columns)]
    assert confusion(given).counts == expected.tolist()
    assert (confusion(given).rows, confusion(given).columns) == (LABELS, columns)
    assert record(given).invalid == (given.answer == 3).sum()


def test_invalid_answers_have_a_column_of_their_own():
    assert confusion(predictions([0, 0, 1, 2], [0, 3, 3, 2])).counts == [[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 0]]


def test_label_mass_is_what_all_labels_get_together():
    given = drawn()
    assert record(given).label_mass.value == pytest.approx(np.exp(given.logprobs).sum(1).mean(), abs=1e-12)


def test_ece_by_hand():
    # Confidences 0.9 (right), 0.7 (wrong), 0.6 (right), and 0.6 again (wrong), in five bins of width 0.2:
    # (0.8, 1] holds 0.9; (0.6, 0.8] holds 0.7; 0.6 is the upper edge of (0.4, 0.6], which holds the other two.
    probabilities = [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.6, 0.4]]
    found = record(predictions([0, 0, 0, 1], [0, 1, 0, 0], np.log(probabilities), labels=["a", "b"]), bins=5)
    assert [(entry.bin, entry.items, entry.right) for entry in found.calibration] == [(2, 2, 1), (3, 1, 0), (4, 1, 1)]
    expected = 2 / 4 * abs(0.5 - 0.6) + 1 / 4 * abs(0 - 0.7) + 1 / 4 * abs(1 - 0.9)
    assert found.ece.value == pytest.approx(expected, abs=1e-12)


def test_ece_renormalizes_over_the_labels():
    given = predictions([0, 1], [0, 0], np.log([[0.09, 0.01], [0.009, 0.001]]), labels=["a", "b"])
    found = record(given, bins=10)
    assert found.ece.value == pytest.approx(0.4, abs=1e-9)
    assert found.label_mass.value == pytest.approx(0.055, abs=1e-12)


def test_extreme_log_probabilities_stay_finite():
    given = predictions([0, 1], [0, 0], [[0.0, -800.0, -900.0], [-1e-9, -np.inf, -5.0]])
    assert math.isfinite(record(given).ece.value)
    loss = log_losses(np.array([[1.0, 0.0]]), np.array([1]))[0]
    assert math.isfinite(loss) and loss > 10


def test_without_log_probabilities_there_is_a_reason():
    found = record(predictions([0, 1], [0, 3]))
    assert found.ece.value is found.label_mass.value is None and found.calibration == []
    assert found.ece.reason == NO_PROBABILITIES
