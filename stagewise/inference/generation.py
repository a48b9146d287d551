"""The published way of answering: the model writes freely, and a reader looks for a label in what it wrote."""

import re
import string

from stagewise.inference.likelihood import batches, pad_left


def generate(
    model, tokenizer, prompts: list[list[int]], max_new_tokens: int, tokens_per_batch: int = 4096, progress=None
) -> list[str]:
    """What the model writes after each prompt, greedily, special tokens left out.

    Parameters
    ----------
    model
        A causal language model of transformers, with or without an adapter. Its mode is the same afterwards.
    tokenizer
        Gives the padding and end tokens and turns tokens into text.
    prompts
        Token ids of each prompt.
    max_new_tokens
        Tokens written at most; an end token ends a text before.
    tokens_per_batch
        Padded tokens per batch, new ones included.
    progress
        What to call the progress bar; None shows none.
    """
    import torch
    from tqdm import tqdm
    from transformers import GenerationConfig

    device = next(model.parameters()).device
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    ends = base.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends] if ends is not None else [])}
    # Not laid over the model's own settings: those may sample or penalize repetition, and greedy means neither.
    greedy = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=sorted(ends),
        pad_token_id=tokenizer.pad_token_id,
    )
    texts = [""] * len(prompts)
    own, was_training = base.generation_config, model.training
    model.eval()
    base.generation_config = greedy
    try:
        with torch.no_grad(), tqdm(total=len(prompts), desc=progress, unit="item", disable=progress is None) as bar:
            for group in batches([len(prompt) for prompt in prompts], tokens_per_batch, max_new_tokens):
                ids, mask, _ = pad_left([prompts[i] for i in group], tokenizer.pad_token_id, device)
                written = base.generate(input_ids=ids, attention_mask=mask)[:, ids.shape[1] :]
                for i, text in zip(group, tokenizer.batch_decode(written, skip_special_tokens=True), strict=True):
                    texts[i] = text
                bar.update(len(group))
    finally:
        base.generation_config = own
        model.train(was_training)
    return texts


def options(prompt: str, words: list[str]) -> dict[str, str]:
    """What the letters stand for that a prompt offers its answers under (``A. Yes``), as casefolded letter → word.

    A prompt without such a list gives the letters to the labels in their order.
    """
    by_name = {word.casefold(): word for word in words}
    listed = re.findall(r"^\s*\(?([A-Za-z])[.):]\s*(.+?)\s*$", prompt, flags=re.MULTILINE)
    found = {letter.casefold(): by_name[text.casefold()] for letter, text in listed if text.casefold() in by_name}
    return found or dict(zip(string.ascii_lowercase, words, strict=False))


def parse_strict(text: str, words: list[str]) -> str | None:
    """The label that the first line consists of, but for case and one punctuation mark at its end; else None."""
    lines = text.strip().splitlines()
    line = lines[0].strip() if lines else ""
    if line and line[-1] in string.punctuation:
        line = line[:-1].rstrip()
    return next((word for word in words if word.casefold() == line.casefold()), None)


def parse_published(text: str, words: list[str], letters: dict[str, str]) -> str | None:
    """The label that the published experiment would have read, or None.

    It takes the first word of the text that begins a label, whatever follows: on a yes / no / maybe task,
    "No Stress" is read as "no". Of labels that begin alike the one that goes on as the text does is taken.
    Only where no word begins a label does an option's letter count.

    Parameters
    ----------
    text
        What the model wrote.
    words
        Label words, in order.
    letters
        Option letters, see `options`.
    """
    found = _tokens(text)
    labels = {word: _tokens(word) for word in words}
    for start, token in enumerate(found):
        alike = [word for word, parts in labels.items() if parts and parts[0] == token]
        if alike:
            full = [word for word in alike if found[start : start + len(labels[word])] == labels[word]]
            return max(full, key=lambda word: len(labels[word])) if full else alike[0]
    return next((letters[token] for token in found if token in letters), None)


def _tokens(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())
