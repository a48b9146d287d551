"""Sets of labels in generated texts."""

import pytest

from stagewise.inference.label_sets import read_label_set, write_label_set

WORDS = ["joy", "no joy", "C#", "anger"]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("joy", ["joy"]),
        (" Anger,JOY \nand more", ["joy", "anger"]),
        ("no joy, joy, joy.", ["joy", "no joy"]),
        ("c#, anger", ["C#", "anger"]),
        ("none", []),
        ("None.", []),
        ("none, joy", None),
        ("joy, fear", None),
        ("joy,", None),
        ("joy anger", None),
        ("", None),
        (",", None),
    ],
)
def test_a_set_is_label_words_and_commas_or_the_word_for_none(text, labels):
    assert read_label_set(text, WORDS, "none") == labels


@pytest.mark.parametrize("labels", [[], ["joy"], ["joy", "anger"], WORDS])
def test_what_is_taught_is_read_back(labels):
    assert read_label_set(write_label_set(labels[::-1], WORDS, "nothing"), WORDS, "nothing") == labels
