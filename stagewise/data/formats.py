"""Formats of raw files: JSON, JSONL, CSV, TSV, Parquet and lines of text. Values stay as they are written.

A format is a function ``(path, reader, columns) -> records``, registered under its name in ``reader.format``.

CSV, TSV and Parquet are read by `datasets`. JSON is not: that reader turns texts that look like dates into timestamps
and, in a column of mixed types, texts that look like numbers into numbers; ids would be changed.
"""

import csv
import io
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from stagewise.config.readers import Reader
from stagewise.data.columns import check_columns, head_of, pick_columns
from stagewise.errors import InputError
from stagewise.provenance.files import json_problem

Format = Callable[[Path, Reader, list[str]], list[dict]]
"""Function that reads a file's records; each has at least the given columns, None for a missing value."""

FORMATS: dict[str, Format] = {}
"""Formats of this package by name, see `register`."""

KEY, VALUE = "key", "value"
"""Columns of a keyed JSON file: for the ids, and for what stands beside them if that is no record."""


def register(name: str) -> Callable[[Format], Format]:
    """Register a function as the reader of format `name`, which config.readers.FormatName must list."""

    def add(read: Format) -> Format:
        FORMATS[name] = read
        return read

    return add


@register("json")
def read_json(path: Path, reader: Reader, columns: list[str]) -> list[dict]:
    try:
        values = json.loads(_read_text(path, reader), object_pairs_hook=_Object)
    except json.JSONDecodeError as error:
        hint = "; one object a line is format jsonl" if error.msg == "Extra data" else _table_hint(error)
        raise InputError(f"{path}: line {error.lineno} is not valid JSON ({error.msg}){hint}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({json_problem(error)})") from None
    if not isinstance(values, dict if reader.keyed else list):
        expected = "one object of id → record (reader.keyed)" if reader.keyed else "a list of objects"
        setting = "reader.keyed: false" if isinstance(values, list) else "reader.keyed: true"
        hint = f"; set {setting}" if isinstance(values, dict | list) else ""
        raise InputError(f"{path}: expected {expected} but found {_kind(values)}{hint}")
    if not reader.keyed:
        return select_columns(path, values, columns)
    records = []
    if VALUE in columns and {*columns} <= {KEY, VALUE}:
        return [{KEY: key, VALUE: value} for key, value in values.pairs]
    for row, (key, record) in enumerate(values.pairs, 1):
        if not isinstance(record, dict):
            hint = "; it looks like a single record: put it in a list and set reader.keyed: false" if row == 1 else ""
            raise InputError(f"{path}: row {row} ('{key}') is not an object but {_kind(record)}{hint}")
        _refuse_repeated_keys(path, row, record)
        records.append({**record, KEY: key})
    return select_columns(path, records, columns)


def _table_hint(error: json.JSONDecodeError) -> str:
    """A way out if not even the first character is JSON."""
    return "; a table is format csv or tsv" if error.pos == 0 else ""


@register("jsonl")
def read_jsonl(path: Path, reader: Reader, columns: list[str]) -> list[dict]:
    values = []
    # Universal newlines only: str.splitlines would also split at other separators, which a text may hold.
    for number, line in enumerate(io.StringIO(_read_text(path, reader), newline=None), 1):
        if not line.strip():
            continue
        try:
            values.append(json.loads(line, object_pairs_hook=_Object))
        except json.JSONDecodeError as error:
            hint = "; a list of objects is format json" if number == 1 and line.lstrip().startswith("[") else ""
            hint = hint or (_table_hint(error) if number == 1 else "")
            raise InputError(f"{path}: line {number} is not valid JSON ({error}){hint}") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: line {number} is not readable as JSON ({json_problem(error)})") from None
    return select_columns(path, values, columns)


@register("lines")
def read_lines(path: Path, reader: Reader, columns: list[str]) -> list[dict]:
    """Read a file of one text a line, in which the only column has the name that is asked for."""
    if len(columns) != 1:
        raise InputError(
            f"{path}: format lines has one column, but {', '.join(columns)} are read of it; name the files of the "
            "others in the source's joins"
        )
    # Not str.splitlines, which would also split at other separators, which a text may hold.
    lines = _read_text(path, reader).removesuffix("\n").split("\n")
    return [{columns[0]: line.removesuffix("\r")} for line in lines]


