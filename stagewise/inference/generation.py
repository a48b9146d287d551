"""Free generation, greedy or drawn, and the label in a generated text (as in the published experiment)."""

import random
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from stagewise.inference.likelihood import batches, pad_left
from stagewise.models.load import compute_context


def generate(
    model,
    tokenizer,
    prompts: list[list[int]],
    max_new_tokens: int,
    tokens_per_batch: int = 4096,
    progress=None,
    end_token_id: int | None = None,
    end_text: str | None = None,
    stop_texts: Sequence[str] = (),
) -> list[str]:
    """Generate text after each prompt, greedily, without special tokens.

    Parameters
    ----------
    model
        Causal language model of transformers, with or without an adapter. Its mode is restored afterwards.
    tokenizer
        Tokenizer, for its padding and end tokens and for decoding.
    prompts
        Token ids of each prompt.
    max_new_tokens
        Maximal number of generated tokens; an end token ends a text earlier.
    tokens_per_batch
        Padded tokens per batch, generated ones included.
    progress
        Title of the progress bar; None shows none.
    end_token_id
        Token that ends an answer beside the model's own end tokens, as the chat template has it.
    end_text
        Text that ends an answer if no single token does; `end_token_id` then counts for nothing.
    stop_texts
        Texts of which the first one ends an answer, and is no part of it.
    """
    end = end_token_id if end_text is None else None
    ends = {end} if end is not None else set()
    texts = []
    for ids in generate_tokens(
        model, tokenizer, prompts, max_new_tokens, tokens_per_batch, progress, ends, tuple(stop_texts)
    ):
        # The end token need not be a special one, which decoding leaves out.
        text = tokenizer.decode(ids[: ids.index(end)] if end in ids else ids, skip_special_tokens=True)
        texts.append(cut_at(text, [*stop_texts, *([end_text] if end_text else [])]))
    return texts


def cut_at(text: str, stop_texts: Sequence[str]) -> str:
    """Cut a text before the first of the stop texts in it."""
    return text[: min((place for stop in stop_texts if (place := text.find(stop)) >= 0), default=len(text))]


@dataclass(frozen=True)
class Sampling:
    """Draws from the model's distribution; each prompt has its own, so that they do not depend on its batch."""

    temperature: float
    top_p: float
    """Probability of the most probable tokens that are drawn from (nucleus sampling, Holtzman et al. 2020)."""
    seeds: list[str]
    """One of each prompt."""


def generate_tokens(
    model,
    tokenizer,
    prompts: list[list[int]],
    max_new_tokens: int,
    tokens_per_batch: int = 4096,
    progress=None,
    end_token_ids: set[int] = frozenset(),
    stop_texts: tuple[str, ...] = (),
    sampling: Sampling | None = None,
) -> list[list[int]]:
    """Generate tokens after each prompt, see `generate`.

    Parameters
    ----------
    end_token_ids
        Tokens that end a text, beside the model's own end tokens.
    stop_texts
        Texts of which any stops generation.
    sampling
        How tokens are drawn; None takes the most probable ones.

    Returns
    -------
    Generated tokens of each prompt: with the end token, and padding after it.
    """
    import torch
    from tqdm import tqdm
    from transformers import GenerationConfig

    device = next(model.parameters()).device
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    ends = base.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends] if ends is not None else [])}
    # Replaces the model's own settings, which may sample or penalize repetition.
    greedy = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=sorted(ends | end_token_ids),
        pad_token_id=tokenizer.pad_token_id,
    )
    rows: list[list[int]] = [[]] * len(prompts)
    models_config, was_training = base.generation_config, model.training
    model.eval()
    base.generation_config = greedy
    try:
        with (
            torch.no_grad(),
            compute_context(model),
            tqdm(total=len(prompts), desc=progress, unit="item", disable=progress is None) as bar,
        ):
            for group in batches([len(prompt) for prompt in prompts], tokens_per_batch, max_new_tokens):
                ids, mask, _ = pad_left([prompts[i] for i in group], tokenizer.pad_token_id, device)
                options = _options(tokenizer, ids.shape[1], group, stop_texts, sampling)
                generated = base.generate(input_ids=ids, attention_mask=mask, **options)[:, ids.shape[1] :]
                for i, row in zip(group, generated.tolist(), strict=True):
                    rows[i] = row
                bar.update(len(group))
    finally:
        base.generation_config = models_config
        model.train(was_training)
    return rows


