"""Sets of labels as texts: what a multi-label task teaches, and what a model has answered. Imports no torch."""

from collections.abc import Sequence

from stagewise.inference.generation import parse_strict


def write_label_set(chosen: Sequence[str], label_words: list[str], no_label: str) -> str:
    """Join labels in label order, as items have them; `no_label` if there are none."""
    return ", ".join(word for word in label_words if word in chosen) or no_label


def read_label_set(text: str, label_words: list[str], no_label: str) -> list[str] | None:
    """Read the labels in the first line of a text: label words with commas between, or `no_label` alone.

    Each is read as a single label is (`parse_strict`): whatever its case, with at most one punctuation mark after it.

    Returns
    -------
    Labels in label order, each once; None if a part of the line is no label.
    """
    lines = text.strip().splitlines()
    line = lines[0] if lines else ""
    if parse_strict(line, [no_label]):
        return []
    labels = [parse_strict(part, label_words) for part in line.split(",")]
    return None if None in labels else [word for word in label_words if word in labels]
