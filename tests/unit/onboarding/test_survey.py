"""Fields, ids, groups, repeats and splits of a table."""

import pytest

from stagewise.errors import InputError
from stagewise.onboarding.files import Part, Table, flat
from stagewise.onboarding.survey import Choices, label_shares, survey


def look(rows: list[dict], choices: Choices | None = None, **parts):
    parts = {role: Part({}, role, [*map(flat, more)]) for role, more in ({"items": rows} | parts).items() if more}
    return survey(Table(parts, {"format": "jsonl"}), choices or Choices())


def rows(make=lambda n: {}, count: int = 40) -> list[dict]:
    return [{"text": f"text number {n}", "label": "ab"[n % 2], **make(n)} for n in range(count)]


def test_fields_are_the_columns_that_are_called_so():
    task = look(rows(lambda n: {"title": f"title {n}", "notes_of_staff": f"some {n}", "rationale": f"because {n}"}))
    assert task.fields == {"text": "text", "title": "title"} and "rationale" in task.left_out
    unnamed = look([{"a": f"some words {n}", "b": f"w {n}", "label": "ab"[n % 2]} for n in range(40)])
    assert unnamed.fields == {"a": "a"}  # the longest


def test_a_column_that_gives_the_answer_away_is_no_field():
    task = look(rows(lambda n: {"text_of_label": f"label {n}", "answer_text": f"answer {n}"}))
    assert task.fields == {"text": "text"}


def test_a_column_with_empty_cells_is_left_out():
    assert look(rows(lambda n: {"context": f"c {n}" if n % 2 else ""})).fields == {"text": "text"}
    assert look(rows(lambda n: {"context": f"c {n}"})).fields == {"text": "text", "context": "context"}


def test_the_users_columns_win():
    choices = Choices(label="other", fields=["Long Title", "text"], id="text")
    task = look(rows(lambda n: {"Long Title": f"t {n}", "other": "xy"[n % 2]}), choices)
    assert task.fields == {"long_title": "Long Title", "text": "text"} and task.answer.column == "other"
    assert task.id == "text"


def test_ids_are_unique_short_and_called_so():
    assert look(rows(lambda n: {"id": n})).id == "id"
    assert look(rows(lambda n: {"id": n % 9})).id is None
    assert look(rows(lambda n: {"id": f"a text {n}"})).id is None
    assert look(rows(lambda n: {"number": n})).id is None
    assert look(rows(lambda n: {"id": n}), Choices(id="")).id is None
    # Files may number their rows anew.
    parts = {"train": rows(lambda n: {"id": n}), "test": rows(lambda n: {"id": n, "text": f"other {n}"})}
    assert look([], **parts).id == "id"


def test_groups_are_suggested():
    assert look(rows(lambda n: {"patient_id": f"p{n // 3}"})).groups == ["patient_id"]
    assert look(rows(lambda n: {"patient_id": f"p{n}"})).groups == []


def test_a_column_of_splits_is_no_label():
    task = look(rows(lambda n: {"split": ["train", "test"][n % 2]}))
    assert task.split_column == "split" and task.answer.column == "label"


def test_repeats_are_counted_as_the_data_step_does():
    task = look([*rows(), {"text": "TEXT number  3!", "label": "b"}, {"text": "text number 4.", "label": "b"}])
    assert (task.repeats, task.conflicts) == (2, 1)


def test_rows_without_text_or_answer_are_not_counted():
    task = look([*rows(), {"text": "", "label": "a"}, {"text": "x", "label": None}, {"text": "#NAME?", "label": "a"}])
    assert len(task.rows) == 40


def test_rows_without_labels_are_items_of_several_labels():
    task = look([{"text": f"t {n}", "tags": [["a"], ["b", "a"], []][n % 3]} for n in range(30)])
    assert task.kind == "multi_label" and len(task.rows) == 30 and label_shares(task) == (10, 2)
    assert [task.answers(n) for n in range(3)] == [["a"], ["a", "b"], ["none"]]


