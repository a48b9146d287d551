"""The column with the answer, the kind of task that it makes, and the label words."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from stagewise.config.label_texts import check_distinct, check_label_word, visible
from stagewise.data.gold import FLAGS as FLAG_CELLS
from stagewise.errors import InputError
from stagewise.onboarding.columns import (
    ANSWERS,
    LONGEST_ANSWER,
    NO_ANSWERS,
    REFERENCES,
    SCALES,
    TEXTS,
    Column,
    is_parallel,
    named,
)
from stagewise.onboarding.unsupported import nothing_to_learn, why_no_answer
from stagewise.task_kinds import TaskKind

MOST_LABELS = 500
"""Labels from which on a task is no classification: each item is scored on every label."""

FLAGS = ""
"""Name of the column that stands for a column per label; no column of a table is called so."""

_SEPARATORS = ";|, "
"""The last one, a blank, stands between numbers alone."""

# Known scales, lowest first; the file's values are compared with them in lower case.
_WORD_SCALES = (
    "very negative, negative, neutral, positive, very positive",
    "low, medium, moderate, high, critical",
    "none, minimal, mild, moderate, severe, extreme",
    "very bad, bad, poor, fair, average, good, very good, excellent",
    "never, rarely, sometimes, often, always",
    "strongly disagree, disagree, neutral, agree, strongly agree",
    "beginner, easy, intermediate, medium, hard, advanced",
)


@dataclass(frozen=True)
class LabelCount:
    """A label's value in the file, its word, and the number of rows."""

    value: str
    word: str
    rows: int


@dataclass(frozen=True)
class Answer:
    """The column with the answer and what it makes of the task."""

    column: str
    kind: TaskKind
    others: tuple[str, ...] = ()
    """Columns that could be meant as well."""
    separator: str | None = None
    is_named: bool = True
    """True if the column's name says so."""
    flags: tuple[str, ...] = ()
    """Columns of 0 and 1, one for each label, in the place of one column."""

    @property
    def title(self) -> str:
        """The column's name, or those of the columns that stand in its place."""
        return self.column or ", ".join(self.flags)


def find_answer(columns: dict[str, Column], label: str | None, kind: TaskKind | None) -> Answer:
    """Choose the column with the answer; `label` and `kind` are the user's own words.

    Raises
    ------
    InputError
        If no column can be learnt, or the one that is meant is of a kind that is not supported.
    """
    names = [label] if label else list(columns)
    forms = {name: form for name in names if (form := label_form(columns[name], kind))}
    if label and not forms:
        raise InputError(why_no_answer(columns[label], kind))
    scores = {name: _score(columns, name, form) for name, form in forms.items()}
    best = max(scores, key=scores.get, default=None)  # the first of equals
    if best is None or (not label and scores[best] < 1):
        raise InputError(nothing_to_learn(columns))
    if forms[best] == "regression":
        raise InputError(
            f"the column '{best}' holds real numbers, and regression is not supported; store ranges as labels, lowest "
            "first (kind ordinal), or name another column with --label"
        )
    others = sorted((name for name in scores if name != best), key=scores.get, reverse=True)
    return Answer(
        best,
        forms[best],
        tuple(name for name in others if scores[name] >= max(3, scores[best] - 1.5) and forms[name] != "regression"),
        separator_of(columns[best]) if forms[best] == "multi_label" and not columns[best].is_list else None,
        is_named=bool(label) or named(best, f"{ANSWERS} {REFERENCES}"),
    )


def label_form(column: Column, kind: TaskKind | None = None) -> str | None:
    """Name the kind of task that a column of answers makes, or `regression`; None if it can be no answer."""
    if not column.filled or column.is_mapping:
        return None
    if kind:
        return kind if _fits(column, kind) else None
    if column.is_list:
        return _list_form(column)
    if not column.is_scalar or len(column.counts) < 2:
        return None
    if separator_of(column):
        return "multi_label"
    if column.is_class:
        return "ordinal" if is_clear_scale(column) else "classification"
    if column.is_numeric:
        return "generation" if named(column.name, "answer solution result") or not column.is_real else "regression"
    return "generation"


def _fits(column: Column, kind: TaskKind) -> bool:
    if kind == "generation":
        return column.is_scalar or column.is_text_list
    if kind == "multi_label":
        return column.is_list or column.is_scalar
    return column.is_scalar and len(column.counts) >= 2


def _list_form(column: Column) -> str | None:
    counts = Counter(element for elements in column.elements for element in elements)
    if not counts or any(not element for element in counts):
        return None
    short = all(len(element) <= LONGEST_ANSWER and "\n" not in element for element in counts)
    repeated = sum(counts.values()) >= 2 * len(counts) and len(counts) <= MOST_LABELS
    if short and repeated and len(counts) > 1:
        return "multi_label"
    return "generation" if column.is_text_list else None


def separator_of(column: Column) -> str | None:
    """Find the text that stands between the labels of a column of texts, if it holds any number of labels."""
    if not column.is_scalar or column.is_numeric:
        return None
    for mark in _SEPARATORS:
        if sum(mark in text for text in column.texts) < 0.05 * len(column.texts):
            continue
        separator = (
            f"{mark} "
            if mark != " " and all(text.count(mark) == text.count(f"{mark} ") for text in column.counts)
            else mark
        )
        values = [[part.strip() for part in text.split(separator)] for text in column.counts]
        parts = Counter(part for value in values for part in set(value))
        short = mark != " " or all(part.isdigit() for part in parts)
        short &= all(part and len(part) <= 40 and len(part.split()) <= 4 for part in parts)
        combined = sum(count > 1 for count in parts.values()) >= len(parts) / 2 and any(len(v) == 1 for v in values)
        if short and combined and 2 <= len(parts) <= 100 and len(parts) < len(values):
            return separator
    return None