def _options(tokenizer, start: int, group: list[int], stop_texts: tuple[str, ...], sampling: Sampling | None) -> dict:
    """Arguments of transformers' `generate` that stop at texts and draw tokens; `start` is the prompts' length."""
    import torch

    options = {}
    if stop_texts:

        def is_stopped(ids, scores, **_):
            texts = [tokenizer.decode(row, skip_special_tokens=True) for row in ids[:, start:].tolist()]
            stopped = [any(stop in text for stop in stop_texts) for text in texts]
            return torch.tensor(stopped, device=ids.device)

        options["stopping_criteria"] = [is_stopped]
    if sampling is not None:
        generators = [random.Random(sampling.seeds[i]) for i in group]

        def draw(ids, scores):
            points = torch.tensor([generator.random() for generator in generators], dtype=torch.float64)
            tokens = draw_tokens(scores, points.to(scores.device), sampling.temperature, sampling.top_p)
            return torch.full_like(scores, -torch.inf).scatter(1, tokens[:, None], 0.0)

        options["logits_processor"] = [draw]
    return options


def draw_tokens(logits, points, temperature: float, top_p: float):
    """Draw a token of each row by inversion of the distribution function.

    Parameters
    ----------
    logits
        Shape (rows, vocabulary).
    points
        Shape (rows,): numbers in [0, 1), uniformly drawn.
    temperature
        Divides the logits.
    top_p
        The fewest most probable tokens whose probability reaches it are drawn from.

    Returns
    -------
    Token ids, shape (rows,).
    """
    probabilities, tokens = (logits.double() / temperature).softmax(-1).sort(dim=-1, descending=True, stable=True)
    reached = probabilities.cumsum(-1)
    last = (reached < top_p).sum(-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    below = reached <= points[:, None] * reached.gather(1, last)
    return tokens.gather(1, below.sum(-1, keepdim=True).clamp(max=last))[:, 0]


def option_letters(prompt: str, label_words: list[str]) -> dict[str, str]:
    """Map the option letters in a prompt (``A. Yes``), casefolded, to label words.

    If the prompt has no such list, the labels get the letters in order.
    """
    by_casefolded = {word.casefold(): word for word in label_words}
    options = re.findall(r"^\s*\(?([A-Za-z])[.):]\s*(.+?)\s*$", prompt, flags=re.MULTILINE)
    listed = {
        letter.casefold(): by_casefolded[text.casefold()]
        for letter, text in options
        if text.casefold() in by_casefolded
    }
    return listed or dict(zip(string.ascii_lowercase, label_words, strict=False))


def parse_strict(text: str, label_words: list[str]) -> str | None:
    """Read a label if the first line is a label word, whatever its case, with at most one punctuation mark after it.

    A mark that belongs to a label word (``C#``, ``n/a.``) is read as part of it first.
    """
    lines = text.strip().splitlines()
    line = lines[0].strip() if lines else ""
    readings = [line]
    if line and line[-1] in string.punctuation:
        readings.append(line[:-1].rstrip())
    by_casefolded = {word.casefold(): word for word in label_words}
    return next((by_casefolded[key] for key in map(str.casefold, readings) if key in by_casefolded), None)


def parse_published(text: str, label_words: list[str], letters: dict[str, str]) -> str | None:
    """Read a label as the published experiment's code would have, or None.

    The first word of the text that begins a label decides, whatever follows: on a yes / no / maybe task, "No Stress"
    is read as "no". Of labels that begin alike, the one that continues as the text does is read. An option's letter
    counts only if no word begins a label.

    Parameters
    ----------
    text
        Generated text.
    label_words
        Label words, in order.
    letters
        Label words by option letter, see `option_letters`.
    """
    tokens = _words(text)
    labels = {label: _words(label) for label in label_words}
    for start, token in enumerate(tokens):
        candidates = [label for label, words in labels.items() if words and words[0] == token]
        if candidates:
            complete = [label for label in candidates if tokens[start : start + len(labels[label])] == labels[label]]
            return max(complete, key=lambda label: len(labels[label])) if complete else candidates[0]
    return next((letters[token] for token in tokens if token in letters), None)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())
