"""Items of a task that a model writes itself: the task's prompt, continued field by field, and the model's label."""

import math
import random
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stagewise.data.duplicates import normalize
from stagewise.data.items import SplitItem
from stagewise.errors import InputError
from stagewise.inference import likelihood
from stagewise.inference.generation import Sampling, cut_at, generate_tokens
from stagewise.inference.prompts import Encoder
from stagewise.inference.within_memory import within_memory

ROUNDS = 20
"""Most rounds of draws: the first one of as many texts as are asked for, later ones of a quarter or what is missing."""

_TOKENS_PER_BATCH = 4096
"""Not a way to run: with other batches a text could be another, because logits are rounded otherwise."""

_BROKEN = "\N{REPLACEMENT CHARACTER}"
"""Decoded from bytes that are no character, such as the first half of one."""


@dataclass(frozen=True)
class Writing:
    """Settings of writing items."""

    items: int
    """Number of items of each task."""
    temperature: float
    top_p: float
    max_tokens: int
    """Tokens of a field."""
    labels: Literal["most_likely", "drawn"]


def write_items(
    model, encoder: Encoder, writing: Writing, seed: str, progress: str | None = None
) -> tuple[list[SplitItem], int]:
    """Let a model write and label items of the encoder's task.

    The fields are drawn from the model's distribution in the order of their places in the prompt, each up to the
    prompt's own text after it, a control token, or `max_tokens`. An item is dropped and drawn again if a field has no
    letter or digit or a broken character, if its text is that of an earlier one but for case, punctuation and blanks,
    or if it does not fit into the prompt. Its label follows from the probabilities of the task's labels, whole answers,
    after its prompt.

    Parameters
    ----------
    seed
        Text that every draw depends on; none depends on other draws or on the batch.
    progress
        Title of the progress bars.

    Returns
    -------
    items, tokens
        The items, and the number of tokens that the model has read.

    Raises
    ------
    InputError
        If after `ROUNDS` rounds fewer items are there than asked for.
    """
    texts: dict[str, dict[str, str]] = {}
    drawn = tokens = 0
    for _ in range(ROUNDS):
        if len(texts) >= writing.items:
            break
        number = max(writing.items - len(texts), math.ceil(writing.items / 4))
        seeds = [f"{seed} {n}" for n in range(drawn, drawn + number)]
        drawn += number
        # Later rounds are of few items, and a bar for each would say nothing.
        written, read = _write_fields(model, encoder, writing, seeds, None if tokens else progress)
        tokens += read
        for fields in written:
            if _is_usable(encoder, fields):
                texts.setdefault("\n".join(map(normalize, fields.values())), fields)
    if len(texts) < writing.items:
        raise InputError(
            f"the parent wrote {len(texts)} different usable texts of {encoder.task} in {drawn} attempts, and "
            f"{writing.items} are asked for; lower items, or raise temperature, top_p or max_tokens"
        )
    chosen = list(texts.values())[: writing.items]
    items = [{"id": f"pseudo-{n}", "label": "", "fields": fields} for n, fields in enumerate(chosen, 1)]
    labels, read = _label(model, encoder, writing, items, seed, progress)
    return [item | {"label": label} for item, label in zip(items, labels, strict=True)], tokens + read


def _write_fields(model, encoder: Encoder, writing: Writing, seeds: list[str], progress) -> tuple[list[dict], int]:
    """Draw the fields of one item per seed; returns them, and the number of tokens read."""
    tokenizer, control_ids, tokens = encoder.tokenizer, set(encoder.controls.ids.values()), 0
    items: list[dict[str, str]] = [{} for _ in seeds]
    for name in encoder.template.fields:
        prompts = [encoder.encode_beginning(name, fields) for fields in items]
        stop_texts = _stop_texts(encoder.template.text_after(name))
        sampling = Sampling(writing.temperature, writing.top_p, [f"{seed} {name}" for seed in seeds])
        title = f"{progress}: {name}" if progress else None

        def generate(tokens_per_batch, prompts=prompts, stop_texts=stop_texts, sampling=sampling, title=title):
            return generate_tokens(
                model,
                tokenizer,
                prompts,
                writing.max_tokens,
                tokens_per_batch,
                title,
                control_ids,
                stop_texts,
                sampling,
            )

        longest = max(map(len, prompts)) + writing.max_tokens
        rows, _ = within_memory(generate, _TOKENS_PER_BATCH, longest)
        ends = control_ids | {tokenizer.eos_token_id, tokenizer.pad_token_id}
        for fields, prompt, row in zip(items, prompts, rows, strict=True):
            ids = row[: next((n for n, token in enumerate(row) if token in ends), len(row))]
            tokens += len(prompt) + len(ids)
            text = tokenizer.decode(ids, skip_special_tokens=True).rstrip(_BROKEN)
            fields[name] = cut_at(text, stop_texts).strip()
    return items, tokens


def _stop_texts(following: str) -> tuple[str, ...]:
    """Choose what ends a field from the prompt's text after it: its first line, or the line break; else nothing."""
    lines = [line.strip() for line in following.splitlines() if line.strip()]
    return (lines[0],) if lines else ("\n",) if "\n" in following else ()


def _is_usable(encoder: Encoder, fields: dict[str, str]) -> bool:
    """Tell if every field has text without broken characters, and the item fits into the prompt."""
    if not all(any(map(str.isalnum, text)) and _BROKEN not in text for text in fields.values()):
        return False
    try:
        encoder.encode_prompts([{"id": "pseudo", "fields": fields}])
    except InputError:
        return False
    return True


def _label(model, encoder: Encoder, writing: Writing, items: list[dict], seed: str, progress) -> tuple[list[str], int]:
    """Label items by the model's own probabilities; returns label words, and the number of tokens read."""
    prompts, answers = encoder.encode_prompts(items).ids, encoder.label_token_ids

    def score(tokens_per_batch):
        return likelihood.score(model, encoder.tokenizer, prompts, answers, tokens_per_batch, progress)

    scores, _ = within_memory(score, _TOKENS_PER_BATCH, max(map(len, prompts)))
    tokens = sum(map(len, prompts)) + len(prompts) * sum(map(len, answers))
    if writing.labels == "most_likely":
        return [encoder.label_words[code] for code in scores.argmax(1)], tokens
    weights = np.exp(scores - scores.max(1, keepdims=True))
    draws = [random.Random(f"{seed} label {n}").choices(encoder.label_words, row)[0] for n, row in enumerate(weights)]
    return draws, tokens
