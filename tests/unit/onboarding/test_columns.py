"""Forms of columns, by their values and names."""

import pytest

from stagewise.onboarding.columns import Column, is_number, name_words, named, prompt_text, variable, written_lists


def test_words_of_names():
    assert name_words("questionText2") == ["question", "text"]
    assert name_words("answers.text") == ["answers", "text"]
    assert name_words("étiquette_finale") == ["étiquette", "finale"] and name_words("文本1") == ["文本"]
    assert name_words("CONTEXTS") == ["contexts"]
    assert named("CONTEXTS", "context") and named("gold_label", "label", last=True)
    assert not named("label_id", "label", last=True) and named("hypothesis", "hypothesis")


@pytest.mark.parametrize("text", ["1", "-2.5", "1,000", "3.", "1e-4"])
def test_numbers(text):
    assert is_number(text)


@pytest.mark.parametrize("text", ["7,27", "1,00", "1.2.3", "", "."])
def test_texts_that_are_no_numbers(text):
    assert not is_number(text)


def test_kinds_of_values():
    assert Column("a", ["x", "y", None]).is_text and Column("a", [["x"], ["y", "z"]]).is_text
    assert Column("a", ["1", "2", ""]).is_whole and Column("a", [1.0, 2.0]).is_whole
    assert Column("a", ["1.5", "2"]).is_real and not Column("a", ["1.5", "x"]).is_numeric
    assert Column("a", [{"b": 1}, None]).is_mapping
    assert Column("a", ["x", None, " ", []]).share_empty == 0.75


def test_a_class_has_few_short_values_that_come_again():
    assert Column("a", ["x", "y"] * 5).is_class
    assert not Column("a", ["x"] * 5).is_class  # one value
    assert not Column("a", [f"text {n}" for n in range(10)]).is_class
    assert not Column("a", ["x" * 100, "y"] * 5).is_class


def test_a_value_in_a_prompt():
    assert prompt_text(["a", "b"]) == "a\nb" and prompt_text(3) == "3" and prompt_text("#NAME?") == ""


def test_names_of_variables():
    assert [variable(name) for name in ("Text", "answers.a", "My text!", "été", "_x")] == [
        "text",
        "answers_a",
        "my_text",
        "t",
        "x",
    ]
    assert variable("文本").startswith("field")


def test_lists_that_cells_hold_as_texts():
    assert written_lists(["['a', 'b']", '["c"]', ""]) == [["a", "b"], ["c"], None]
    assert written_lists(["[a", "['b']"]) == ["[a", "['b']"]
