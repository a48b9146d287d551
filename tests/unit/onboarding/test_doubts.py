"""Doubts that are said where a guess would change results."""

import pytest

from stagewise.onboarding.doubts import doubts
from stagewise.onboarding.files import Part, Table, flat
from stagewise.onboarding.survey import Choices, survey


def doubts_about(make, count: int = 60, choices: Choices | None = None) -> list[str]:
    rows = [flat({"text": f"text number {n}", "label": "ab"[n % 2], **make(n)}) for n in range(count)]
    return doubts(survey(Table({"items": Part({}, "items", rows)}, {"format": "jsonl"}), choices or Choices()))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda n: {"label": ["yes", "no", "NA"][n % 3]}, "the label 'NA' (20 rows) may stand for a missing one"),
        (lambda n: {"label": ["0", "1", "None"][n % 3]}, "the label 'None' (20 rows) may stand for a missing one"),
        (
            lambda n: {"label": "postive" if n == 7 else ["positive", "negative"][n % 2]},
            "the label 'postive' (1 row) is spelt almost as 'positive' (30)",
        ),
        (lambda n: {"label": n % 2}, "the model is to answer with bare numbers"),
        (lambda n: {"id": n // 2}, "'id' is no id, because its values repeat, are empty or of several"),
        (
            lambda n: {"label": "a text longer than what a label is " * 3 + "abc"[n % 3]},
            "'label' has 3 texts that come again; if they are labels, --kind classification",
        ),
        (lambda n: {"remarks": f"a remark that is rather long {n}"}, "the prompt has no 'remarks'; --fields names"),
    ],
)
def test_doubts(make, sentence):
    (doubt,) = doubts_about(make)
    assert doubt.startswith(sentence)


def test_no_doubt_without_a_reason():
    for make in (
        lambda n: {"id": n},
        lambda n: {"label": f"type {n % 3}" if n else "type 9"},  # numbers tell labels apart
        lambda n: {"label": ["favour", "against", "None"][n % 3]},
        lambda n: {"stars": n % 5 + 1, "label": None},
        lambda n: {"explanation": f"because of something {n}"},
    ):
        assert doubts_about(make) == []


def test_places_that_may_count_from_0():
    def make(n):
        return {"options": ["rain", "sun", "snow"], "answer": 1 + n % 2, "label": None}

    assert any("no item has the gold place 0 in 'answer'" in doubt for doubt in doubts_about(make))


def test_doubts_are_printed_and_written(files, capsys):
    rows = files.rows(lambda n: {"text": files.text(), "label": n % 2})
    assert files.init(files.csv("mine.csv", rows)) == 0
    assert "check  the model is to answer with bare numbers; write in" in capsys.readouterr().out
    assert "# Check: the model is to answer with bare numbers; write in" in files.comments("mine")
