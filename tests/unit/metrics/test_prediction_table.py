"""Groups of items that vary together, from split files to predictions."""

import numpy as np
import pytest

from stagewise.metrics.baselines import fit_baseline
from stagewise.metrics.prediction_table import group_codes, read_predictions
from stagewise.metrics.schema import MAJORITY
from tests.helpers.drawn_predictions import predictions
from tests.helpers.fake_results import write_answers

GROUPED = [7, None, 3, 7, None, 3]


def items(groups):
    made = [{"id": str(n), "label": "yes", "fields": {"text": "a"}} for n in range(len(groups))]
    return [item | ({} if group is None else {"group": group}) for item, group in zip(made, groups, strict=True)]


def test_an_item_without_a_group_is_its_own():
    assert group_codes(items(GROUPED)).tolist() == [0, 1, 2, 0, 3, 2]
    assert predictions([0] * 6, [0] * 6).units == 6


@pytest.mark.parametrize("groups", [[None, None], [4, 9, None]])
def test_items_that_stand_alone_have_no_groups(groups):
    assert group_codes(items(groups)) is None


def test_predictions_and_baselines_have_the_groups_of_their_items(tmp_path):
    split = items(GROUPED)
    write_answers(tmp_path / "t.test.csv", "t", "test", ["yes", "no"], [(item, "yes", None) for item in split])
    answers = read_predictions(tmp_path / "t.test.csv", "t", "test", ["yes", "no"], split)
    baseline = fit_baseline(MAJORITY, split, ["yes", "no"])(split)
    for given in (answers, baseline):
        assert given.groups.tolist() == [0, 1, 2, 0, 3, 2] and given.units == 4
        assert np.all(given.right)
