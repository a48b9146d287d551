"""Kinds of tasks, by what the model answers and how answers are scored."""

import string
from typing import Literal, get_args

TaskKind = Literal["classification", "ordinal", "multiple_choice", "multi_label", "generation"]

KINDS: tuple[TaskKind, ...] = get_args(TaskKind)

LABEL_KINDS: tuple[TaskKind, ...] = ("classification", "ordinal", "multiple_choice")
"""Kinds that are answered with one label, by the likelihood of each; the others are generated."""

LETTERS = string.ascii_uppercase
"""Label words of multiple choice."""
