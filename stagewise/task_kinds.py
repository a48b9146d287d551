"""Kinds of tasks, by what the model answers and how answers are scored."""

import string
from typing import Literal, get_args

TaskKind = Literal["classification", "ordinal", "multiple_choice", "multi_label", "generation"]

KINDS: tuple[TaskKind, ...] = get_args(TaskKind)

LABEL_KINDS: tuple[TaskKind, ...] = ("classification", "ordinal", "multiple_choice")
"""Kinds that are answered with one label, by the likelihood of each; the others are generated."""

LETTERS = string.ascii_uppercase
"""Label words of multiple choice."""


def describe_answers(kind: TaskKind, words: list[str]) -> str:
    """Say among what a task's answers are, given its label words."""
    labels = f"{len(words)} labels"
    return {
        "ordinal": f"{labels} of an order",
        "multiple_choice": f"up to {len(words)} options",
        "multi_label": f"sets of {labels}",
        "generation": "free text",
    }.get(kind, labels)
