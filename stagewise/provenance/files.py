"""Checksums, JSON files, and atomic writes."""

import hashlib
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from stagewise.errors import InputError


def read_json(path, what: str) -> dict:
    """Read a JSON file that holds an object, such as an earlier step's record; `what` names it in messages.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, is not valid JSON or holds something else.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            values = json.load(handle)
    except FileNotFoundError:
        raise InputError(f"{path}: {what} is missing; run the step that writes it") from None
    except OSError as error:
        raise InputError(f"{path}: {what} cannot be read ({error.strerror}); name a readable file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {what} is not valid JSON ({json_problem(error)})") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: {what} is not an object with keys; correct it, or make it again")
    return values


def json_problem(error: Exception) -> str:
    """Say why JSON cannot be read, of the errors that Python raises for it."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if str(error).startswith("Exceeds the limit"):
        return "a number has thousands of digits; write it as a text"
    return str(error)


def sha256_file(path) -> str:
    """Compute the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextmanager
def atomic(path):
    """Yield a temporary path beside `path` that replaces it only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    try:
        yield Path(temporary)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes files private
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def replaced_folder(path):
    """Yield an empty folder beside `path` that replaces it only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        folder = Path(temporary) / path.name  # one level down: mkdtemp makes the outer one private
        folder.mkdir()
        yield folder
        if path.is_dir():
            path.rename(Path(temporary) / "old")
        folder.rename(path)


def write_json(path, values) -> None:
    """Write JSON atomically, indented, with keys in the order of `values`."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
