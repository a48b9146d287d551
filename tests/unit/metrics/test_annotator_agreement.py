"""Annotators' agreement with the gold labels, and groups of items by it."""

import numpy as np
import pytest

from stagewise.metrics.annotator_agreement import agreement_record, group_values
from stagewise.metrics.bootstrap import TOO_FEW, Bootstrap
from tests.helpers.drawn_predictions import predictions
from tests.helpers.records import find

BASE, SECOND = "base", "base/seed-0/pubmedqa/dreaddit"


def test_agreement_with_annotators(one):
    results, report = one
    found = find(report.agreement, task="pubmedqa", split="test")
    values = [item["agreement"]["other_label"] for item in results.items_of(BASE, "pubmedqa", "test")]
    assert (found.column, found.items) == ("other_label", len(values))
    assert found.mean.value == pytest.approx(np.mean(values))
    assert found.mean.low < found.mean.value < found.mean.high
    assert [(group.low, group.high) for group in found.groups] == [(0, 0), (1, 1)]
    right = results.predictions[SECOND, "pubmedqa", "test"].right
    assert found.groups[1].accuracy[SECOND] == pytest.approx(right[np.array(values) == 1].mean())
    assert set(found.groups[0].accuracy) == set(results.lineages)
    shares = find(report.agreement, task="dreaddit", split="test")
    assert 2 < len(shares.groups) <= 4
    assert sum(group.items for group in shares.groups) == shares.items


def test_later_folds_with_other_items_are_left_out(folded):
    _, _, report = folded
    found = find(report.agreement, task="pubmedqa", split="validation")
    assert "base/fold-5/seed-0/pubmedqa" not in found.groups[0].accuracy


def test_items_of_one_group_say_nothing_about_their_spread():
    items = [{"agreement": {"a": value}} for value in (0.0, 1.0, 1.0)] + [{}]
    for groups, reason in (([0, 0, 0, 1], TOO_FEW), ([0, 0, 1, 2], None)):
        answers = {"base": predictions([0] * 4, [0] * 4, groups=np.array(groups))}
        found = agreement_record(items, "a", "task", "test", answers, Bootstrap(100, 0, 0.95, ["task"]))
        assert (found.mean.reason, found.items) == (reason, 3)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 0, 1], [[1], [0, 2]]),
        ([1, 1], [[0, 1]]),
        ([0.5, 1, 0.75], [[0], [2], [1]]),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], [[0, 1], [2, 3], [4, 5], [6, 7]]),
        ([0.4, 0.5, 0.6, 0.7, 0.8, 1, 1, 1, 1, 1], [[0, 1, 2], [3, 4], [5, 6, 7, 8, 9]]),
    ],
)
def test_groups_of_agreement(values, expected):
    assert [group.tolist() for group in group_values(np.array(values, dtype=float))] == expected
