"""Options of multiple-choice items, whatever the file calls them and the right one."""

import json

import pytest

from tests.helpers.data_step import make_task, run_data_step
from tests.helpers.refusals import check_refusal
from tests.helpers.tiny_data import make_rows, write_csv, write_jsonl

SPLITS = ("train", "validation", "test")
TEXTS = ["red", "green", "blue"]


def choice_task(tmp_path, rows: list[dict], columns="options", gold="letter", most=4, **changes) -> dict:
    return make_task(
        {"items": write_jsonl(tmp_path / "raw.jsonl", rows)},
        reader={"format": "jsonl"},
        kind="multiple_choice",
        labels=[],
        options={"columns": columns, "gold": gold, "most": most},
        **changes,
    )


def every_item(done) -> dict[str, dict]:
    assert done.code == 0, done.error
    return {item["id"]: item for split in SPLITS for item in done.items(split)}


FORMS = {
    "letter": lambda place: "ABC"[place],
    "index": lambda place: place,
    "number": lambda place: place + 1,
    "key": lambda place: "xyz"[place],
    "text": lambda place: TEXTS[place],
}
MAPPINGS = {
    "mapping": lambda n: {"options": dict(zip("xyz", TEXTS, strict=True))},
    "label and text": lambda n: {"options": {"label": list("xyz"), "text": TEXTS}},
    "records": lambda n: {"options": [{"label": key, "text": text} for key, text in zip("xyz", TEXTS, strict=True)]},
}
LISTS = {
    "list": lambda n: {"options": TEXTS},
    "list as JSON": lambda n: {"options": json.dumps(TEXTS)},
    "list as Python": lambda n: {"options": str(TEXTS)},
    "columns": lambda n: dict(zip(("x", "y", "z", "w"), [*TEXTS, None], strict=True)),
}
SHAPES = [(shape, make, form) for shape, make in MAPPINGS.items() for form in FORMS]
SHAPES += [(shape, make, form) for shape, make in LISTS.items() for form in FORMS if form != "key"]
SHAPES += [("columns", LISTS["columns"], "key")]


@pytest.mark.parametrize(("shape", "make", "form"), SHAPES, ids=[f"{shape}, {form}" for shape, _, form in SHAPES])
def test_options_are_listed_with_letters_and_the_right_one_is_a_letter(tmp_path, capsys, shape, make, form):
    rows = [row | make(n) | {"label": FORMS[form](n % 3)} for n, row in enumerate(make_rows(15))]
    columns = ["x", "y", "z", "w"] if shape == "columns" else "options"
    items = every_item(run_data_step(tmp_path, capsys, choice_task(tmp_path, rows, columns, form)))
    assert len(items) == 15
    for number in range(15):
        item = items[f"i{number}"]
        assert item["label"] == "ABC"[number % 3] and item["options"] == 3
        assert item["fields"] == {"text": f"text number {number}", "options": "A. red\nB. green\nC. blue"}


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (["A)5", "B) 6", "C)  7 "], "A. 5\nB. 6\nC. 7"),
        (["A)A)5", "B)B)6"], "A. 5\nB. 6"),
        (["(a) x", "(b) y"], "A. x\nB. y"),
        (["A. x", "B: y"], "A. x\nB. y"),
        (["A) x", "y"], "A. A) x\nB. y"),
        (["A) x", "C) y"], "A. A) x\nB. C) y"),
        (["Apples", "Bananas"], "A. Apples\nB. Bananas"),
        (["two\nlines", "one"], "A. two lines\nB. one"),
        ([1, 2.5], "A. 1\nB. 2.5"),
    ],
)
def test_letters_of_their_own_are_taken_off_where_every_option_has_its_letter(tmp_path, capsys, raw, lines):
    rows = make_rows(15, options=raw, label="A")
    assert every_item(run_data_step(tmp_path, capsys, choice_task(tmp_path, rows)))["i3"]["fields"]["options"] == lines


def test_items_may_have_different_numbers_of_options(tmp_path, capsys):
    rows = make_rows(20, options=lambda n: TEXTS[: 2 + n % 2] + [None, ""], label="(b)")
    done = run_data_step(tmp_path, capsys, choice_task(tmp_path, rows, most=5))
    items = every_item(done)
    assert [items[f"i{n}"]["options"] for n in range(4)] == [2, 3, 2, 3]
    assert {item["label"] for item in items.values()} == {"B"}, "letters that no item has as gold are fine"
    assert done.summary["tasks"]["t"]["splits"]["test"]["labels"] == {"A": 0, "B": 4, "C": 0, "D": 0, "E": 0}


