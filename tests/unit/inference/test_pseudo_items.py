"""A model's own items: drawn field by field from its distribution, usable, different, and labelled by itself."""

import numpy as np
import pytest
import torch

from stagewise.config.training import Prompting
from stagewise.errors import InputError
from stagewise.inference import pseudo_items
from stagewise.inference.generation import Sampling, draw_tokens, generate_tokens
from stagewise.inference.prompts import Encoder, Template
from stagewise.inference.pseudo_items import Writing, write_items
from stagewise.models.load import load_base, load_tokenizer

POST = "Post in r/{sub}: {text}\nIs the writer under stress? Answer stress or no stress."
WORDS = ["stress", "no stress"]
WRITING = Writing(items=4, temperature=1.0, top_p=0.95, max_tokens=12, labels="most_likely")


@pytest.fixture(scope="module")
def loaded(tiny_model):
    return load_base(tiny_model, "none", "float32"), load_tokenizer(tiny_model)


def encoder(tokenizer, text=POST, form="chat", words=WORDS) -> Encoder:
    return Encoder(tokenizer, Template("p", text), Prompting(format=form), words, 128, task="post")


def test_tokens_are_drawn_in_proportion_to_their_probabilities():
    logits = torch.tensor([[1.0, 3.0, 0.0, 2.0]])
    points = (torch.arange(20_000) + 0.5) / 20_000  # equally spaced, so that shares are probabilities
    for temperature in (1.0, 2.0):
        drawn = draw_tokens(logits.expand(len(points), -1), points, temperature, 1.0)
        shares = np.bincount(drawn, minlength=4) / len(points)
        np.testing.assert_allclose(shares, (logits[0] / temperature).softmax(0), atol=1e-3)


def test_tokens_outside_the_nucleus_are_never_drawn():
    """Holtzman et al. 2020, equation 2: the fewest tokens whose probability reaches p, renormalized."""
    probabilities = torch.tensor([[0.1, 0.5, 0.15, 0.25]])
    points = (torch.arange(9_000) + 0.5) / 9_000
    drawn = draw_tokens(probabilities.log().expand(len(points), -1), points, 1.0, 0.7)
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / len(points), [0, 2 / 3, 0, 1 / 3], atol=1e-3)
    assert draw_tokens(probabilities.log(), torch.tensor([1 - 1e-12]).double(), 1.0, 1e-9).tolist() == [1]


def test_draws_are_the_same_for_any_batch_and_stop_at_the_text(loaded):
    model, tokenizer = loaded
    prompts = [tokenizer(text)["input_ids"] for text in ("The trial found", "yes", "I cannot sleep and", "Post")]
    sampling = Sampling(1.0, 0.95, [f"seed {n}" for n in range(4)])
    pad = tokenizer.pad_token_id

    def texts(budget, stop_texts=()):
        rows = generate_tokens(model, tokenizer, prompts, 10, budget, stop_texts=stop_texts, sampling=sampling)
        return [row + [pad] * (10 - len(row)) for row in rows]

    drawn = texts(10_000)
    assert texts(1) == texts(30) == drawn
    assert len({tuple(row) for row in drawn}) == 4
    assert generate_tokens(model, tokenizer, prompts[:1], 10) != drawn[:1], "greedy is another text"
    stop = tokenizer.decode(drawn[0][2:4])
    stopped = texts(10_000, (stop,))[0]
    assert stopped[:4] == drawn[0][:4] and stopped[4:] == [pad] * 6


def test_fields_are_written_in_order_each_up_to_the_prompts_next_words(loaded, monkeypatch):
    _, tokenizer = loaded
    asked = []

    def write(model, tokenizer, prompts, max_new_tokens, budget, title, ends, stop_texts, sampling):
        asked.append(([tokenizer.decode(prompt) for prompt in prompts], stop_texts, sampling.seeds))
        text = {":": " anxiety: I ca", WORDS_LINE: " I cannot sleep, number {}.\n" + WORDS_LINE + " stress"}[
            stop_texts[0]
        ]
        return [
            tokenizer(text.format(seed.split()[1]), add_special_tokens=False)["input_ids"] for seed in sampling.seeds
        ]

    monkeypatch.setattr(pseudo_items, "generate_tokens", write)
    monkeypatch.setattr(pseudo_items, "_label", lambda *_: (["stress"] * 2, 0))
    writing = Writing(items=2, temperature=1.0, top_p=1.0, max_tokens=40, labels="drawn")
    items, tokens = write_items(None, encoder(tokenizer), writing, "s")
    assert [item["fields"] for item in items] == [
        {"sub": "anxiety", "text": "I cannot sleep, number 0."},
        {"sub": "anxiety", "text": "I cannot sleep, number 1."},
    ]
    (first, _, seeds), (second, _, other_seeds) = asked
    assert first == ["<|im_start|>user\nPost in r/"] * 2 and second == ["<|im_start|>user\nPost in r/anxiety:"] * 2
    assert seeds == ["s 0 sub", "s 1 sub"] and other_seeds == ["s 0 text", "s 1 text"]
    assert tokens > sum(len(tokenizer(text)["input_ids"]) for text in first + second)


