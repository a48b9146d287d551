"""Texts of raw values: ids, labels, prompt variables, and lists that a cell holds as one text."""

import ast
import json

from stagewise.config.tasks import Column

# Spreadsheets leave these in a cell whose text they could not read.
SPREADSHEET_ERRORS = {"#NAME?", "#REF!", "#VALUE!", "#N/A", "#DIV/0!", "#NULL!", "#NUM!"}


def as_text(value) -> str:
    """Write a value as text: whole numbers without a decimal point, nothing for a missing value."""
    if value is None or isinstance(value, list | dict) or value != value:  # NaN is a missing number
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def field_text(value, column: Column) -> tuple[str, str | None]:
    """Text of a prompt variable, and the reason if it cannot be used. Numbers are texts; a list is one line each."""
    if isinstance(value, list):
        if not all(isinstance(section, str | int | float) for section in value):
            return "", "not text"
        value = "\n".join(map(as_text, value[: 1 if column.sections == "first" else None]))
    elif value is not None and not isinstance(value, str | int | float):
        return "", "not text"
    text = as_text(value)
    if not text.strip():
        return "", "empty text"
    if not is_readable(text):
        return "", "unreadable text"
    return text, None


def is_readable(text: str) -> bool:
    """Check that a text is no spreadsheet's error and can be written as UTF-8; JSON may hold half a surrogate pair."""
    if text.strip() in SPREADSHEET_ERRORS:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_list(text: str) -> list | None:
    """Read a list that a cell holds as JSON or Python writes it; None if the text is none."""
    if not text.strip().startswith("["):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return value if isinstance(value, list) else None
    return None
