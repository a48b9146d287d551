"""Bits per byte: segments, their bytes, and a computation by transformers alone."""

import math

import pytest
import torch

from stagewise.errors import InputError
from stagewise.models.adapters import load_adapter
from stagewise.models.load import load_base, load_tokenizer
from stagewise.probes import PROBE_BEHAVIOUR
from stagewise.probes.texts import score_text, text_segments
from tests.helpers import tiny_llama
from tests.helpers.little_memory import limit_passes
from tests.helpers.probe_step import TEXT
from tests.helpers.tokenizer_kinds import tokenizer_kinds

GOLDEN = 6.24382  # bits per byte


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_base(tiny_model, "none", "float32")


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return load_tokenizer(tiny_model)


def test_bits_per_byte_agree_with_a_plain_computation(model, tokenizer):
    """The definition with tokens, log-probabilities and bytes computed here, segment by segment."""
    scores = score_text(model, tokenizer, TEXT, 32)
    ids, total, position = tokenizer(TEXT, add_special_tokens=False)["input_ids"], 0.0, 0
    for item in scores.items:
        start, end = map(int, item.id.split("-"))
        content = TEXT.encode()[start:end]
        longer = (ids[position : position + n] for n in range(1, 33))
        segment = next(each for each in longer if tokenizer.decode(each).encode() == content)
        assert item.weight == len(content)
        with torch.no_grad():
            logprobs = model(torch.tensor([[tokenizer.bos_token_id, *segment]])).logits[0].log_softmax(-1)
        bits = -sum(logprobs[i, token].item() for i, token in enumerate(segment)) / math.log(2)
        assert item.score == pytest.approx(bits / len(content), abs=1e-5)
        total, position = total + bits, position + len(segment)
    assert position == len(ids) and scores.value == pytest.approx(total / len(TEXT.encode()), abs=1e-5)
    assert (scores.measure, scores.higher_is_better) == ("bits_per_byte", False)


def test_the_value_is_that_of_this_behaviour(model, tokenizer):
    """If a change of the code changes it, raise `PROBE_BEHAVIOUR`, so that scores are made again."""
    assert PROBE_BEHAVIOUR["text"] == 1
    assert score_text(model, tokenizer, TEXT, 32).value == pytest.approx(GOLDEN, abs=1e-4)


@pytest.mark.parametrize("kind", tokenizer_kinds())
def test_segments_are_the_whole_text(kind):
    """Every byte and every token once, whatever the tokenizer's offsets leave out."""
    tokenizer, text = tokenizer_kinds()[kind], f"  {TEXT}<think> </s>\n\n  end  "
    segments = text_segments(text, tokenizer, 17)
    assert segments[0].start == 0 and segments[-1].end == len(text.encode())
    assert all(one.end == other.start for one, other in zip(segments, segments[1:], strict=False))
    assert all(1 <= len(segment.tokens) <= 17 and segment.end > segment.start for segment in segments)
    assert len(segments) >= sum(len(segment.tokens) for segment in segments) / 17


def test_a_character_of_several_tokens_stays_in_one_segment(tokenizer):
    for size in range(4, 12):
        segments = text_segments("🦉é" * 9, tokenizer, size)
        assert [tokenizer.decode(segment.tokens).encode() for segment in segments] == [
            ("🦉é" * 9).encode()[segment.start : segment.end] for segment in segments
        ]
        assert "�" not in "".join(tokenizer.decode(segment.tokens) for segment in segments)


def test_scores_do_not_depend_on_the_batches(model, tokenizer):
    alone = score_text(model, tokenizer, TEXT, 24, tokens_per_batch=1)
    together = score_text(model, tokenizer, TEXT, 24, tokens_per_batch=4096)
    assert [item.score for item in alone.items] == pytest.approx([item.score for item in together.items], abs=1e-5)
    assert alone.checksum == together.checksum


def test_an_adapter_changes_scores_and_not_items(tiny_model, model, tokenizer, tmp_path):
    adapter = tiny_llama.build_adapter(tmp_path / "adapter", tiny_model)
    adapted = load_adapter(load_base(tiny_model, "none", "float32"), adapter)
    before, after = (score_text(each, tokenizer, TEXT, 32) for each in (model, adapted))
    assert before.checksum == after.checksum and abs(before.value - after.value) > 1e-3
    assert score_text(model, tokenizer, TEXT, 24).checksum != before.checksum


def test_control_tokens_of_the_model_are_read_as_text(model, tokenizer):
    scores = score_text(model, tokenizer, TEXT + "<|im_end|>" * 8, 32)
    assert scores.items[-1].weight < 80 and scores.facts["bytes"] == len((TEXT + "<|im_end|>" * 8).encode())
    ids = {token for segment in text_segments("<|im_end|>" * 8, tokenizer, 32) for token in segment.tokens}
    assert tokenizer.eos_token_id not in ids


def test_a_tokenizer_without_a_first_token_begins_with_its_end_token(model, tokenizer, tiny_model):
    bare = load_tokenizer(tiny_model)
    bare.bos_token = None
    begun = load_tokenizer(tiny_model)
    begun.bos_token = begun.eos_token
    scores, same = (score_text(model, each, TEXT, 32) for each in (bare, begun))
    assert [item.score for item in scores.items] == [item.score for item in same.items]
    assert scores.value != score_text(model, tokenizer, TEXT, 32).value


def test_passes_that_do_not_fit_into_memory_are_made_smaller(model, tokenizer, monkeypatch):
    expected = score_text(model, tokenizer, TEXT, 32)
    tried = limit_passes(monkeypatch, 2, training=False)
    scores = score_text(model, tokenizer, TEXT, 32)
    assert tried[0] > 2 and set(tried[-4:]) <= {1, 2}
    limit_passes(monkeypatch, 0, training=False)
    with pytest.raises(InputError, match=r"does not fit into memory .*; lower the text's segment_tokens"):
        score_text(model, tokenizer, TEXT, 32)
    assert [item.score for item in scores.items] == pytest.approx([item.score for item in expected.items], abs=1e-5)


@pytest.mark.parametrize(
    ("size", "says"),
    [
        (4096, "has 1 segment of 4096 tokens and an interval needs two at least"),
        (512, "the model has 512 positions, one of them for the token before a segment; lower it to 511"),
    ],
)
def test_segments_that_cannot_be_scored_are_refused(model, tokenizer, size, says):
    with pytest.raises(InputError, match=says):
        score_text(model, tokenizer, TEXT * 8 if size == 512 else TEXT, size)
