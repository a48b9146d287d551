"""The column with the answer, its kind, and its label words."""

from datetime import datetime

import pytest

from stagewise.errors import InputError
from stagewise.onboarding.answers import find_answer, label_counts, label_form, looks_like_scale, separator_of
from stagewise.onboarding.columns import Column

TEXT = Column("text", [f"text number {n}" for n in range(60)])


def cycle(name: str, values: list) -> Column:
    return Column(name, [values[n % len(values)] for n in range(60)])


def table(*columns: Column) -> dict[str, Column]:
    return {column.name: column for column in (TEXT, *columns)}


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (cycle("label", ["a", "b"]), "classification"),
        (cycle("label", [0, 1, 2]), "classification"),
        (cycle("label", [True, False]), "classification"),
        (cycle("stars", [1, 2, 3, 4, 5]), "ordinal"),
        (cycle("stars", [1, 2, 4, 9]), "classification"),  # no row of numbers
        (cycle("tags", [["a"], ["a", "b"], []]), "multi_label"),
        (cycle("tags", ["a", "a; b", "b; c", "c"]), "multi_label"),
        (cycle("emotions", ["7,27", "27", "7", "4,7"]), "multi_label"),
        (cycle("codes", ["7 27", "27", "7", "4 7"]), "multi_label"),
        (cycle("intents", ["book flight", "book", "flight", "book car"]), "classification"),
        (Column("created", [datetime(2020, 1, 1 + n % 9) for n in range(60)]), None),
        (Column("summary", [f"a longer text {n}" for n in range(60)]), "generation"),
        (Column("answers", [[f"one {n}", f"two {n}"] for n in range(60)]), "generation"),
        (Column("answer", [n * 37 for n in range(60)]), "generation"),
        (Column("score", [n / 7 for n in range(60)]), "regression"),
        (cycle("label", ["a"]), None),
        (Column("label", [None] * 60), None),
        (Column("label", [{"a": 1}] * 60), None),
    ],
)
def test_kinds(column, kind):
    assert label_form(column) == kind


def test_names_decide_between_columns():
    other, time = cycle("weekday", ["mon", "tue", "wed"]), cycle("label_confidence", [0.5, 1.0])
    answer = find_answer(table(other, cycle("topic", ["a", "b"]), time), None, None)
    assert (answer.column, answer.kind, answer.is_named) == ("topic", "classification", True)
    unnamed = find_answer(table(other), None, None)
    assert (unnamed.column, unnamed.is_named) == ("weekday", False)


def test_lists_beside_other_lists_are_no_labels():
    sections = Column("contexts", [[f"s{n}", f"t{n}"][: 1 + n % 2] for n in range(60)])
    names = Column("labels", [["BACKGROUND", "METHODS"][: 1 + n % 2] for n in range(60)])
    assert find_answer(table(sections, names, cycle("decision", ["yes", "no"])), None, None).column == "decision"


def test_a_text_label_comes_before_its_number():
    answer = find_answer(table(cycle("label", [0, 1]), cycle("label_text", ["bad", "good"])), None, None)
    assert answer.column == "label_text" and "label" in answer.others


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ([Column("score", [n / 7 for n in range(60)])], "regression is not supported; store ranges as labels"),
        ([cycle("label", ["a"])], "the column 'label' has one label alone; a task has two"),
        ([Column("turns", [[{"role": "user"}]] * 60)], "the column 'turns' holds lists of records"),
        ([], "no column looks like an answer"),
    ],
)
def test_what_is_not_supported_has_its_sentence(columns, sentence):
    with pytest.raises(InputError, match=sentence):
        find_answer(table(*columns), None, None)


@pytest.mark.parametrize(
    ("column", "kind", "sentence"),
    [
        (Column("label", [None] * 60), None, "'label' is empty"),
        (Column("label", [{"a": 1}] * 60), None, "'label' holds records, which are no answers"),
        (Column("label", [["a"]] * 60), "classification", "'label' holds lists, which are no answers for kind"),
        (cycle("label", ["a"]), None, "'label' has one label alone"),
    ],
)
def test_a_named_column_that_cannot_be_the_answer(column, kind, sentence):
    with pytest.raises(InputError, match=sentence):
        find_answer(table(column), "label", kind)


