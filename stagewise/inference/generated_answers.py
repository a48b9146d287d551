"""Answers of tasks that are not answered with one label: generated greedily, as long as the task's answers may be.

Importing this module imports no torch.
"""

from dataclasses import replace

from stagewise.inference.label_sets import write_label_set
from stagewise.inference.prompts import Encoder

MOST_TOKENS = 256
"""Tokens of an answer if the task does not say how many, without the one that ends it."""


def with_answer_limit(encoder: Encoder, items: list[dict], max_new_tokens: int | None) -> Encoder:
    """Limit the answers of a task to `max_new_tokens`, and let every prompt leave room for them.

    If it is None, the limit is the longest of the items' own answers, or for a set of labels that of all labels, at
    most `MOST_TOKENS` and the end. It follows from the items, the prompt and the tokenizer, by which predictions are
    known.
    """
    if encoder.has_labels:
        return encoder
    if max_new_tokens is None:
        if encoder.kind == "multi_label":
            words, nothing = encoder.label_words, encoder.answer_without_label
            answers = [encoder.encode_answer(text) for text in (write_label_set(words, words, nothing), nothing)]
        else:
            answers = [encoder.encode_own_answer(item) for item in items]
        max_new_tokens = min(max(map(len, answers), default=1), MOST_TOKENS + 1)
    return replace(encoder, max_new_tokens=max_new_tokens)


def generate_answers(model, encoder: Encoder, prompts, stop: list[str], tokens_per_batch: int, progress) -> list[str]:
    """Generate an answer after each prompt up to a text in `stop`, without blanks around it.

    Parameters
    ----------
    encoder
        Encoder with a limit (`with_answer_limit`).
    prompts
        Token ids of each prompt.
    """
    from stagewise.inference.generation import generate

    texts = generate(
        model,
        encoder.tokenizer,
        prompts,
        encoder.max_new_tokens,
        tokens_per_batch,
        progress,
        encoder.end_token_id,
        encoder.end_text,
        stop,
    )
    return [text.strip() for text in texts]
