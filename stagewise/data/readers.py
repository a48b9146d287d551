"""Raw files as records: JSON, JSONL, CSV and Parquet, values as they are written, refusals in one sentence.

CSV and Parquet go through `datasets`. JSON does not: its reader turns texts that look like dates into
timestamps and, where a column mixes types, texts that look like numbers into numbers; ids must survive.
"""

import codecs
import csv
import difflib
import io
import json
import sys
import tempfile
from pathlib import Path

from stagewise.config.tasks import Reader
from stagewise.errors import InputError

KEY = "key"
"""Column that a keyed JSON file's ids are read into."""

# First bytes of what a failed download or a wrong path gives instead of data.
SIGNATURES = {
    b"PK\x03\x04": "a zip archive; unpack it or name the file inside it as 'member'",
    b"\x1f\x8b": "a gzip archive; unpack it or name the file inside it as 'member'",
    b"BZh": "a bzip2 archive; unpack it or name the file inside it as 'member'",
    b"\xfd7zXZ": "an xz archive; unpack it or name the file inside it as 'member'",
    b"7z\xbc\xaf": "a 7z archive; unpack it",
    b"version https://git-lfs": "a Git LFS pointer; fetch the file it stands for",
}


def read_records(path, reader: Reader, columns: list[str]) -> list[dict]:
    """Read a raw file: one mapping per record, in file order, with the asked columns alone.

    Parameters
    ----------
    path
        The file.
    reader
        Format, encoding and delimiter.
    columns
        Columns to read; a column that a JSON record lacks is None there.

    Raises
    ------
    InputError
        Where the file is not what `reader` says, is empty, or lacks a column.
    """
    path = Path(path)
    head = path.open("rb").read(4096)
    if not head:
        raise InputError(f"{path}: the file is empty")
    if kind := next((kind for magic, kind in SIGNATURES.items() if head.startswith(magic)), None):
        raise InputError(f"{path}: not {reader.format} but {kind}")
    if head.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(f"{path}: not {reader.format} but a web page, perhaps an error message; correct the address")
    if reader.keyed and reader.format != "json":
        raise InputError(f"{path}: reader.keyed goes with format json, not {reader.format}")
    read = {"json": _json, "jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[reader.format]
    columns = list(dict.fromkeys(columns))
    records = read(path, reader, columns)
    if not records:
        raise InputError(f"{path}: there is no record in it")
    return records


def _check_columns(path: Path, wanted: list[str], found: list[str]) -> None:
    for column in wanted:
        if column not in found:
            near = difflib.get_close_matches(column, found, n=1, cutoff=0.5)
            some = ", ".join(found[:8]) + (", …" if len(found) > 8 else "")
            hint = f"did you mean '{near[0]}'?" if near else f"it has {some}"
            raise InputError(f"{path}: there is no column '{column}'; {hint}")
        if found.count(column) > 1:
            raise InputError(f"{path}: the column '{column}' is there {found.count(column)} times; rename one")


def _text(path: Path, reader: Reader) -> str:
    """The file's text, line endings as they are, without a byte-order mark."""
    raw = path.read_bytes()
    try:
        return raw.decode(reader.encoding).removeprefix("\ufeff")
    except LookupError:
        raise InputError(f"{path}: reader.encoding '{reader.encoding}' is not a known text encoding") from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}: line {line} is not {reader.encoding} text (byte {error.start}); set reader.encoding, "
            "for instance to cp1252 or utf-16"
        ) from None


