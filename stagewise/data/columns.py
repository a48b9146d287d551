"""Columns of records: a name, or a path with dots into what a column holds."""

import difflib
from collections.abc import Iterator
from pathlib import Path

from stagewise.config.base import shown
from stagewise.errors import InputError

MISSING = object()
"""Value of `follow` for a path that leads nowhere."""

LONGEST_NAME = 40
"""Characters of a column's name in an error; a file without a header has texts for names."""


def follow(value, path: str):
    """Follow a path into a record.

    A name that holds dots comes before a path. A whole number takes an item of a list, from 0; a name takes that value
    of every record in a list.

    Returns
    -------
    The value, or `MISSING` if the path leads nowhere.
    """
    if isinstance(value, dict):
        if path in value:
            return value[path]
        inner = (follow(value[head], rest) for head, rest in _cuts(path) if head in value)
        return next((value for value in inner if value is not MISSING), MISSING)
    if not isinstance(value, list):
        return MISSING
    head, _, rest = path.partition(".")
    if head.isdecimal():
        item = value[int(head)] if int(head) < len(value) else MISSING
        return follow(item, rest) if rest else item
    items = [follow(record, path) for record in value]
    return items if items and MISSING not in items else MISSING


def head_of(path: str, names: list[str]) -> str | None:
    """Name of the column that a path begins in; None if it is none of `names`."""
    return path if path in names else next((head for head, _ in _cuts(path) if head in names), None)


def pick_columns(path: Path, records: list[dict], columns: list[str]) -> list[dict]:
    """Select columns of records; None for a value that a record lacks.

    Raises
    ------
    InputError
        For a column that no record has.
    """
    selected = [{column: follow(record, column) for column in columns} for record in records]
    for column in columns if records else ():
        if all(values[column] is MISSING for values in selected):
            raise _missing(path, column, list(dict.fromkeys(name for record in records for name in record)), records)
    return [{name: None if value is MISSING else value for name, value in values.items()} for values in selected]


def check_columns(path: Path, columns: list[str], present: list[str]) -> None:
    """Refuse a column that is not among those of a table, or is there twice."""
    for column in columns:
        if column not in present:
            raise _missing(path, column, present)
        if present.count(column) > 1:
            raise InputError(f"{path}: the column '{column}' is there {present.count(column)} times; rename one")


def inner_names(value) -> list[str]:
    """Names and places that may follow a column's name in a path."""
    if isinstance(value, dict):
        return list(value)
    records = isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return list(dict.fromkeys(name for record in value for name in record)) if records else []


def _cuts(path: str) -> Iterator[tuple[str, str]]:
    """Cut a path at each of its dots, the last first."""
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:end]), ".".join(parts[end:])


def _missing(path: Path, column: str, present: list[str], records: list[dict] = ()) -> InputError:
    head = head_of(column, present)
    names = next((names for record in records if head and (names := inner_names(record.get(head)))), None)
    if names:
        return InputError(f"{path}: there is no column '{column}'; '{head}' holds {list_names(names)}")
    near = difflib.get_close_matches(column, present, n=1, cutoff=0.5)
    hint = f"did you mean {shown(near[0], LONGEST_NAME)}?" if near else f"it has {list_names(present)}"
    return InputError(f"{path}: there is no column '{column}'; {hint}")


def list_names(names: list[str]) -> str:
    """List the first names, cut to a readable length."""
    texts = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…" for name in names[:8]]
    return ", ".join(texts) + (", …" if len(names) > 8 else "")
