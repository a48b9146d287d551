"""Greedy generation independent of batching, and the two readings of what was written."""

import pytest
import torch

from stagewise.inference import generation
from stagewise.models.load import load_base, load_tokenizer

YES_NO = ["yes", "no", "maybe"]
STRESS = ["No Stress", "Stress"]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("yes", "yes"),
        (" Yes.\n\nBecause the trial", "yes"),
        ("NO!", "no"),
        ("\n\nmaybe \n", "maybe"),
        ("yes..", None),
        ("yes, it does", None),
        ("No Stress", None),
        ("A", None),
        ("", None),
        ("   ", None),
        ("Answer: yes", None),
        (".", None),
    ],
)
def test_strict_reading(text, label):
    assert generation.parse_strict(text, YES_NO) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("No Stress", "no"),  # the published mistake
        ("Yes, because", "yes"),
        ("**Maybe**", "maybe"),
        ("I think no.", "no"),
        ("B", "no"),
        ("(C) ", "maybe"),
        ("B. Yes", "yes"),  # a word counts before a letter
        ("Unknown", None),
        ("Stress", None),
        ("", None),
    ],
)
def test_published_reading(text, label):
    letters = {"a": "yes", "b": "no", "c": "maybe"}
    assert generation.parse_published(text, YES_NO, letters) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("No Stress", "No Stress"),
        ("no, stress", "No Stress"),
        ("Stress", "Stress"),
        ("A. Stress", "Stress"),
        ("A", "Stress"),
        ("b", "No Stress"),
        ("No", "No Stress"),
        ("not at all", None),
    ],
)
def test_published_reading_of_two_words(text, label):
    letters = generation.option_letters("Options:\nA. Stress\nB. No Stress\n\nReply with A or B.", STRESS)
    assert generation.parse_published(text, STRESS, letters) == label


def test_of_labels_that_begin_alike_the_one_that_goes_on_is_read():
    words = ["no", "no stress", "no stress at all"]
    assert generation.parse_published("No stress today", words, {}) == "no stress"
    assert generation.parse_published("no stress at all", words, {}) == "no stress at all"
    assert generation.parse_published("no way", words, {}) == "no"


def test_letters_stand_for_what_the_prompt_says():
    prompt = "Pick one.\n  (A) Stress\nB: No Stress\nC. Something else"
    assert generation.option_letters(prompt, STRESS) == {"a": "Stress", "b": "No Stress"}
    assert generation.option_letters("{text} Answer yes or no.", ["yes", "no"]) == {"a": "yes", "b": "no"}


@pytest.fixture(scope="module")
def loaded(tiny_model):
    return load_base(tiny_model, "none", "float32"), load_tokenizer(tiny_model)


def by_hand(model, prompt, steps, end):
    ids = list(prompt)
    for _ in range(steps):
        with torch.no_grad():
            token = model(torch.tensor([ids])).logits[0, -1].argmax().item()
        if token == end:
            break
        ids.append(token)
    return ids[len(prompt) :]


def test_generation_is_greedy_and_the_same_for_any_batch_size(loaded):
    model, tokenizer = loaded
    texts = ["The trial found no difference.", "yes", "Post in r/anxiety: I cannot sleep", "a", "no stress " * 5]
    prompts = [tokenizer(text)["input_ids"] for text in texts]
    expected = [
        tokenizer.decode(by_hand(model, prompt, 6, tokenizer.eos_token_id), skip_special_tokens=True)
        for prompt in prompts
    ]
    assert len(set(expected)) > 1
    for budget in (1, 60, 10_000):
        assert generation.generate(model, tokenizer, prompts, 6, budget) == expected


def test_the_models_own_sampling_settings_are_neither_used_nor_lost(loaded):
    """Instruct models come with a temperature or a repetition penalty; greedy means neither."""
    from transformers import GenerationConfig

    model, tokenizer = loaded
    prompts = [tokenizer("no no no no no stress no")["input_ids"]]
    plain = generation.generate(model, tokenizer, prompts, 8)
    configured = model.generation_config
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=9.0, repetition_penalty=5.0, min_new_tokens=3, eos_token_id=[2, 0]
    )
    changed = model.generation_config
    try:
        assert generation.generate(model, tokenizer, prompts, 8) == plain
        assert model.generation_config is changed
    finally:
        model.generation_config = configured


def test_an_answer_ends_as_the_template_has_it(loaded):
    """With a token of its own, special or not, or with a text of several."""
    model, tokenizer = loaded
    prompt = tokenizer("The trial found")["input_ids"]
    ids = by_hand(model, prompt, 6, tokenizer.eos_token_id)
    pieces = [tokenizer.decode([token]) for token in ids]
    assert ids[2] not in ids[:2], "the end comes after two tokens"
    end = generation.generate(model, tokenizer, [prompt], 6, end_token_id=ids[2])[0]
    assert end == "".join(pieces[:2])
    text = generation.generate(model, tokenizer, [prompt], 6, end_token_id=ids[1], end_text="".join(pieces[2:4]))[0]
    assert text == "".join(pieces[:2])


def test_every_end_token_of_the_model_ends_a_text(loaded, monkeypatch):
    model, tokenizer = loaded
    prompt = tokenizer("The trial found")["input_ids"]
    first = by_hand(model, prompt, 3, None)
    monkeypatch.setattr(model.generation_config, "eos_token_id", [2, first[1]])
    text = generation.generate(model, tokenizer, [prompt], 3)[0]
    # The end token itself is no special token here, so it is shown; nothing follows it.
    assert text == tokenizer.decode(first[:2])