def test_a_column_for_each_label():
    flags = {"toxic": [0, 1, 0], "very_rude": [0, 1, 1], "mean": [0, 0, 1]}
    task = look([{"text": f"t {n}", **{name: bits[n % 3] for name, bits in flags.items()}} for n in range(30)])
    assert task.kind == "multi_label" and task.answer.flags == tuple(flags) and task.fields == {"text": "text"}
    assert task.words == {"mean": "mean", "toxic": "toxic", "very_rude": "very rude"}
    assert task.answers(1) == ["toxic", "very rude"] and label_shares(task) == (10, 2)
    texts = [{"text": f"t {n}", **{name: str(float(bits[n % 3])) for name, bits in flags.items()}} for n in range(30)]
    assert look([row | {"none_of_them": "0.0"} for row in texts]).constant_flags == ["none_of_them"]
    assert look(texts).answers(1) == ["toxic", "very rude"]
    # With a column that is called the label, they are something else.
    other = look(rows(lambda n: {name: bits[n % 3] for name, bits in flags.items()}))
    assert other.kind == "classification" and other.answer.column == "label"


def test_the_answer_without_a_label_is_no_label():
    task = look([{"text": f"t {n}", "tags": [["none"], ["b", "none"], []][n % 3]} for n in range(30)])
    assert task.no_label == "nothing"


def test_the_one_element_of_each_list_is_a_label():
    one = look([{"text": f"t {n}", "gold": ["ab"[n % 2]]} for n in range(30)])
    assert (one.answer.column, one.kind) == ("gold.0", "classification")
    several = look([{"text": f"t {n}", "gold": ["ab"[n % 2]] * (1 + (n == 3)) + ["c"] * (n == 4)} for n in range(30)])
    assert (several.answer.column, several.kind) == ("gold", "multi_label")


def test_options_are_no_fields():
    make = {"question": "q", "options": ["x", "y"], "correct": "A"}
    task = look([make | {"question": f"q {n}", "correct": "AB"[n % 2]} for n in range(30)])
    assert task.kind == "multiple_choice" and task.fields == {"question": "question"} and task.labels == []
    assert task.option_lines[0] == "A. x\nB. y"


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        (Choices(label="lable"), "there is no column 'lable'; the files have text, label"),
        (Choices(kind="multiple_choice"), "no columns look like the options of an item"),
        (Choices(fields=["meta"]), "the column 'meta' holds no texts"),
    ],
)
def test_columns_that_do_not_fit(choices, sentence):
    with pytest.raises(InputError, match=sentence):
        look(rows(lambda n: {"meta": {"a": 1}}), choices)


def test_few_rows_are_refused():
    with pytest.raises(InputError, match="9 of 9 rows have a text and an answer, and a task needs 10"):
        look(rows(count=9))


def test_a_table_without_text_is_refused():
    with pytest.raises(InputError, match="no column with text is left for the prompt"):
        look([{"number": n, "label": "ab"[n % 2]} for n in range(30)])


def test_options_of_which_several_are_right_are_shown():
    def make(n):
        answers = {key: f"option {key} {n}" for key in "abc"}
        return {"question": f"what is {n}", "answers": answers, "correct_answers": ["a", "b", "c"][: 1 + n % 3]}

    task = look([make(n) for n in range(40)])
    assert task.kind == "multi_label" and task.shown_options == ["answers.a", "answers.b", "answers.c"]
    assert list(task.fields.values()) == ["question", *task.shown_options]


def test_a_path_into_lists_of_records_can_be_named():
    many = [{"text": f"question {n}", "answers": [{"text": f"river {n}", "start": n}]} for n in range(40)]
    with pytest.raises(InputError, match="lists of records; name the answer by its path, such as --label answers.text"):
        look(many)
    task = look(many, Choices(label="answers.text"))
    assert task.kind == "generation" and task.answers(3) == ["river 3"]