def test_a_row_that_is_no_question_is_set_aside_with_its_reason(tmp_path, capsys):
    rows = make_rows(20, options=TEXTS, label="A")
    changes = {
        0: {"label": "D"},
        1: {"label": ""},
        2: {"label": "AB"},
        3: {"options": ["one"]},
        4: {"options": ["one", "", "three"]},
        5: {"options": "no list"},
        6: {"label": ["A", "B"]},
        7: {"label": ["B"]},
        8: {"options": ["#REF!", "x"]},
        9: {"options": None},
    }
    for number, change in changes.items():
        rows[number] |= change
    done = run_data_step(tmp_path, capsys, choice_task(tmp_path, rows))
    assert every_item(done)["i7"]["label"] == "B"
    assert [(item_id, reason) for _, _, item_id, reason in done.set_aside()] == [
        ("i0", "gold is none of the options"),
        ("i1", "empty label"),
        ("i2", "gold is none of the options"),
        ("i3", "fewer than two options"),
        ("i4", "empty option"),
        ("i5", "fewer than two options"),
        ("i6", "more than one right option"),
        ("i8", "unreadable text"),
        ("i9", "fewer than two options"),
    ]


def test_more_options_than_letters_are_refused(tmp_path, capsys):
    rows = make_rows(20, options=TEXTS, label="A")
    done = run_data_step(tmp_path, capsys, choice_task(tmp_path, rows, most=2))
    check_refusal(done.code, done.error, "raw.jsonl: row 1: 3 options, but options.most is 2; raise it")


@pytest.mark.parametrize(
    ("gold", "labels", "says"),
    [
        ("index", (1, 2, 3), "options.gold: 'index' counts from 0, but no row has 0 and 10 rows have the number"),
        ("number", (0, 1, 2), "options.gold: 'number' counts from 1, but 10 rows have 0 in the column 'label'"),
        ("letter", ("1", "2"), "all 30 rows were set aside (gold is none of the options in 'label': 30); the column"),
        ("key", ("A",), "the column 'label' has 'A' (30 rows): correct the data"),
    ],
)
def test_a_gold_label_in_another_form_than_declared_is_refused(tmp_path, capsys, gold, labels, says):
    """Counting from the wrong number would shift every answer by one, and set few rows aside."""
    rows = make_rows(30, options=TEXTS, label=lambda n: labels[n % len(labels)])
    done = run_data_step(tmp_path, capsys, choice_task(tmp_path, rows, gold=gold))
    check_refusal(done.code, done.error, "tasks.t", says)


def test_questions_with_the_same_text_and_other_options_are_no_duplicates(tmp_path, capsys):
    rows = make_rows(20, text="Which of these?", options=lambda n: [f"this {n}", f"that {n}"], label="A")
    settings = choice_task(tmp_path, rows)
    assert len(every_item(run_data_step(tmp_path, capsys, settings))) == 20
    done = run_data_step(tmp_path, capsys, settings | {"identity": ["text"]})
    check_refusal(done.code, done.error, "repeat an earlier text of their split")


def test_options_of_a_table_are_columns(tmp_path, capsys):
    rows = make_rows(20, opa="x", opb="y", opc=lambda n: "z" * (n % 2), label=lambda n: n % 2)
    settings = choice_task(tmp_path, rows, ["opa", "opb", "opc"], "index")
    write_csv(tmp_path / "raw.csv", rows)
    settings["sources"]["made"] = {"reader": {"format": "csv"}, "files": {"items": {"path": str(tmp_path / "raw.csv")}}}
    items = every_item(run_data_step(tmp_path, capsys, settings))
    assert items["i0"]["fields"]["options"] == "A. x\nB. y" and items["i1"]["options"] == 3


@pytest.mark.parametrize(
    ("label", "gold", "forms"),
    [(1, "letter", "index or number"), ("B", "index", "letter or key"), ("green", "letter", "text or key")],
)
def test_a_gold_label_of_another_form_is_named(tmp_path, capsys, label, gold, forms):
    rows = [row | {"options": TEXTS, "label": label} for row in make_rows(20)]
    done = run_data_step(tmp_path, capsys, choice_task(tmp_path, rows, gold=gold))
    check_refusal(done.code, done.error, f"or set tasks.t.options.gold to {forms}")
