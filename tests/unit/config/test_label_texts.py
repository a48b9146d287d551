"""Label words and values as texts."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagewise.config.label_texts import check_distinct, check_label_word, visible


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("\u3000", "empty"),
        ("red ", "'red '.* blanks at an end"),
        ("\u00a0red", "'<U.00A0>red' has blanks"),
        ("red\n", "line break"),
        ("no\nstress", "line break"),
        ("a\tb", "tab"),
        ("r\0ed", "NUL"),
        ("re\u200bd", "ZERO WIDTH SPACE"),
        ("re\u200dd", "ZERO WIDTH JOINER"),
        ("\u202ered", "RIGHT-TO-LEFT OVERRIDE"),
        ("so\u00adft", "SOFT HYPHEN"),
        ("\ufeffred", "ZERO WIDTH NO-BREAK SPACE"),
        ("a\u2028b", "LINE SEPARATOR"),
        ("\u3164", "HANGUL FILLER"),
        ("e\ufe0f", "VARIATION SELECTOR-16"),
        ("a\x7fb", "U.007F"),
        ("a\x9bb", "U.009B"),
        ("\U000e0041", "TAG LATIN CAPITAL LETTER A"),
    ],
)
def test_words_that_cannot_be_seen_whole_are_refused(word, named):
    with pytest.raises(ValueError, match=named) as error:
        check_label_word(word)
    assert "\n" not in str(error.value)
    assert all(character.isprintable() or character == "\u3000" for character in str(error.value))


@pytest.mark.parametrize(
    "word", ["yes", "no stress", "é", "e\u0301", "漢字", "نعم", "C++", "3", "👍", "ß", "a-b", "不 要"]
)
def test_words_that_can_be_seen_are_accepted(word):
    assert check_label_word(word) == word


@pytest.mark.parametrize(
    "words",
    [("yes", "yes"), ("yes", "Yes"), ("é", "e\u0301"), ("ﬁt", "fit"), ("a  b", "a b"), ("１", "1"), ("ß", "SS")],
)
def test_words_that_are_written_in_two_ways_are_refused(words):
    with pytest.raises(ValueError, match="given twice") as error:
        check_distinct(list(words), ["0", "1"])
    assert all(visible(word) in str(error.value) for word in words)


def test_values_come_from_data_where_case_counts():
    check_distinct(["p", "q", "r"], ["a", "A", "b"])
    check_distinct(["p", "q"], ["１", "1"])
    for values in (("a", "a"), ("é", "e\u0301"), ("a", "a "), ("\u212b", "\u00c5")):
        with pytest.raises(ValueError, match="label values? .* given twice"):
            check_distinct(["p", "q"], list(values))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(min_size=1, max_size=8))
def test_every_word_is_accepted_or_refused_with_its_visible_form(word):
    try:
        check_label_word(word)
    except ValueError as error:
        shown = str(error)
    else:
        shown = word
        assert word == word.strip() != ""
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") for character in shown)
