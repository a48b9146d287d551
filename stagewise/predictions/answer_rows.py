"""Rows of prediction files: what is written of each answer."""

import numpy as np

from stagewise.inference.generation import option_letters, parse_published, parse_strict
from stagewise.inference.label_sets import read_label_set, write_label_set
from stagewise.inference.prompts import Encoder
from stagewise.measures import score_texts


def scored_rows(label_words: list[str], logprobs: np.ndarray) -> list[dict]:
    """Write the most probable label of each row of log-probabilities, (items, labels)."""
    return [
        {"prediction": label_words[row.argmax()], "valid": True}
        | {f"logprob:{word}": float(value) for word, value in zip(label_words, row, strict=True)}
        for row in logprobs
    ]


def generated_label_rows(encoder: Encoder, items: list[dict], texts: list[str], parse: str) -> list[dict]:
    """Read one label out of each text, in the way `evaluation.parse` says; letters that an item lacks are no labels."""
    rows = []
    for item, text in zip(items, texts, strict=True):
        words = encoder.label_words[: item.get("options")]
        if parse == "strict":
            label = parse_strict(text, words)
        else:
            label = parse_published(text, words, option_letters(encoder.template.text, words))
        row = {"prediction": label or "", "valid": label is not None}
        rows.append(row | {f"logprob:{word}": None for word in encoder.label_words} | {"text": text})
    return rows


def label_set_rows(encoder: Encoder, texts: list[str]) -> list[dict]:
    """Read a set of labels out of each text."""
    words, nothing = encoder.label_words, encoder.answer_without_label
    rows = []
    for text in texts:
        labels = read_label_set(text, words, nothing)
        answer = "" if labels is None else write_label_set(labels, words, nothing)
        rows.append({"prediction": answer, "valid": labels is not None, "text": text})
    return rows


def text_rows(items: list[dict], texts: list[str]) -> list[dict]:
    """Compare each text with its item's references; a text without a character is no valid answer."""
    return [
        {"prediction": text, "valid": bool(text)}
        | {f"score:{name}": float(score) for name, score in score_texts(text, item["references"]).items()}
        for item, text in zip(items, texts, strict=True)
    ]