def test_the_users_kind_wins():
    assert find_answer(table(cycle("label", ["a", "b"])), None, "generation").kind == "generation"
    assert find_answer(table(cycle("label", [1, 2, 3])), None, "ordinal").kind == "ordinal"


def test_separators():
    assert separator_of(cycle("tags", ["a", "a, b", "b, c", "c"])) == ", "
    assert separator_of(cycle("tags", ["a", "a,b", "b,c", "c"])) == ","
    assert separator_of(cycle("label", ["Sports, outdoors", "Books"])) is None  # a comma inside one label
    assert separator_of(cycle("n", ["1,000", "2,000", "3"])) is None


def test_labels_are_counted_and_readable():
    labels = label_counts(cycle("category", ["card_arrival", "card_arrival", "Lost  card"]))
    assert [(label.value, label.word, label.rows) for label in labels] == [
        ("card_arrival", "card arrival", 40),
        ("Lost  card", "Lost card", 20),
    ]


def test_words_that_would_be_one_stay_as_they_are():
    words = [label.word for label in label_counts(cycle("category", ["card_lost", "card lost?", "card-lost"]))]
    assert words == ["card lost", "card lost?", "card-lost"] or len(set(words)) == 3
    assert [x.word for x in label_counts(cycle("c", ["a_b", "a__b"]))] == ["a__b", "a_b"]


def test_order_of_labels():
    assert [x.value for x in label_counts(cycle("label", [10, 9, 1]))] == ["1", "9", "10"]
    assert [x.value for x in label_counts(cycle("level", ["high", "low", "medium"]))] == ["low", "medium", "high"]


def test_whole_numbers_are_words_without_a_point():
    assert [(x.value, x.word) for x in label_counts(cycle("label", ["1.0", "0.0"]))] == [("0.0", "0"), ("1.0", "1")]


def test_names_of_classes_are_words():
    column = Column("label", [0, 1] * 30, ("bad", "very_good"))
    assert [(x.value, x.word) for x in label_counts(column)] == [("0", "bad"), ("1", "very good")]


def test_words_of_several_labels_hold_no_comma():
    words = [x.word for x in label_counts(cycle("tags", [["a, b"], ["c"]]))]
    assert words == ["a b", "c"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([f"l{n // 3}" for n in range(1800)], "600 labels, above 500; merge them, or take --kind generation"),
        (["a", "a "] * 30, "'a' and 'a ' differ in case or blanks alone; write them alike in the file"),
        (["Yes", "yes", "no"] * 20, "'Yes' and 'yes' differ in case"),
        (["a\u200b", "b"] * 30, "holds U\\+200B"),
    ],
)
def test_labels_that_are_refused(values, sentence):
    with pytest.raises(InputError, match=sentence):
        label_counts(Column("label", values))


def test_scales_are_suggested():
    assert looks_like_scale(cycle("label", ["low", "high", "medium"])) and looks_like_scale(cycle("label", [0, 1, 2]))
    assert looks_like_scale(cycle("rating", ["1 star", "2 stars", "3 stars"]))
    assert looks_like_scale(cycle("score", [0.0, 0.5, 1.0]))
    assert not looks_like_scale(cycle("label", ["cat", "dog", "cow"])) and not looks_like_scale(cycle("label", [0, 1]))


def test_lists_of_references_may_have_places_beside_them():
    texts = [[f"river {n}", f"bank {n}"][: 1 + n % 2] for n in range(60)]
    places = [[n, n + 1][: 1 + n % 2] for n in range(60)]
    answer = find_answer(table(Column("answers.text", texts), Column("answers.start", places)), None, None)
    assert (answer.column, answer.kind) == ("answers.text", "generation")


def test_a_label_for_each_token_is_not_supported():
    tokens = Column("tokens", [["a", "river", "sings"][: 2 + n % 2] for n in range(60)])
    tags = Column("ner_tags", [[0, 1, 0][: 2 + n % 2] for n in range(60)])
    with pytest.raises(InputError, match="'ner_tags' holds a label for each element of 'tokens', and labelling tokens"):
        find_answer({"tokens": tokens, "ner_tags": tags}, None, None)
