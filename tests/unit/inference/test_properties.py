"""Properties of the parsers of answers and of the renderer of prompts, on any text."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stagewise.config.training import Prompting
from stagewise.inference.generation import option_letters, parse_published, parse_strict
from stagewise.inference.prompts import Encoder, Template
from tests.helpers import properties  # noqa: F401
from tests.helpers.tiny_llama import build_tokenizer

texts = st.text(max_size=40)
words = st.text(st.sampled_from("abcXYZ ßé-#.!1"), min_size=1, max_size=8).filter(
    lambda word: word == word.strip() and any(map(str.isalnum, word))
)
labels = st.lists(words, min_size=2, max_size=4, unique_by=str.casefold)


@given(labels=labels, text=texts, after=texts)
def test_a_strict_answer_is_a_label_word_alone_on_its_line(labels, text, after):
    assert parse_strict(text, labels) in {*labels, None}
    for word in labels:
        for cased in (word, word.lower(), word.casefold()):
            assert parse_strict(f" \n{cased} ", labels) == word
        assert parse_strict(f"{word}\n{after}", labels) == word
        if f"{word}.".casefold() not in [other.casefold() for other in labels]:
            assert parse_strict(f"{word}.", labels) == word
        assert parse_strict(f"{word} because", labels) is None


@given(labels=labels, text=texts, after=st.text(" \n.,;", max_size=5))
def test_a_published_answer_is_the_label_that_the_text_begins_with(labels, text, after):
    letters = option_letters(text, labels)
    assert set(letters.values()) <= set(labels)
    assert parse_published(text, labels, letters) in {*labels, None}

    def split(word):
        return "".join(c if c.isalnum() else " " for c in word.casefold()).split()

    for word in labels:
        # Two labels of the same words cannot be told apart; of labels that begin alike the longest is read.
        assume(sum(split(other) == split(word) for other in labels) == 1)
        assert parse_published(f"{after}{word}{after}", labels, {}) == word


@given(labels=st.lists(words, min_size=2, max_size=5, unique_by=str.casefold))
def test_options_of_a_prompt_are_its_letters(labels):
    listed = "\n".join(f"{letter}. {word}" for letter, word in zip(string.ascii_uppercase, labels, strict=False))
    expected = dict(zip(string.ascii_lowercase, labels, strict=False))
    assert option_letters(f"Which one?\n{listed}\nAnswer:", labels) == option_letters("Which?", labels) == expected


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@given(before=texts, field=texts, question=texts)
def test_a_prompt_holds_every_text_as_it_is(tmp_path_factory, before, field, question):
    path = tmp_path_factory.mktemp("prompt") / "p.txt"
    escaped = before.replace("{", "{{").replace("}", "}}")
    path.write_bytes(f"{escaped}{{text}} {{question}}\n".encode())
    # Python reads any line ending as \n.
    before = before.replace("\r\n", "\n").replace("\r", "\n")
    template = Template.read(path, ["question", "text"])
    assert template.fields == ["text", "question"]
    assert template.fill({"text": field, "question": question}) == f"{before}{field} {question}"


@given(text=texts, room=st.integers(40, 80), form=st.sampled_from(["chat", "plain"]))
def test_a_prompt_fits_and_loses_only_the_end_of_its_field(tokenizer, text, room, form):
    encoder = Encoder(
        tokenizer, Template("p", "Text: {text} Answer:"), Prompting(format=form), ["yes", "no"], room, "text"
    )
    ids, shortened = encoder.encode_prompt({"id": "1", "fields": {"text": text}})
    assert len(ids) + max(map(len, encoder.label_token_ids)) <= room
    assert (ids, shortened) == encoder.encode_prompt({"id": "1", "fields": {"text": text}})
    shown = tokenizer.decode(ids)
    start, end = shown.index("Text: ") + len("Text: "), shown.rindex(" Answer:")
    kept = shown[start:end]
    if shortened:
        # Where a cut falls into a character of several bytes, that character is left out.
        assert text.startswith(kept)
        assert len(kept) < len(text)
    else:
        assert kept == text
