"""The measures over the stage × task matrix, worked out by hand."""

import numpy as np
import pytest

from stagewise.lineage import Step
from stagewise.metrics import transfer
from stagewise.metrics.transfer import Learnt

# Rows: the untuned model, then after stages 1 to 3, which learn tasks 0 to 2 in turn.
MATRIX = np.array(
    [
        [0.30, 0.20, 0.10],
        [0.80, 0.25, 0.10],
        [0.85, 0.70, 0.40],
        [0.60, 0.50, 0.90],
    ]
)
IN_TURN = Learnt({0: 1, 1: 2, 2: 3}, {0: 1, 1: 2, 2: 3}, 3)
# The same arm with two probes beside.
PROBES = np.array([[0.50, 0.40], [0.45, 0.40], [0.60, 0.10], [0.40, 0.45]])
PROBED = Learnt(IN_TURN.first, IN_TURN.last, 3, (3, 4))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("average", (0.60 + 0.50 + 0.90) / 3),
        # Last minus own: 0.60 - 0.80 and 0.50 - 0.70.
        ("backward_transfer", -0.20),
        # Best of stages 1 and 2 minus last: 0.85 - 0.60 and 0.70 - 0.50.
        ("forgetting", 0.225),
        # Just before minus untuned: 0.25 - 0.20 and 0.40 - 0.10.
        ("forward_transfer", 0.175),
        # Last minus untuned: 0.40 - 0.50 and 0.45 - 0.40.
        ("probe_change", -0.025),
    ],
)
def test_three_stages_by_hand(name, value):
    matrix = np.hstack([MATRIX, PROBES])
    assert getattr(transfer, name)(matrix, PROBED) == pytest.approx(value, abs=1e-12)
    without = getattr(transfer, name)(MATRIX, IN_TURN)
    assert without is None if name == "probe_change" else without == pytest.approx(value, abs=1e-12)


def test_many_matrices_at_once():
    matrix = np.hstack([MATRIX, PROBES])
    both = np.stack([matrix, matrix / 2])
    for name in transfer.REASONS:
        statistic = getattr(transfer, name)
        assert statistic(both, PROBED) == pytest.approx([statistic(matrix, PROBED), statistic(matrix, PROBED) / 2])


def steps(*tasks):
    return [Step(n, list(names), "x", {}) for n, names in enumerate(((), *tasks))]


def test_a_task_learnt_again_counts_from_its_last_stage():
    learnt = Learnt.of(steps("a", "b", "a"), ["a", "b", "c"])
    assert (learnt.first, learnt.last) == ({0: 1, 1: 2}, {0: 3, 1: 2})
    assert learnt.earlier == [1]
    assert transfer.backward_transfer(MATRIX, learnt) == pytest.approx(0.50 - 0.70)
    assert transfer.average(MATRIX, learnt) == pytest.approx((0.60 + 0.50) / 2)


def test_a_task_that_the_arm_learns_is_no_probe_of_it():
    assert Learnt.of(steps("a"), ["a", "b", "c"], ["a", "c"]).probes == (2,)


def test_all_at_once_leaves_nothing_to_forget():
    learnt = Learnt.of(steps("ab"), ["a", "b"])
    scores = MATRIX[:2, :2]
    assert transfer.average(scores, learnt) == pytest.approx((0.80 + 0.25) / 2)
    for name in ("backward_transfer", "forgetting", "forward_transfer"):
        assert getattr(transfer, name)(scores, learnt) is None