@register("tsv")
@register("csv")
def read_csv(path: Path, reader: Reader, columns: list[str]) -> list[dict]:
    rows, names = _csv_rows(path, reader, columns)
    from datasets import Dataset, Features, Value

    records = _through_datasets(
        path,
        Dataset.from_csv,
        encoding=reader.encoding,
        sep=reader.separator,
        escapechar=reader.escape or None,
        quoting=csv.QUOTE_MINIMAL if reader.quoting else csv.QUOTE_NONE,
        # Every value stays text: no number, date or missing value is guessed.
        features=Features({name: Value("string") for name in names.values()}),
        na_filter=False,
        index_col=False,
    )
    if len(records) != len(rows):
        raise InputError(f"{path}: {len(rows)} rows by one count, {len(records)} by another; look for stray quotes")
    for number, (row, record) in enumerate(zip(rows, records, strict=True), 1):
        if row != {column: record[name] for column, name in names.items()}:
            raise InputError(f"{path}: row {number} can be read in two ways; look for stray quotes or backslashes")
    return rows


def _csv_rows(path: Path, reader: Reader, columns: list[str]) -> tuple[list[dict], dict[str, str]]:
    """Read the rows once more, and refuse what pandas would pad, cut or take for something else without a word.

    Also returns the columns' names in pandas, which differ where the header has none.
    """
    text = _read_text(path, reader)
    _refuse_unclear_escapes(path, reader, text)
    limit = csv.field_size_limit(sys.maxsize)
    lines = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=reader.separator,
        escapechar=reader.escape or None,
        quoting=csv.QUOTE_MINIMAL if reader.quoting else csv.QUOTE_NONE,
        strict=True,
    )
    rows, begun = [], 1
    try:
        header = [name or f"Unnamed: {place}" for place, name in enumerate(next((row for row in lines if row), []))]
        unnamed = [name for place, name in enumerate(header) if name == f"Unnamed: {place}"]
        # The first column of a table that pandas wrote, which is its index, has no name.
        names = {column: unnamed[0] if not column and len(unnamed) == 1 else column for column in columns}
        _refuse_other_separator(path, reader, header, columns)
        check_columns(path, list(names.values()), header)
        positions = {column: header.index(name) for column, name in names.items()}
        begun = lines.line_num + 1
        for row in lines:
            if row and len(row) != len(header):
                raise InputError(
                    f"{path}: row {len(rows) + 1} (line {lines.line_num}) has {len(row)} fields but the header has "
                    f"{len(header)}; look for a stray quote, reader.delimiter or reader.escape"
                )
            if row:
                rows.append({column: row[position] for column, position in positions.items()})
            begun = lines.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}: {_quoting_problem(error, begun, lines.line_num, text)}") from None
    finally:
        csv.field_size_limit(limit)
    if not rows:
        raise InputError(f"{path}: there is a header but no row")
    return rows, names


def _refuse_other_separator(path: Path, reader: Reader, header: list[str], columns: list[str]) -> None:
    """Refuse JSON, and a table that another character separates: it has one column, whose name holds that character."""
    if header and header[0].lstrip().startswith(("{", "[{")) and not {*columns} <= {*header}:
        raise InputError(
            f"{path}: not {reader.format} but JSON; set reader.format: jsonl for a record a line, else json"
        )
    if len(header) != 1 or header[0] in columns:
        return
    for separator, setting in (
        ("\t", "reader.format: tsv"),
        (";", "reader.delimiter: ';'"),
        (",", "reader.format: csv"),
    ):
        if {*columns} & {*header[0].split(separator)}:
            raise InputError(f"{path}: its columns are separated by {separator!r}; set {setting}")


