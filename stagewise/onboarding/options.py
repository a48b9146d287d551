"""Options of each item: the columns that hold them, and the form of the gold label."""

import re
from dataclasses import dataclass
from itertools import groupby

from stagewise.data.raw_items import as_text
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
        lists = options_of_rows([columns[name] for name in names])
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
    flat = [name for name in columns if "." not in name]  # nested options are one column, a mapping
    matches = [(match["family"], name) for name in flat if (match := _FAMILY.fullmatch(name))]
    for family, group in groupby(sorted(matches, key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        names = [name for _, name in group]
        expected = not family or family.lower() in ("op", "opt", "sol", "ans") or named(family, OPTIONS, last=True)
        if len(names) >= (3 if not family else 2) and expected and all(columns[name].is_scalar for name in names):
            families.append(sorted(names))
    return [*families, *([name] for name in holders)]


def _holds_options(column: Column) -> bool:
    if column.is_mapping:
        return all(map(_is_labelled, column.filled)) or all(
            isinstance(text, str) or text is None for value in column.filled for text in value.values()
        )
    return column.is_text_list and all(len(value) >= 2 for value in column.filled)


def options_of_rows(columns: list[Column]) -> list[dict[str, str]]:
    """Options of each row by key, without the empty ones at the end; empty if a row has fewer than two."""
    rows = []
    for values in zip(*(column.values for column in columns), strict=True):
        if len(columns) > 1 or isinstance(values[0], str):
            options = {column.name: value for column, value in zip(columns, values, strict=True)}
        elif isinstance(values[0], dict):
            labelled = _is_labelled(values[0])
            options = dict(zip(values[0]["label"], values[0]["text"], strict=True)) if labelled else values[0]
        else:
            options = {f"\0{place}": value for place, value in enumerate(values[0] or [])}  # no key is called so
        while options and is_empty(list(options.values())[-1]):
            options = dict(list(options.items())[:-1])
        rows.append({str(key): as_text(value).strip() for key, value in options.items()})
    enough = sum(len(options) >= 2 for options in rows)
    return rows if enough >= _SHARE * len(rows) else []


def _is_labelled(value: dict) -> bool:
    """True for a record of two lists, the options' keys and their texts."""
    keys, texts = value.get("label"), value.get("text")
    return isinstance(keys, list) and isinstance(texts, list) and len(keys) == len(texts) == len(set(map(str, keys)))


def _gold(columns: dict[str, Column], options: list[str], rows: list[dict[str, str]], label: str | None):
    """Find the gold label's column and form: (column, form, doubtful)."""
    names = [label] if label else [name for name in columns if name not in options and columns[name].is_scalar]
    names.sort(key=lambda name: (not named(name, "answer label correct gold target key cop solution right"),))
    for name in names:
        golds = [text.strip() for text in columns[name].texts]
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
        letter = re.fullmatch(r"\(?([A-Za-z])[).:]?", gold)
        return bool(letter) and letter[1].upper() in LETTERS[: len(options)]
    if form == "key":
        return gold in options
    if form == "text":
        return gold in options.values()
    start = int(form == "number")
    return gold.isdigit() and start <= int(gold) < start + len(options)
