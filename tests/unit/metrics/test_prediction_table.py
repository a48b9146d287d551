"""Prediction files of every kind of task, and groups of items that vary together."""

import csv

import numpy as np
import pytest

from stagewise.errors import InputError
from stagewise.measures import measures_of
from stagewise.metrics.baselines import fit_baseline
from stagewise.metrics.prediction_table import AnswerFormat, group_codes, read_predictions
from stagewise.metrics.schema import MAJORITY
from stagewise.predictions.prediction_files import gold_cell
from tests.helpers.drawn_predictions import predictions
from tests.helpers.fake_results import write_answers

GROUPED = [7, None, 3, 7, None, 3]


KINDS = {
    "multi_label": (AnswerFormat(["a", "b"], "multi_label", "jaccard"), {"label": "a, b", "labels": ["a", "b"]}),
    "multiple_choice": (AnswerFormat(["A", "B", "C"], "multiple_choice"), {"label": "A", "options": 2}),
    "generation": (AnswerFormat([], "generation", "token_f1"), {"label": "a text", "references": ["a text"]}),
}
LOGS = dict(zip(("logprob:A", "logprob:B", "logprob:C"), (-0.5, -1, "-inf"), strict=True))
SCORES = {f"score:{name}": 0.5 for name in measures_of("generation")}


def read(tmp_path, kind: str, **columns):
    """Read a file of one row."""
    form, item = KINDS[kind]
    item = item | {"id": "0", "fields": {}}
    row = {"id": "0", "task": "t", "split": "test", "label": gold_cell(item), "valid": True} | columns
    path = tmp_path / "t.test.csv"
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(row))
        writer.writeheader()
        writer.writerow(row)
    return read_predictions(path, "t", "test", form, [item])


@pytest.mark.parametrize(
    ("text", "valid", "expected"),
    [
        ("a, b", True, [True, True]),
        ("b", True, [False, True]),
        ("none", True, [False, False]),
        ("", False, [False] * 2),
    ],
)
def test_several_labels_are_a_set(tmp_path, text, valid, expected):
    given = read(tmp_path, "multi_label", prediction=text, valid=valid)
    assert (given.answer.tolist(), given.is_valid.tolist()) == ([expected], [valid])
    assert given.right.tolist() == [text == "a, b"]


def test_options_that_an_item_lacks_have_no_probability(tmp_path):
    given = read(tmp_path, "multiple_choice", prediction="B", **LOGS)
    assert given.answer.tolist() == [1] and given.logprobs.tolist() == [[-0.5, -1, -np.inf]]


def test_a_text_has_a_score_by_every_measure(tmp_path):
    given = read(tmp_path, "generation", prediction="some text\nof two lines", **SCORES)
    assert {name: scores.tolist() for name, scores in given.item_scores.items()} == dict.fromkeys(
        measures_of("generation"), [0.5]
    )
    assert given.right is None and given.answer.tolist() == ["some text\nof two lines"]


@pytest.mark.parametrize(
    ("kind", "columns", "problem"),
    [
        ("multi_label", {"prediction": "b, a"}, "prediction 'b, a' with valid 'True' is neither labels out of a, b"),
        ("multi_label", {"prediction": "a, c"}, "is neither labels"),
        ("multi_label", {"prediction": ""}, "is neither labels"),
        ("multi_label", {"prediction": "a", "valid": False}, "is neither labels"),
        ("multi_label", {"prediction": "a", "label": "a"}, "label is 'a' where t's test split has 'a, b'"),
        ("multiple_choice", {"prediction": "B", **LOGS, "logprob:C": -3}, "of more than the item's 2 options"),
        ("multiple_choice", {"prediction": "B", **LOGS, "logprob:A": "nan"}, "are not those of labels"),
        ("generation", {"prediction": "x", **SCORES, "score:rouge_l": 1.5}, "score:rouge_l is '1.5', not from 0 to 1"),
        ("generation", {"prediction": "x", **SCORES, "score:rouge_l": "nan"}, "not from 0 to 1"),
        ("generation", {"prediction": "x", **SCORES, "score:rouge_l": ""}, "score:rouge_l is '', not a number"),
        ("generation", {"prediction": "x"}, "the column 'score:exact_match' is missing"),
        ("generation", {"prediction": "x", **SCORES, "label": "a text"}, "the predictions are of other items"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, kind, columns, problem):
    with pytest.raises(InputError) as error:
        read(tmp_path, kind, **columns)
    assert problem in str(error.value) and str(error.value).endswith("run the prediction step again")


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
    baseline = fit_baseline(MAJORITY, split, AnswerFormat(["yes", "no"]))(split)
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