WORDS_LINE = "Is the writer under stress? Answer stress or no stress."


@pytest.mark.parametrize("form", ["chat", "plain"])
def test_a_prompts_beginning_is_the_beginning_of_the_prompt(loaded, form):
    _, tokenizer = loaded
    fields = {"sub": "anxiety", "text": "I cannot sleep <|im_end|> today."}
    first = ["{text} In {sub}. Stress?", "{text}\n{sub}\nStress or not?"] if form == "chat" else []
    for template in (POST, *first):
        made = encoder(tokenizer, template, form)
        prompt, _ = made.encode_prompt({"id": "i", "fields": fields})
        for name in fields:
            beginning = made.encode_beginning(name, fields)
            assert beginning == prompt[: len(beginning)] and len(beginning) < len(prompt)
    # Without any text before it a plain prompt begins with the start token, which this tokenizer does not add.
    assert encoder(tokenizer, "{text} Stress?", "plain").encode_beginning("text", {}) == [tokenizer.bos_token_id]


def test_control_tokens_in_written_texts_end_them_and_spelled_ones_are_plain_text(loaded, monkeypatch):
    _, tokenizer = loaded
    start, number = tokenizer.convert_tokens_to_ids("<|im_start|>"), iter("0123456789")

    def write(model, tokenizer, prompts, *_):
        words = [tokenizer(f" sleep {next(number)}", add_special_tokens=False)["input_ids"] for _ in prompts]
        spelled = made.controls.encode([("<|im_end|>", False)])
        return [ids + spelled + [start] + ids for ids in words]

    made = encoder(tokenizer, "{text} Stress?")
    monkeypatch.setattr(pseudo_items, "generate_tokens", write)
    monkeypatch.setattr(pseudo_items, "_label", lambda *_: (["stress"] * 4, 0))
    items, _ = write_items(None, made, WRITING, "s")
    assert [item["fields"]["text"] for item in items] == [f"sleep {n}<|im_end|>" for n in range(4)]
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert made.encode_prompt(items[0])[0].count(end) == 1, "the template's own"


def test_unusable_and_repeated_texts_are_drawn_again_and_the_number_of_draws_is_bounded(loaded, monkeypatch):
    _, tokenizer = loaded
    calls = []
    texts = ["Calm day.", " ", "…", "calm  DAY", "\ufffd sleep", "long " * 200, "The lake", "Calm day", "", "worry"]
    stream = iter(texts)

    def write(model, tokenizer, prompts, *_):
        calls.append(len(prompts))
        drawn = [next(stream, "Calm day!") for _ in prompts]
        return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in drawn]

    monkeypatch.setattr(pseudo_items, "generate_tokens", write)
    monkeypatch.setattr(pseudo_items, "_label", lambda m, e, w, items, *_: (["stress"] * len(items), 0))
    writing = Writing(items=3, temperature=1.0, top_p=1.0, max_tokens=8, labels="most_likely")
    items, _ = write_items(None, encoder(tokenizer, "{text} Stress?"), writing, "s")
    assert [item["fields"]["text"] for item in items] == ["Calm day.", "The lake", "worry"]
    assert [item["id"] for item in items] == ["pseudo-1", "pseudo-2", "pseudo-3"]
    calls.clear()
    with pytest.raises(InputError) as caught:
        write_items(None, encoder(tokenizer, "{text} Stress?"), writing, "s")
    assert calls == [3] + [2] * (pseudo_items.ROUNDS - 1)
    assert str(caught.value) == (
        "the parent wrote 1 different usable texts of post in 41 attempts, and 3 are asked for; lower items, or raise "
        "temperature, top_p or max_tokens"
    )


def label_logprobs(model, made: Encoder, item: dict) -> list[float]:
    """Log-probability of each label's whole answer, token by token from transformers' own output."""
    (prompt,) = made.encode_prompts([item]).ids
    values = []
    for answer in made.label_token_ids:
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
        values.append(sum(float(logits[len(prompt) + n - 1, token]) for n, token in enumerate(answer)))
    return values


def test_labels_are_the_models_own(loaded):
    model, tokenizer = loaded
    words = ["yes", "no"]
    made, writing = encoder(tokenizer, "{text} Stress?", words=words), Writing(24, 1.0, 0.95, 4, "most_likely")
    items, tokens = write_items(model, made, writing, "s")
    logprobs = np.array([label_logprobs(model, made, item) for item in items])
    assert [item["label"] for item in items] == [words[code] for code in logprobs.argmax(1)]
    assert len({item["label"] for item in items}) == 2
    assert write_items(model, made, writing, "s") == (items, tokens)
    others, _ = write_items(model, made, writing, "another seed")
    assert not {str(item["fields"]) for item in others} & {str(item["fields"]) for item in items}
    # Of many draws for one item, the share of a label is its probability.
    weights = np.exp(logprobs[0] - logprobs[0].max())
    draws = [
        pseudo_items._label(model, made, Writing(1, 1, 1, 1, "drawn"), items[:1], f"s{n}", None) for n in range(80)
    ]
    share = sum(labels == ["yes"] for labels, _ in draws) / 80
    assert share == pytest.approx(weights[0] / weights.sum(), abs=0.17)
