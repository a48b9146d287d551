"""Bits per byte of a held-out text, segment by segment.

A model's log-loss on a text, in bits, is the length of the text compressed by arithmetic coding with the model's
predictions (Shannon 1948; Rissanen and Langdon 1979). Divided by the text's UTF-8 bytes, instead of by tokens, it is
comparable between tokenizers (Gao et al. 2020, arXiv:2101.00027, section 3.1: BPB = (L_T / L_B) · loss / ln 2, with L_T
tokens of the text, L_B bytes of it, and the mean loss of a token in nats).
"""

import hashlib
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stagewise.errors import InputError
from stagewise.inference.control_tokens import ControlTokens
from stagewise.inference.likelihood import batches
from stagewise.inference.within_memory import within_memory
from stagewise.models.load import compute_context
from stagewise.models.own_logits import float32_head
from stagewise.models.token_tree import TokenTree
from stagewise.probes.scores import Item, ProbeScores

if TYPE_CHECKING:
    from stagewise.models.frozen_layers import FrozenLayers

LOGITS = 2**27
"""Logits of a pass at most, 512 MiB in float32: every position's are needed, unlike those of answers to prompts."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a text that is scored by itself."""

    tokens: tuple[int, ...]
    start: int
    """Its first byte in the text's UTF-8."""
    end: int
    """The byte after its last one."""
    content: str
    """SHA-256 of its bytes."""

    @property
    def size(self) -> int:
        """Number of its bytes."""
        return self.end - self.start

    @property
    def id(self) -> str:
        return f"{self.start}-{self.end}"


def text_segments(text: str, tokenizer, size: int) -> list[Segment]:
    """Divide a text into segments of `size` tokens, or some less where a character's bytes are several tokens.

    The segments' bytes are those of the whole text, each once. What looks like a control token of the model is read as
    the plain text that it is.

    Raises
    ------
    InputError
        If the tokenizer is one in Python, which cannot say where a token stands in the text.
    """
    encoder = ControlTokens(tokenizer)
    try:
        offsets = encoder.offsets(text)
    except NotImplementedError:
        raise InputError(
            "the model's tokenizer cannot say where its tokens stand in a text, which probes.texts needs; use one with "
            "tokenizer.json, or take the texts out"
        ) from None
    tokens = encoder.encode([(text, False)])
    segments, first, start = [], 0, 0
    for last in _segment_ends(offsets, size):
        # A token's offsets may leave out the blank before it, which belongs to it and not to the one before.
        end = offsets[last - 1][1] if last < len(tokens) else len(text)
        segments.append((tuple(tokens[first:last]), text[start:end].encode()))
        first, start = last, end
    return list(_located(segments))


def _segment_ends(offsets: list[tuple[int, int]], size: int) -> Iterator[int]:
    """Yield the index after each segment's last token; a character that is several tokens stays in one segment."""
    first, start = 0, 0
    while first < len(offsets):
        last = min(first + size, len(offsets))
        while first + 1 < last < len(offsets) and offsets[last][0] < offsets[last - 1][1]:
            last -= 1
        while last < len(offsets) and offsets[last - 1][1] <= start:  # tokens of no character alone are no segment
            last += 1
        yield last
        first, start = last, offsets[last - 1][1]


def _located(segments: list[tuple[tuple[int, ...], bytes]]) -> Iterator[Segment]:
    start = 0
    for tokens, content in segments:
        yield Segment(tokens, start, start + len(content), hashlib.sha256(content).hexdigest())
        start += len(content)