class _Object(dict):
    """A JSON object that still knows the keys it was given twice."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.pairs = pairs


def _json(path: Path, reader: Reader, columns: list[str]) -> list[dict]:
    try:
        values = json.loads(_text(path, reader), object_pairs_hook=_Object)
    except json.JSONDecodeError as error:
        lines = "; one object a line is format jsonl" if error.msg == "Extra data" else ""
        raise InputError(f"{path}: line {error.lineno} is not valid JSON ({error.msg}){lines}") from None
    except RecursionError:
        raise InputError(f"{path}: not valid JSON (nested too deeply)") from None
    if not isinstance(values, dict if reader.keyed else list):
        said = "one object of id → record (reader.keyed)" if reader.keyed else "a list of objects"
        fix = "reader.keyed: false" if isinstance(values, list) else "reader.keyed: true"
        way = f"; set {fix}" if isinstance(values, dict | list) else ""
        raise InputError(f"{path}: expected {said} but found {_kind(values)}{way}")
    if not reader.keyed:
        return _select(path, values, columns)
    records = []
    for row, (key, record) in enumerate(values.pairs, 1):
        if not isinstance(record, dict):
            hint = "; it looks like a single record: put it in a list and set reader.keyed: false" if row == 1 else ""
            raise InputError(f"{path}: row {row} ('{key}') is not an object but {_kind(record)}{hint}")
        records.append({**record, KEY: key})
    return _select(path, records, columns)


def _jsonl(path: Path, reader: Reader, columns: list[str]) -> list[dict]:
    values = []
    # Only these end a line: a text may hold other separators, which str.splitlines would cut at.
    for number, line in enumerate(io.StringIO(_text(path, reader), newline=None), 1):
        if not line.strip():
            continue
        try:
            values.append(json.loads(line))
        except (json.JSONDecodeError, RecursionError) as error:
            way = "; a list of objects is format json" if number == 1 and line.lstrip().startswith("[") else ""
            raise InputError(f"{path}: line {number} is not valid JSON ({error}){way}") from None
    return _select(path, values, columns)


def _select(path: Path, records: list, columns: list[str]) -> list[dict]:
    found: dict[str, None] = {}
    for row, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise InputError(f"{path}: row {row} is not an object but {_kind(record)}")
        found.update(dict.fromkeys(record))
    if records:
        _check_columns(path, columns, list(found))
    return [{column: record.get(column) for column in columns} for record in records]


def _kind(value) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "a number")


def _csv(path: Path, reader: Reader, columns: list[str]) -> list[dict]:
    rows = _check_csv(path, reader, columns)
    from datasets import Dataset, Features, Value

    records = _through_datasets(
        path,
        Dataset.from_csv,
        encoding=reader.encoding,
        sep=reader.delimiter,
        # Every value stays the text it is: no number, date or missing value is guessed.
        features=Features({column: Value("string") for column in columns}),
        na_filter=False,
        index_col=False,
    )
    if len(records) != rows:
        raise InputError(f"{path}: {rows} rows by one count, {len(records)} by another; look for stray quotes")
    return records


def _check_csv(path: Path, reader: Reader, columns: list[str]) -> int:
    """Count the rows and refuse those that pandas would pad or cut without a word."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        lines = csv.reader(io.StringIO(_text(path, reader), newline=""), delimiter=reader.delimiter)
        header = next((row for row in lines if row), [])
        _check_columns(path, columns, header)
        count = 0
        for row in lines:
            if not row:
                continue
            count += 1
            if len(row) != len(header):
                raise InputError(
                    f"{path}: row {count} (line {lines.line_num}) has {len(row)} fields but the header has "
                    f"{len(header)}; look for a stray quote or reader.delimiter"
                )
    except csv.Error as error:
        raise InputError(f"{path}: not readable as CSV near line {lines.line_num} ({error})") from None
    finally:
        csv.field_size_limit(limit)
    if not count:
        raise InputError(f"{path}: there is a header but no row")
    return count


def _parquet(path: Path, reader: Reader, columns: list[str]) -> list[dict]:
    import pyarrow
    from datasets import Dataset
    from pyarrow import parquet

    try:
        _check_columns(path, columns, parquet.read_schema(path).names)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file ({' '.join(str(error).split())})") from None
    return _through_datasets(path, Dataset.from_parquet, columns=columns)


def _through_datasets(path: Path, load, **options) -> list[dict]:
    """Load one file with a `datasets` loader, leaving nothing in anybody's cache."""
    import datasets

    bars = datasets.is_progress_bar_enabled()
    level = datasets.utils.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity(datasets.utils.logging.CRITICAL)  # it logs what is raised anyway
    try:
        with tempfile.TemporaryDirectory(prefix="forgetting-") as cache:
            return load(str(path), cache_dir=cache, keep_in_memory=True, **options).to_list()
    except Exception as error:
        cause = error.__cause__ or error
        message = " ".join(str(cause).split()).removeprefix("Error tokenizing data. C error: ")
        raise InputError(f"{path}: it cannot be read ({message or type(cause).__name__})") from None
    finally:
        datasets.utils.logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bars()
