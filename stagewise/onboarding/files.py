"""Read files of unknown form: format, encoding, delimiter and rows are seen in the bytes, not asked for."""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stagewise.config.base import validate
from stagewise.config.readers import Reader
from stagewise.data.formats import KEY
from stagewise.data.readers import SIGNATURES, read_records
from stagewise.errors import InputError

IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".mp4")

DELIMITERS = ",\t;|"

_LONGEST_NAME = 80
"""Characters of the longest name of a column; a longer one is a text, so the file has no header."""

_SHARE_OF_NAMES = 0.05
"""Share of the rows that have a column's name as its value from which on the first line is taken for a row."""


@dataclass
class Part:
    """One file, or one split of a data set of the hub."""

    entry: dict[str, str]
    """Its entry under a source's `files`."""
    name: str
    rows: list[dict[str, Any]]
    """Records, with nested ones also under their dotted paths."""


@dataclass
class Table:
    """Files of one form."""

    parts: dict[str, Part]
    """By role."""
    reader: dict[str, Any]
    """Settings of their reader; those of a data set of the hub are empty."""
    class_names: dict[str, list[str]] = field(default_factory=dict)
    """Names of the classes of columns that hold their numbers."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for part in self.parts.values() for row in part.rows]

    @property
    def names(self) -> list[str]:
        """Columns that every part has, in order of appearance; a column without a name is left out."""
        names = [dict.fromkeys(name for row in part.rows for name in row) for part in self.parts.values()]
        return [name for name in names[0] if name and all(name in others for others in names[1:])]


def read_table(paths: dict[str, Path], entries: dict[str, dict[str, str]]) -> Table:
    """Read files of one form, by role; `entries` are what the overlay calls them.

    Raises
    ------
    InputError
        If a file is none that the product reads, or two are not of one form.
    """
    table, first = Table({}, {}), ""
    for role, path in paths.items():
        reader, rows, class_names = read_file(path)
        if table.parts and reader != table.reader:
            raise InputError(f"{path}: it is {_form(reader)}, and {first} is {_form(table.reader)}; save both alike")
        table.reader, first = reader, first or str(path)
        table.class_names |= class_names
        table.parts[role] = Part(entries[role], path.name, [flat(row) for row in rows])
    return table


def read_file(path: Path) -> tuple[dict[str, Any], list[dict], dict[str, list[str]]]:
    """Read a file: settings of its reader, its records, and the names of classes that it knows by numbers."""
    head = _head(path)
    if head.startswith(b"PAR1"):
        return {"format": "parquet"}, *_read_parquet(path)
    text, encoding = _decode(path)
    reader = {} if encoding == "utf-8" else {"encoding": encoding}
    if text.lstrip()[:1] in ("{", "["):
        form, rows = _read_json(path, text)
        reader = form | reader
    else:
        reader = {"format": "csv"} | _csv_form(path, text) | reader
        header = next(row for row in _csv_rows(text, reader) if row)
        _check_header(path, header)
        rows = read_records(path, validate(Reader, reader, path), [name for name in header if name])
        _check_first_row(path, rows)
    if not rows:
        raise InputError(f"{path}: there is no record in it")
    return reader, rows, {}


def flat(record: dict, prefix: str = "") -> dict[str, Any]:
    """Add what nested records hold under dotted paths, and the one element of a list."""
    values = {}
    for key, value in record.items():
        values[f"{prefix}{key}"] = value
        if isinstance(value, dict):
            values |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | int | float):
            values[f"{prefix}{key}.0"] = value[0]
    return values


def _head(path: Path) -> bytes:
    """Read the first bytes of a file, and refuse what is no data."""
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name its files, such as train.csv and test.csv")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file, and a data set of the hub is written owner/name@revision")
    suffix = path.suffix.lower()
    if suffix in IMAGES or suffix in SOUNDS:
        kind = "images" if suffix in IMAGES else "sound and video"
        raise InputError(f"{path}: {kind} cannot be learnt, texts alone; name a file with texts and labels")
    head = path.open("rb").read(4096)
    if not head.strip():
        raise InputError(f"{path}: the file is empty")
    if head.startswith(b"PK\x03\x04") and b"[Content_Types].xml" in head:
        raise InputError(f"{path}: this is an Excel workbook (.xlsx); save it as CSV")
    for magic, kind in SIGNATURES.items():
        if head.startswith(magic) and magic != b"PAR1":
            raise InputError(f"{path}: this is {kind}")
    if head.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(f"{path}: this is a web page or XML; save the data as CSV, JSON or Parquet")
    return head


def _decode(path: Path) -> tuple[str, str]:
    """Decode a file's text; return it and the encoding."""
    raw = path.read_bytes()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ("utf-16",)
    else:
        candidates = ("utf-8", "cp1252", "latin-1")
    for encoding in candidates:
        try:
            text = raw.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text, encoding
    raise InputError(f"{path}: this is no text; save the data as CSV, JSON lines or Parquet")


