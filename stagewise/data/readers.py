"""Read raw files as records, in a format of `formats` or one of the user's, and refuse what is not data.

``reader.format: package.module:function`` names a function from outside the package.
"""

import codecs
import importlib
from pathlib import Path

from stagewise.config.readers import Reader
from stagewise.data.formats import FORMATS, Format, select_columns
from stagewise.errors import InputError

# First bytes of files that a failed download or a wrong path gives instead of data.
SIGNATURES = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls); save it as CSV",
    b"PAR1": "a Parquet file; set reader.format: parquet",
    b"ARROW1": "an Arrow file; convert it to Parquet",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
    b"%PDF": "a PDF document; name a file with data",
    b"\x28\xb5\x2f\xfd": "a zstd archive; unpack it",
    b"PK\x03\x04": "a zip archive; unpack it or name the file inside it as 'member'",
    b"\x1f\x8b": "a gzip archive; unpack it or name the file inside it as 'member'",
    b"BZh": "a bzip2 archive; unpack it or name the file inside it as 'member'",
    b"\xfd7zXZ": "an xz archive; unpack it or name the file inside it as 'member'",
    b"7z\xbc\xaf": "a 7z archive; unpack it",
    b"version https://git-lfs": "a Git LFS pointer; fetch the file it stands for",
}


def read_records(path, reader: Reader, columns: list[str]) -> list[dict]:
    """Read a raw file: one mapping per record, in file order, with the given columns only.

    Parameters
    ----------
    path
        Path of the file.
    reader
        Format, encoding and delimiter.
    columns
        Columns to read; a column that a JSON record lacks is None.

    Raises
    ------
    InputError
        If the file does not fit `reader`, is empty, or lacks a column.
    """
    path = Path(path)
    columns = list(dict.fromkeys(columns))
    read = find_format(reader.format)
    head = path.open("rb").read(4096)
    if not head:
        raise InputError(f"{path}: the file is empty")
    if reader.keyed and reader.format != "json":
        raise InputError(f"{path}: reader.keyed goes with format json, not {reader.format}")
    if reader.format in FORMATS:
        _check_head(path, reader, head)
        records = read(path, reader, columns)
    else:
        records = _read_foreign(path, reader, columns, read)
    if not records:
        raise InputError(f"{path}: there is no record in it")
    return records


def find_format(name: str) -> Format:
    """Find the function that reads a format, registered in `formats` or named as ``package.module:function``.

    Raises
    ------
    InputError
        If there is no such function.
    """
    if name in FORMATS:
        return FORMATS[name]
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        hint = "is its folder on PYTHONPATH?" if isinstance(error, ImportError) else "correct the module"
        raise InputError(f"the reader.format '{name}' cannot be imported ({reason}); {hint}") from None
    function = getattr(module, function_name, None)
    if not callable(function):
        raise InputError(
            f"{module.__file__ or module_name}: holds no function '{function_name}' for the reader.format '{name}'"
        )
    return function


def _check_head(path: Path, reader: Reader, head: bytes) -> None:
    """Refuse an archive or a web page in place of data."""
    if reader.format == "parquet" and head.startswith(b"PAR1"):
        return
    if head.startswith(b"PK\x03\x04") and b"[Content_Types].xml" in head:
        raise InputError(f"{path}: not {reader.format} but an Excel workbook (.xlsx); save it as CSV")
    if kind := next((kind for magic, kind in SIGNATURES.items() if head.startswith(magic)), None):
        raise InputError(f"{path}: not {reader.format} but {kind}")
    if head.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(f"{path}: not {reader.format} but a web page, perhaps an error message; correct the address")


def _read_foreign(path: Path, reader: Reader, columns: list[str], read: Format) -> list[dict]:
    """Read with a format from outside the package; its errors become one sentence, too."""
    try:
        records = list(read(path, reader, columns))
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: {reader.format} could not read it ({message})") from None
    return select_columns(path, records, columns)
