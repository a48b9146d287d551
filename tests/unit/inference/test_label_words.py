"""Label words that a model's tokenizer cannot tell apart, or that hold its control tokens."""

import pytest

from stagewise.config.training import Prompting
from stagewise.errors import InputError
from stagewise.inference.label_words import check_label_token_ids
from stagewise.inference.prompts import Encoder, Template
from tests.helpers.tokenizer_kinds import tokenizer_kinds

KINDS = tokenizer_kinds()


def encoder(kind: str, words: list[str], form: str, task: str | None = "mood") -> Encoder:
    return Encoder(KINDS[kind], Template("p.txt", "{text}?"), Prompting(format=form), words, 200, "text", task)


@pytest.mark.parametrize("form", ["chat", "plain"])
@pytest.mark.parametrize(
    ("kind", "words", "named"),
    [
        ("byte-level (GPT-2, Llama 3)", ["yes", "<|im_end|>"], ["'<|im_end|>'"]),
        ("byte-level (GPT-2, Llama 3)", ["no<think>", "yes"], ["'no<think>'", "'<think>'"]),
        ("unigram with an end (T5)", ["yes", "a</s>"], ["'a</s>'", "'</s>'"]),
        ("word pieces (BERT)", ["é", "e"], ["'é'", "'e'", "the same tokens"]),
        ("word pieces (BERT)", ["漢", "字"], ["'漢'", "'字'", "the same tokens"]),
        ("word pieces (BERT)", ["Yes", "yes"], ["'Yes'", "'yes'", "the same tokens"]),
    ],
)
def test_words_that_the_model_cannot_answer_are_refused(kind, words, named, form):
    with pytest.raises(InputError) as error:
        encoder(kind, words, form)
    assert str(error.value).startswith("tasks.mood.labels: the label word")
    assert all(text in str(error.value) for text in named) and "\n" not in str(error.value)


def test_a_word_that_is_nothing_to_the_model_is_refused():
    with pytest.raises(InputError, match="'x' has no token in this model"):
        check_label_token_ids("tasks.mood.labels", {"yes": [5, 2], "x": [2]}, 1)


def test_a_word_that_begins_another_is_told_apart_by_its_end():
    words = ["no", "no stress", "No"]
    for kind in KINDS:
        if "BERT" not in kind:
            answers = encoder(kind, words[:2], "chat").label_token_ids
            assert answers[0] != answers[1][: len(answers[0])]
    assert len(encoder("byte-level (GPT-2, Llama 3)", words, "chat").label_token_ids) == 3


def test_an_answer_that_begins_another_up_to_its_end_is_refused():
    with pytest.raises(InputError, match="'a' and 'ab' begin alike up to the end of the first"):
        check_label_token_ids("tasks.mood.labels", {"a": [4, 2], "ab": [4, 2, 5]}, 0)


def test_without_a_task_the_prompt_file_is_named():
    with pytest.raises(InputError, match=r"^p\.txt: the label word"):
        encoder("word pieces (BERT)", ["e", "é"], "chat", None)
