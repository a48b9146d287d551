"""Columns of a table: what they hold, and what their names say."""

import re
import statistics
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stagewise.config.tasks import Column as ColumnSettings
from stagewise.data.texts import as_text, field_text, read_list

TEXTS = "text sentence question context premise hypothesis tweet review comment content body title passage document "
TEXTS += "article prompt input instruction utterance query message post note source dialogue statement claim stem"
TEXTS += " selftext description"
ANSWERS = "label category class target intent sentiment emotion gold topic stance decision verdict outcome tag rating "
ANSWERS += "star score grade severity polarity answer correct urgency priority cop y"
REFERENCES = "summary reference response output completion highlight translation answer target headline solution"
SUMMARIES = "summary abstract highlight headline tldr"
SCALES = "rating star score grade level severity rank stage likert"
IDS = "id key uuid guid pmid doi index idx qid"
GROUPS = "id user author patient subject document doc post session speaker conversation thread source"
NO_ANSWERS = "id key index split date time year confidence prob probability pred prediction predicted annotator worker "
NO_ANSWERS += "rater author user url link"
SPLITS = "split fold subset partition set"
# What is written after the answer is known would give it away.
REVEALING = "rationale explanation reasoning solution conclusion justification cot exp answer label summary"

_COLUMN = ColumnSettings(column="any")

_WHOLE = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
"""A whole number; `7,27` is two of them."""

LONGEST_ANSWER = 80
"""Characters of the longest text that is taken for a label."""


def name_words(name: str) -> list[str]:
    """Split a column's name into words in lower case, without numbers; only names in ASCII are split at capitals."""
    words = re.findall(r"[^\W\d_]+", name)
    parts = [re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", word) if word.isascii() else [word] for word in words]
    return [part.lower() for word in parts for part in word]


def named(name: str, hints: str, last: bool = False) -> bool:
    """Tell if one of a name's words, or the last one, is among some, as it is or in the plural."""
    words = [word for word in name_words(name) if len(word) > 1] or name_words(name)
    words = words[-1:] if last else words
    return not {*words, *(word.removesuffix("s") for word in words if len(word) > 3)}.isdisjoint(hints.split())


@dataclass(frozen=True, eq=False)
class Column:
    """A column and its values in all rows."""

    name: str
    values: list[Any]
    class_names: tuple[str, ...] = ()

    @cached_property
    def filled(self) -> list[Any]:
        """Values that are there."""
        return [value for value in self.values if not is_empty(value)]

    @cached_property
    def texts(self) -> list[str]:
        """Every value as text; lists and mappings are empty."""
        return [as_text(value) for value in self.values]

    @cached_property
    def counts(self) -> Counter[str]:
        """Rows of each text."""
        return Counter(text for text in self.texts if text.strip())

    @cached_property
    def is_list(self) -> bool:
        return bool(self.filled) and all(isinstance(value, list) for value in self.filled)

    @cached_property
    def is_mapping(self) -> bool:
        return bool(self.filled) and all(isinstance(value, dict) for value in self.filled)

    @cached_property
    def is_scalar(self) -> bool:
        return bool(self.filled) and all(isinstance(value, str | int | float) for value in self.filled)

    @cached_property
    def elements(self) -> list[list[str]]:
        """Elements of each list as texts."""
        return [[as_text(element) for element in value] if isinstance(value, list) else [] for value in self.values]

    @cached_property
    def is_text_list(self) -> bool:
        """True for lists of texts."""
        return self.is_list and all(isinstance(element, str) for value in self.filled for element in value)

    @cached_property
    def is_numeric(self) -> bool:
        return self.is_scalar and bool(self.counts) and all(map(is_number, self.counts))

    @cached_property
    def is_whole(self) -> bool:
        return self.is_numeric and all(re.fullmatch(rf"\s*[-+]?{_WHOLE}(\.0*)?\s*", text) for text in self.counts)

    @cached_property
    def is_real(self) -> bool:
        """True for numbers with decimals."""
        return self.is_numeric and not self.is_whole

    @cached_property
    def is_text(self) -> bool:
        """True for what a prompt can hold: texts, or lists of them."""
        return self.is_text_list or (self.is_scalar and not self.is_numeric)

    @cached_property
    def is_class(self) -> bool:
        """True for few short values that come again."""
        counts = self.counts
        if not self.is_scalar or len(counts) < 2 or any(len(text) > LONGEST_ANSWER or "\n" in text for text in counts):
            return False
        return len(self.filled) >= 2 * len(counts) and (self.is_whole or not self.is_numeric or len(counts) <= 12)

    @cached_property
    def median_length(self) -> float:
        """Median number of characters of what is there."""
        return statistics.median([len(prompt_text(value)) for value in self.filled]) if self.filled else 0

    @cached_property
    def share_empty(self) -> float:
        return 1 - len(self.filled) / len(self.values)


def is_parallel(column: Column, other: Column) -> bool:
    """True for lists that belong to another column's, element by element."""
    if column is other or not other.is_list or other.name.startswith(f"{column.name}."):
        return False
    lengths = [len(elements) for elements in column.elements]
    return len(set(lengths)) > 1 and lengths == [len(elements) for elements in other.elements]


def is_empty(value) -> bool:
    """Tell if a cell is empty: nothing, a blank text, an empty list, or a number that is none."""
    return (
        value is None
        or (isinstance(value, str | list | dict) and not value)
        or not str(value).strip()
        or (value != value)
    )


def is_number(text: str) -> bool:
    """Tell if a text is a number in decimals, with or without commas between thousands."""
    return bool(re.fullmatch(rf"\s*[-+]?({_WHOLE}\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", text))


def prompt_text(value) -> str:
    """A value as a prompt has it; empty if no prompt can hold it."""
    return field_text(value, _COLUMN)[0]


def variable(name: str) -> str:
    """Name of a prompt variable for a column."""
    name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()
    return name if name and name[0].isalnum() else f"field{name}"


def written_lists(values: list) -> list:
    """Lists that the cells of a table hold as texts, if all of them do; else the values themselves."""
    filled = [value for value in values if not is_empty(value)]
    if not filled or not all(isinstance(value, str) and value.lstrip().startswith("[") for value in filled):
        return values
    lists = [None if is_empty(value) else read_list(value) for value in values]
    return lists if sum(value is not None for value in lists) == len(filled) else values
