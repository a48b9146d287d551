"""Options of each item, and the one that is right."""

import pytest

from stagewise.errors import InputError
from stagewise.onboarding.columns import Column
from stagewise.onboarding.files import flat
from stagewise.onboarding.options import find_options

TEXTS = ["green tea", "black bread", "a river", "the open window", "seven lamps"]


def columns(rows: list[dict]) -> dict[str, Column]:
    rows = [flat(row) for row in rows]
    return {name: Column(name, [row.get(name) for row in rows]) for name in dict.fromkeys(n for r in rows for n in r)}


def items(make, count: int = 40) -> dict[str, Column]:
    return columns([{"question": f"question {n}", **make(n)} for n in range(count)])


@pytest.mark.parametrize(
    ("make", "expected", "gold", "label"),
    [
        (lambda n: {"options": TEXTS, "correct": "ABCDE"[n % 5]}, ["options"], "letter", "correct"),
        (lambda n: {"options": TEXTS, "answer": TEXTS[n % 5]}, ["options"], "text", "answer"),
        (lambda n: {"endings": TEXTS, "label": n % 5}, ["endings"], "index", "label"),
        (lambda n: {"endings": TEXTS, "label": 1 + n % 5}, ["endings"], "number", "label"),
        (
            lambda n: {"answers": dict(zip("abc", TEXTS, strict=False)), "correct": "abc"[n % 3]},
            ["answers"],
            "letter",
            "correct",
        ),
        (
            lambda n: {"answers": dict(zip(["k1", "k2"], TEXTS, strict=False)), "gold": f"k{1 + n % 2}"},
            ["answers"],
            "key",
            "gold",
        ),
        (
            lambda n: (
                {"choices": {"text": TEXTS[:4], "label": [*"1234"] if n % 2 else [*"ABCD"]}}
                | {"answerKey": ("1234" if n % 2 else "ABCD")[n % 4]}
            ),
            ["choices"],
            "key",
            "answerKey",
        ),
        (
            lambda n: {"opa": "x y", "opb": "z w", "opc": "" if n % 2 else "v", "cop": 1 + n % 2},
            ["opa", "opb", "opc"],
            "number",
            "cop",
        ),
        (lambda n: {"choice1": "x y", "choice2": "z w", "label": n % 2}, ["choice1", "choice2"], "index", "label"),
        (lambda n: {"A": "x", "B": "y", "C": "z", "answer": "ABC"[n % 3]}, ["A", "B", "C"], "letter", "answer"),
    ],
)
def test_forms(make, expected, gold, label):
    chosen = find_options(items(make), [], None)
    assert (chosen.columns, chosen.gold, chosen.label) == (expected, gold, label)


def test_numbers_of_options_vary():
    chosen = find_options(items(lambda n: {"options": TEXTS[: 2 + n % 4], "correct": "AB"[n % 2]}), [], None)
    assert (chosen.fewest, chosen.most) == (2, 5)


def test_places_that_may_count_from_0_or_1_are_doubtful():
    chosen = find_options(items(lambda n: {"options": TEXTS, "label": 1 + n % 3}), [], None)
    assert (chosen.gold, chosen.is_doubtful) == ("number", True)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: {"sections": TEXTS[:3], "label": n % 2},  # no options: another list, and a class
        lambda n: {"tags": TEXTS[:2], "text": "x"},
        lambda n: {"options": TEXTS, "answer": "Z"},
    ],
)
def test_lists_that_are_no_options(make):
    assert find_options(items(make), [], None) is None


def test_named_columns_without_a_right_one_are_refused():
    with pytest.raises(InputError, match="--options options: no column tells which of these options is right"):
        find_options(items(lambda n: {"options": TEXTS}), ["options"], None)


def test_more_options_than_letters_are_refused():
    many = [f"option {n}" for n in range(27)]
    with pytest.raises(InputError, match="'options' has more options in row 1 than the 26 letters"):
        find_options(items(lambda n: {"options": many, "answer": "A"}), [], None)
