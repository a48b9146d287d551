"""Options of each item: the columns that hold them, and the form of the gold label."""

import re
from dataclasses import dataclass
from itertools import groupby

from stagewise.errors import InputError
from stagewise.onboarding.columns import Column, is_empty, named
from stagewise.task_kinds import LETTERS

OPTIONS = "option choice ending candidate answer alternative distractor"

_SHARE = 0.98
"""Share of the rows whose gold label must be one of their options."""

_FAMILY = re.compile(r"(?P<family>.*?)[ _.-]?(?P<place>[A-Ha-h]|\d)")


@dataclass(frozen=True)
class OptionColumns:
    """Settings `options` of a task."""

    columns: list[str]
    most: int
    gold: str
    label: str
    """Column with the gold label."""
    fewest: int
    """Options of the item that has fewest."""
    is_doubtful: bool = False
    """True if gold numbers could as well count from 0."""


def find_options(columns: dict[str, Column], named_columns: list[str], label: str | None) -> OptionColumns | None:
    """Find options and gold label; `named_columns` and `label` are the user's own words, if there are any.

    Raises
    ------
    InputError
        If an item has more options than there are letters, or the columns that the user names hold no options.
    """
    candidates = [named_columns] if named_columns else _candidates(columns)
    for names in candidates:
        lists = _options_of_rows([columns[name] for name in names])
        gold = _gold(columns, names, lists, label) if lists else None
        if gold is None:
            continue
        most = max(map(len, lists))
        if most > len(LETTERS):
            raise InputError(
                f"the column '{names[0]}' has an item with {most} options, and there are {len(LETTERS)} letters; "
                "shorten the lists"
            )
        counts = [len(options) for options in lists if options]
        return OptionColumns(list(names), most, gold[1], gold[0], min(counts), gold[2])
    if named_columns:
        raise InputError(
            f"--options {' '.join(named_columns)}: no column tells which of these options is right, by letter, place, "
            "key or text; name it with --label"
        )
    return None


def _candidates(columns: dict[str, Column]) -> list[list[str]]:
    """List sets of columns that may hold options: those named so first."""
    holders = [name for name, column in columns.items() if _holds_options(column)]
    holders.sort(key=lambda name: not named(name, OPTIONS))
    families = []
    matches = [(match["family"], name) for name in columns if (match := _FAMILY.fullmatch(name))]
    for family, group in groupby(sorted(matches, key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        names = [name for _, name in group]
        expected = not family or family.lower() in ("op", "opt", "sol", "ans") or named(family, OPTIONS, last=True)
        if len(names) >= (3 if not family else 2) and expected and all(columns[name].is_scalar for name in names):
            families.append(sorted(names))
    return [*families, *([name] for name in holders)]


def _holds_options(column: Column) -> bool:
    if column.is_mapping:
        return all(isinstance(text, str) or text is None for value in column.filled for text in value.values())
    return column.is_text_list and all(len(value) >= 2 for value in column.filled)


def _options_of_rows(columns: list[Column]) -> list[dict[str, str]]:
    """Options of each row by key, without the empty ones at the end; empty if a row has fewer than two."""
    rows = []
    for values in zip(*(column.values for column in columns), strict=True):
        if len(columns) > 1 or isinstance(values[0], str):
            options = {column.name: value for column, value in zip(columns, values, strict=True)}
        elif isinstance(values[0], dict):
            options = values[0]
        else:
            options = {str(place): value for place, value in enumerate(values[0] or [])}
        while options and is_empty(list(options.values())[-1]):
            options = dict(list(options.items())[:-1])
        rows.append({key: str(value) for key, value in options.items()})
    enough = sum(len(options) >= 2 for options in rows)
    return rows if enough >= _SHARE * len(rows) else []


def _gold(columns: dict[str, Column], options: list[str], rows: list[dict[str, str]], label: str | None):
    """Find the gold label's column and form: (column, form, doubtful)."""
    names = [label] if label else [name for name in columns if name not in options and columns[name].is_scalar]
    names.sort(key=lambda name: (not named(name, "answer label correct gold target key cop solution right"),))
    for name in names:
        golds = columns[name].texts
        for form in ("letter", "key", "text", "index", "number"):
            fitting = [_names_option(form, gold, row) for gold, row in zip(golds, rows, strict=True)]
            if sum(fitting) < _SHARE * len(fitting) or len(columns[name].counts) < 2:
                continue
            if form != "index":
                return name, form, False
            if any(int(gold) == 0 for gold in golds if gold.isdigit()):
                return name, form, False
            return name, "number", True  # no item has 0: it counts from 1, or its first option is never right
    return None


def _names_option(form: str, gold: str, options: dict[str, str]) -> bool:
    if form == "letter":
        return len(gold) == 1 and gold in LETTERS[: len(options)]
    if form == "key":
        return gold in options
    if form == "text":
        return gold in options.values()
    start = int(form == "number")
    return gold.isdigit() and start <= int(gold) < start + len(options)
