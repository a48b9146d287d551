"""Groups of items that vary together, from split files to predictions."""

import numpy as np
import pytest

from stagewise.errors import InputError
from stagewise.metrics.baselines import fit_baseline
from stagewise.metrics.prediction_table import AnswerFormat, group_codes, read_predictions
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
    answers = read_predictions(tmp_path / "t.test.csv", "t", "test", AnswerFormat(["yes", "no"]), split)
    baseline = fit_baseline(MAJORITY, split, ["yes", "no"])(split)
    for given in (answers, baseline):
        assert given.groups.tolist() == [0, 1, 2, 0, 3, 2] and given.units == 4
        assert np.all(given.right)


@pytest.mark.parametrize("valid", ["true", "True", "false", "False", "", "yes"])
@pytest.mark.parametrize("prediction", ["yes", "no", "", "other"])
def test_an_answer_is_a_valid_label_or_an_empty_invalid_one(tmp_path, valid, prediction):
    path = tmp_path / "t.test.csv"
    header, row = "id,task,split,label,prediction,valid,logprob:yes,logprob:no", f"0,t,test,yes,{prediction},{valid},,"
    path.write_text(f"{header}\n{row}\n", encoding="utf-8")
    expected = {
        ("true", "yes"): 0,
        ("true", "no"): 1,
        ("false", ""): 2,
    }.get((valid.lower(), prediction))
    if expected is None:
        with pytest.raises(InputError) as error:
            read_predictions(path, "t", "test", AnswerFormat(["yes", "no"]), items([None]))
        assert str(error.value).startswith(f"{path}: row 1: prediction '{prediction}' with valid '{valid}' is neither")
    else:
        assert read_predictions(path, "t", "test", AnswerFormat(["yes", "no"]), items([None])).answer.tolist() == [
            expected
        ]
