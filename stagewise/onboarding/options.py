"""Options of each item: the columns that hold them, and the form of the gold label."""

import re
from dataclasses import dataclass
from itertools import groupby

from stagewise.config.tasks import Options
from stagewise.data.options import GoldOption, ItemOptions, read_options
from stagewise.errors import InputError
from stagewise.onboarding.columns import Column, named
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
        rows = options_of_rows([columns[name] for name in names])
        counts = [len(options.raw) for options in rows if options.raw]
        gold = _gold(columns, names, rows, label) if len(counts) >= _SHARE * len(rows) else None
        if gold:
            return OptionColumns(list(names), max(counts), gold[1], gold[0], min(counts), gold[2])
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
    """True for lists and mappings of at least two short texts, judged by the first of them."""
    if column.is_scalar or not all(isinstance(value, list | dict | str) for value in column.filled):
        return False
    if any(len(value) > len(LETTERS) for value in column.filled) and not named(column.name, OPTIONS):
        return False
    first = options_of_rows([Column(column.name, column.filled[:50])])
    return sum(bool(options.raw) for options in first) >= _SHARE * len(first)


def options_of_rows(columns: list[Column]) -> list[ItemOptions]:
    """Options of each row, read as the step that makes splits reads them; none of a row that has fewer than two."""
    settings = Options(columns=[column.name for column in columns], most=len(LETTERS))
    rows = []
    for place in range(len(columns[0].values)):
        record = {column.name: column.values[place] for column in columns}
        try:
            options, problem = read_options(settings, record, f"row {place + 1}")
        except InputError:
            raise InputError(
                f"the column '{columns[0].name}' has more options in row {place + 1} than the {len(LETTERS)} letters; "
                "shorten the list, or name other columns with --options"
            ) from None
        rows.append(ItemOptions([], []) if problem else options)
    return rows


def _gold(columns: dict[str, Column], options: list[str], rows: list[ItemOptions], label: str | None):
    """Find the gold label's column and form: (column, form, doubtful)."""
    inner = tuple(f"{name}." for name in options)
    others = [name for name in columns if name not in options and not name.startswith(inner)]
    names = [label] if label else [name for name in others if columns[name].is_scalar]
    names.sort(key=lambda name: (not named(name, "answer label correct gold target key cop solution right"),))
    # Of lists that are not called options, such as sections, a small number need not be the place of one.
    forms = ("letter", "key", "text", "index", "number")
    forms = forms if len(options) > 1 or named(options[0], OPTIONS) else ("letter", "text")
    for name in names:
        golds = [text.strip() for text in columns[name].texts]
        for form in forms:
            reader = GoldOption(Options(columns=options, most=len(LETTERS), gold=form), name)
            fitting = [bool(gold) and reader.find(gold, row) is not None for gold, row in zip(golds, rows, strict=True)]
            if sum(fitting) < _SHARE * len(fitting) or len(columns[name].counts) < 2:
                continue
            if form != "index":
                return name, form, False
            if any(int(gold) == 0 for gold in golds if gold.isdigit()):
                return name, form, False
            return name, "number", True  # no item has 0: it counts from 1, or its first option is never right
    return None