def _refuse_unclear_escapes(path: Path, reader: Reader, text: str) -> None:
    """Refuse a backslash before a quote that neither ends a text nor is doubled, if reader.escape does not say why."""
    pattern = rf'\\"(?![\r\n"{re.escape(reader.separator)}]|\Z)'
    if reader.quoting and reader.escape is None and (match := re.search(pattern, text)):
        line = text[: match.start()].count("\n") + 1
        raise InputError(
            f"{path}: line {line} has a backslash before a quote; set reader.escape to '\\' if it belongs to the "
            "quote, or to '' if backslashes are text"
        )


def _quoting_problem(error: csv.Error, begun: int, line: int, text: str) -> str:
    """Say what is wrong with the quotes of the row that begins in line `begun`, and the way out."""
    way = "write each quote inside a text twice" + (", or set reader.escape" if '\\"' in text else "")
    way += ", or set reader.quoting: false if quotes are text"
    if "end of data" in str(error):
        return f"a quote is opened in the row that begins in line {begun} and never closed; close it, or {way}"
    if "expected after" in str(error):
        return f"line {line}: a text goes on after its closing quote; {way}"
    return f"not readable as CSV near line {line} ({error})"


@register("parquet")
def read_parquet(path: Path, reader: Reader, columns: list[str]) -> list[dict]:
    import pyarrow
    from datasets import Dataset
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
        heads = {column: head_of(column, schema.names) or column for column in columns}
        check_columns(path, list(heads.values()), schema.names)
        rows = parquet.read_metadata(path).num_rows
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file ({' '.join(str(error).split())})") from None
    kinds = pyarrow.types
    for column in dict.fromkeys(heads.values()):
        kind = schema.field(column).type
        if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
            raise InputError(f"{path}: the column '{column}' holds bytes; store it as text (string)")
        if kinds.is_map(kind) or kinds.is_union(kind):
            raise InputError(f"{path}: the column '{column}' holds records ({kind}); store it as text")
    loaded = list(dict.fromkeys(heads.values()))
    records = _through_datasets(path, Dataset.from_parquet, columns=loaded) if rows else []
    return pick_columns(path, records, columns)


def _through_datasets(path: Path, load, **options) -> list[dict]:
    """Load one file with a `datasets` loader, without leaving a cache."""
    import datasets

    bars = datasets.is_progress_bar_enabled()
    level = datasets.utils.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity(datasets.utils.logging.CRITICAL)  # it logs errors that it also raises
    try:
        with tempfile.TemporaryDirectory(prefix="stagewise-") as cache:
            return load(str(path), cache_dir=cache, keep_in_memory=True, **options).to_list()
    except Exception as error:
        cause = error.__cause__ or error
        message = " ".join(str(cause).split()).removeprefix("Error tokenizing data. C error: ")
        raise InputError(f"{path}: it cannot be read ({message or type(cause).__name__})") from None
    finally:
        datasets.utils.logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bars()


def select_columns(path: Path, records: list, columns: list[str]) -> list[dict]:
    """Check that records are mappings, and select columns; None for a value that a record lacks."""
    for row, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise InputError(f"{path}: row {row} is not an object but {_kind(record)}")
        _refuse_repeated_keys(path, row, record)
    return pick_columns(path, records, columns)


def _kind(value) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "a number")


def _read_text(path: Path, reader: Reader) -> str:
    """Decode the file, line endings as they are, without a byte-order mark."""
    raw = path.read_bytes()
    try:
        text = raw.decode(reader.encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        start = getattr(error, "start", 0)  # some encodings do not say where
        line = raw[:start].count(b"\n") + 1
        raise InputError(
            f"{path}: line {line} is not {reader.encoding} text (byte {start}); set reader.encoding, "
            "for instance to cp1252 or utf-16"
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(
            f"{path}: line {line} holds a NUL byte, which is no text; take it out, or set reader.encoding, "
            "for instance to utf-16-le"
        )
    return text


def _refuse_repeated_keys(path: Path, row: int, record: dict) -> None:
    if isinstance(record, _Object) and len(record.pairs) > len(record):
        keys = [key for key, _ in record.pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"{path}: row {row} has the key '{repeated}' twice; keep one")


class _Object(dict):
    """A JSON object that keeps repeated keys, as `pairs`."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.pairs = pairs