def score_text(
    model,
    tokenizer,
    text: str,
    segment_tokens: int,
    tokens_per_batch: int = 4096,
    progress: str | None = None,
    frozen_layers: "FrozenLayers | None" = None,
) -> ProbeScores:
    """Measure a text's bits per byte, with one score per segment.

    Each segment is read after the beginning-of-text token alone; a tokenizer without one has its end token there, as
    lm-evaluation-harness does it, so that every token of the text is predicted. A segment's score is
    -sum(log2 p(token | tokens before it in the segment)) / bytes, and its weight the number of bytes.

    Parameters
    ----------
    model
        Causal language model of transformers, with or without an adapter, in evaluation mode.
    segment_tokens
        Tokens of a segment, without the one before it.
    tokens_per_batch
        Padded tokens per forward pass; scores change by rounding only.
    progress
        Title of the progress bar; None shows none.
    frozen_layers
        The model's frozen layers, whose kept output is used if that of the text fits.

    Raises
    ------
    InputError
        If the text has fewer than two segments, or a segment has more tokens than the model has positions.
    """
    segments = text_segments(text, tokenizer, segment_tokens)
    check_segments(segments, segment_tokens, _positions(model))
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    rows = [(first, *segment.tokens) for segment in segments]
    longest, tokens = max(map(len, rows)), sum(map(len, rows))
    if frozen_layers and not frozen_layers.fits(tokens):
        frozen_layers = None
    per_batch = max(longest, min(tokens_per_batch, LOGITS // model.config.get_text_config().vocab_size))

    def compute(tokens_per_batch: int) -> list[float]:
        return _summed_losses(model, tokenizer.pad_token_id, rows, tokens_per_batch, progress, frozen_layers)

    losses, _ = within_memory(compute, per_batch, longest, "lower the text's segment_tokens")
    if frozen_layers:
        frozen_layers.release()
    items = [
        Item(segment.id, loss / math.log(2) / segment.size, segment.size, segment.content)
        for segment, loss in zip(segments, losses, strict=True)
    ]
    return ProbeScores("text", "bits_per_byte", False, items, tokens, facts={"bytes": segments[-1].end})


def check_segments(segments: list[Segment], segment_tokens: int, positions: int | None) -> None:
    """Refuse a text whose segments are too few or too long.

    Raises
    ------
    InputError
        Without the text's name, which the caller knows.
    """
    if len(segments) < 2:
        raise InputError(
            f"the text has {len(segments)} segment of {segment_tokens} tokens and an interval needs two at least; "
            "lower segment_tokens, or take a longer text"
        )
    if positions and segment_tokens + 1 > positions:
        raise InputError(
            f"segment_tokens is {segment_tokens}, but the model has {positions} positions, one of them for the token "
            f"before a segment; lower it to {positions - 1} or less"
        )


def _positions(model) -> int | None:
    config = model.config.get_text_config()
    return getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)


def _summed_losses(model, pad: int, rows, tokens_per_batch: int, progress, frozen_layers) -> list[float]:
    """Sum -log p over each row's tokens but the first, in nats."""
    import torch
    from tqdm import tqdm

    losses = [0.0] * len(rows)
    with (
        torch.no_grad(),
        compute_context(model),
        float32_head(model),
        tqdm(total=len(rows), desc=progress, unit="segment", disable=progress is None) as bar,
    ):
        for group in batches([len(row) for row in rows], tokens_per_batch):
            batch = _batch_losses(model, pad, [rows[i] for i in group], frozen_layers)
            for index, loss in zip(group, batch, strict=True):
                losses[index] = loss
            bar.update(len(group))
    return losses


def _batch_losses(model, pad: int, rows: list[tuple[int, ...]], frozen_layers) -> list[float]:
    import torch

    device, longest = next(model.parameters()).device, max(map(len, rows))
    # Padded on the right: no token sees what follows it.
    ids = torch.tensor([[*row] + [pad] * (longest - len(row)) for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
    trees = [TokenTree(row) for row in rows]
    with frozen_layers.replayed(trees, longest) if frozen_layers else nullcontext():
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
    losses = logits.logsumexp(-1) - logits.gather(2, ids[:, 1:, None])[:, :, 0]
    return (losses.double() * mask[:, 1:]).sum(1).tolist()