def is_clear_scale(column: Column) -> bool:
    """True for whole numbers in a row under a name such as `rating`."""
    if not column.is_whole or not named(column.name, SCALES):
        return False
    levels = sorted(int(float(text)) for text in column.counts)
    return 3 <= len(levels) <= 11 and levels[-1] - levels[0] == len(levels) - 1


def looks_like_scale(column: Column) -> bool:
    """True for numbers, texts that begin with one (`4 stars`) or the words of a known scale: they may be an order."""
    if column.is_numeric or all(re.match(r"\d+\b", text) for text in column.counts):
        return len(column.counts) >= 3
    values = {text.strip().lower().replace("_", " ") for text in column.counts}
    return len(values) >= 3 and any(values <= set(scale.split(", ")) for scale in _WORD_SCALES)


def label_counts(column: Column, separator: str | None = None) -> list[LabelCount]:
    """Count a column's labels and give each a readable word; numbers and known scales in their order.

    Raises
    ------
    InputError
        For fewer than two labels, more than `MOST_LABELS`, or one that cannot be written as a word.
    """
    if column.is_list:
        counts = Counter(element for elements in column.elements for element in set(elements))
    elif separator:
        counts = Counter(part.strip() for text in column.texts if text.strip() for part in set(text.split(separator)))
    else:
        counts = column.counts
    if len(counts) < 2:
        raise InputError(
            f"the column '{column.name}' has one label alone ({next(iter(counts), 'none')}); a task has two"
        )
    if len(counts) > MOST_LABELS:
        raise InputError(
            f"the column '{column.name}' has {len(counts)} labels, above {MOST_LABELS}; merge them, or take "
            "--kind generation, which generates the answer"
        )
    values = sorted(counts, key=_order(counts))
    try:
        return [
            LabelCount(value, word, counts[value])
            for value, word in zip(
                values, _label_words(values, column, is_joined=column.is_list or bool(separator)), strict=True
            )
        ]
    except ValueError as error:
        raise InputError(f"the column '{column.name}': {error}") from None


def _label_words(values: list[str], column: Column, is_joined: bool) -> list[str]:
    names = [re.sub(r"^(-?\d+)\.0+$", r"\1", _class_name(value, column.class_names)) for value in values]
    words = [" ".join(re.sub(r"[_\s]+", " ", name.replace(",", " ") if is_joined else name).split()) for name in names]
    try:
        check_distinct(words, values)
    except ValueError:
        words = [value.strip() for value in values]  # as the file tells them apart
        _check_spelling(values)
        check_distinct(words, values)
    return [check_label_word(word) for word in words]


def _check_spelling(values: list[str]) -> None:
    """Refuse labels that differ in case or blanks alone: no model could be taught which is which."""
    first: dict[str, str] = {}
    for value in values:
        other = first.setdefault(" ".join(value.casefold().split()), value)
        if other != value:
            raise ValueError(
                f"the labels '{visible(other)}' and '{visible(value)}' differ in case or blanks alone; write them "
                "alike in the file"
            )


def _class_name(value: str, names: tuple[str, ...]) -> str:
    return names[int(value)] if value.isdigit() and int(value) < len(names) else value


def _order(values: Iterable[str]):
    for scale in _WORD_SCALES:
        words = scale.split(", ")
        if all(value.strip().lower().replace("_", " ") in words for value in values):
            return lambda value: words.index(value.strip().lower().replace("_", " "))
    if all(re.fullmatch(r"-?\d+(\.\d+)?", value) for value in values):
        return float
    return lambda value: (value.lower(), value)


def _score(columns: dict[str, Column], name: str, form: str) -> float:
    """Rate how likely a column is the answer, by its name and form."""
    column = columns[name]
    score = {"classification": 1, "ordinal": 1, "multi_label": 0.5}.get(form, 0.0)
    hinted = named(name, ANSWERS) or (form == "generation" and named(name, REFERENCES))
    score += 3 * hinted + (0.5 if not column.is_numeric else 0) + 0.5 * (name == list(columns)[-1])
    score += 0.5 * named(name, "final gold majority")
    score -= 3 * named(name, NO_ANSWERS) + 3 * (form in ("generation", "regression") and not hinted)
    score -= 2 * (form == "generation" and named(name, TEXTS, last=True))
    score -= 5 * (
        form == "multi_label" and column.is_list and any(is_parallel(column, other) for other in columns.values())
    )
    return score + min(len(column.filled) / len(column.values) - 1, 0)


def flag_columns(columns: dict[str, Column]) -> list[str]:
    """List columns of 0 and 1, one for each label; none if there are few, or another column is the answer."""
    flags = [name for name, c in columns.items() if c.is_scalar and {*map(_flag, c.counts)} == {True, False}]
    flags = [name for name in flags if not named(name, NO_ANSWERS)]
    answers = [n for n, c in columns.items() if named(n, ANSWERS) and label_form(c) not in (None, "generation")]
    return flags if len(flags) >= 3 and not answers else []


def constant_flags(columns: dict[str, Column]) -> list[str]:
    """List columns that hold 0 alone, or 1 alone."""
    return [name for name, c in columns.items() if c.is_scalar and {*map(_flag, c.counts)} in ({True}, {False})]


def join_flags(columns: dict[str, Column], flags: list[str]) -> Column:
    """Make a column of lists with the names of the columns that hold 1."""
    texts = [columns[name].texts for name in flags]
    return Column(FLAGS, [[n for n, t in zip(flags, row, strict=True) if _flag(t)] for row in zip(*texts, strict=True)])


def _flag(text: str) -> bool | None:
    """Value of a cell of 0 and 1, as the step that makes splits reads it."""
    return FLAG_CELLS.get(text.strip().lower())
