"""Answer by free generation, and find a label in the generated text (as in the published experiment)."""

import re
import string

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
    """
    import torch
    from tqdm import tqdm
    from transformers import GenerationConfig

    device = next(model.parameters()).device
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    ends = base.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends] if ends is not None else [])}
    end = end_token_id if end_text is None else None
    if end is not None:
        ends.add(end)
    # Replaces the model's own settings, which may sample or penalize repetition.
    greedy = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=sorted(ends),
        pad_token_id=tokenizer.pad_token_id,
    )
    texts = [""] * len(prompts)
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
                generated = base.generate(input_ids=ids, attention_mask=mask)[:, ids.shape[1] :]
                for i, ids in zip(group, generated.tolist(), strict=True):
                    # The end token need not be a special one, which decoding leaves out.
                    text = tokenizer.decode(ids[: ids.index(end)] if end in ids else ids, skip_special_tokens=True)
                    texts[i] = text.partition(end_text)[0] if end_text else text
                bar.update(len(group))
    finally:
        base.generation_config = models_config
        model.train(was_training)
    return texts


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