def _read_json(path: Path, text: str) -> tuple[dict[str, Any], list[dict]]:
    """Read a list of records, records by key, or one record a line."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise InputError(f"{path}: line {error.lineno} is not valid JSON ({error.msg}); correct it") from None
        return {"format": "jsonl"}, _read_lines(path, text)
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not readable as JSON; save it as JSON lines, one record a line") from None
    if isinstance(values, list):
        return {"format": "json"}, _check_records(path, values)
    if _is_table_by_column(values):
        raise InputError(f"{path}: it holds columns and not records; save it with orient='records'")
    if len(values) > 1 and all(isinstance(record, dict) for record in values.values()):
        return {"format": "json", "keyed": True}, [{**record, KEY: key} for key, record in values.items()]
    lists = [key for key, value in values.items() if isinstance(value, list)]
    if lists and len(lists) < len(values) or len(lists) == 1:
        raise InputError(
            f"{path}: it holds one record, with lists such as '{lists[0]}'; save that list alone as a file"
        )
    if lists:
        raise InputError(f"{path}: it holds columns and not records; save it with orient='records'")
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return {"format": "jsonl"}, [values]
    raise InputError(f"{path}: it holds one object and no records; save a list of records, or one record a line")


def _is_table_by_column(values: dict) -> bool:
    """True for a table as `DataFrame.to_json` writes it: columns that hold their values by the row's number."""
    columns = list(values.values())
    if not columns or not all(isinstance(column, dict) and column for column in columns):
        return False
    return all(list(column) == [str(row) for row in range(len(columns[0]))] for column in columns)


def _read_lines(path: Path, text: str) -> list[dict]:
    records = []
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        try:
            records += [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: line {number} is not valid JSON ({error}); correct it") from None
    return _check_records(path, records)


def _check_records(path: Path, values: list) -> list[dict]:
    for row, value in enumerate(values, 1):
        if not isinstance(value, dict):
            raise InputError(f"{path}: row {row} is no record with names; save a list of objects")
    return values


def _csv_form(path: Path, text: str) -> dict[str, Any]:
    """Find the delimiter, whether quotes are text, and the meaning of a backslash before a quote."""
    candidates = ["\t", *DELIMITERS.replace("\t", "")] if path.suffix.lower() in (".tsv", ".tab") else [*DELIMITERS]
    forms: list[dict[str, Any]] = []
    for delimiter in candidates:
        form = {} if delimiter == "," else {"delimiter": delimiter}
        forms += [form, form | {"escape": "\\"}] if '\\"' in text else [form]
        forms += [form | {"quoting": False}] if delimiter == "\t" else []  # tabs seldom stand in a text, quotes do
    scores = [_share_of_full_rows(text, form) for form in forms]
    best = forms[scores.index(max(scores))]  # the first of equals
    is_prose = max(scores) > 0 and path.suffix.lower() == ".txt" and _is_prose(text, best, max(scores))
    if is_prose or not max(scores):
        what = "it holds lines of text and no table" if is_prose else "its first line has one column"
        raise InputError(
            f"{path}: {what}, and a task needs a text and an answer; name a file with both "
            "(docs/data-shapes.md has texts and labels in two files)"
        )
    unclear = rf'\\"(?![\r\n"{re.escape(best.get("delimiter", ","))}]|\Z)'
    if "escape" not in best and best.get("quoting", True) and re.search(unclear, text):
        best = best | {"escape": ""}
    return best


def _share_of_full_rows(text: str, form: dict[str, Any]) -> float:
    """Share of rows that have as many fields as the header; 0 for one column, or quotes that do not fit."""
    try:
        widths = [len(row) for row in _csv_rows(text, form) if row]
    except csv.Error:
        return 0.0
    return widths.count(widths[0]) / len(widths) if widths and widths[0] > 1 else 0.0


def _is_prose(text: str, form: dict[str, Any], full_rows: float) -> bool:
    """True for lines of text whose commas are no delimiters: rows differ, or the first one is a sentence."""
    header = next(row for row in _csv_rows(text, form) if row)
    return full_rows < 0.9 or any(len(name.split()) > 5 for name in header)


def _csv_rows(text: str, form: dict[str, Any]) -> Iterator[list[str]]:
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield from csv.reader(
            io.StringIO(text, newline=""),
            delimiter=form.get("delimiter", ","),
            escapechar=form.get("escape") or None,
            quoting=csv.QUOTE_MINIMAL if form.get("quoting", True) else csv.QUOTE_NONE,
            strict=True,
        )
    finally:
        csv.field_size_limit(limit)


def _check_header(path: Path, header: list[str]) -> None:
    """Refuse a first line that is a row."""
    if header[0].strip().lower().startswith("sep="):
        raise InputError(f"{path}: the first line names the separator, for Excel; take it out")
    for name in header:
        if len(name) > _LONGEST_NAME or re.fullmatch(r"-?\d+(\.\d+)?", name.strip()):
            raise InputError(
                f"{path}: the first line holds values and no names of columns; put a line such as text,label before it"
            )


def _check_first_row(path: Path, rows: list[dict[str, str]]) -> None:
    """Refuse a header that comes again among the rows, or that is a row itself."""
    for number, row in enumerate(rows, 1):
        if all(value == name for name, value in row.items()):
            raise InputError(f"{path}: row {number} is the header again; take it out")
    for name in rows[0]:
        if sum(row[name] == name for row in rows) >= max(2, _SHARE_OF_NAMES * len(rows)):
            raise InputError(
                f"{path}: '{name}' is a value of the column that is called so, so the first line seems to be a row; "
                "put a line with names before it, such as text,label, or rename the column"
            )


def _read_parquet(path: Path) -> tuple[list[dict], dict[str, list[str]]]:
    import pyarrow
    from pyarrow import parquet

    try:
        content = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file ({' '.join(str(error).split())})") from None
    # `datasets` writes the names of classes beside the columns.
    features = (
        json.loads((content.schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    )
    class_names = {}
    for name, feature in features.items():
        feature = feature.get("feature", feature) if isinstance(feature, dict) else None  # classes, or lists of them
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
            class_names[name] = feature["names"]
    if not content.num_rows:
        raise InputError(f"{path}: there is no record in it")
    return content.to_pylist(), class_names


def _form(reader: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value!r}" if key != "format" else str(value) for key, value in reader.items())
