"""Checksums, JSON files, and atomic writes."""

import hashlib
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from stagewise.errors import InputError


def read_json(path, what: str) -> dict:
    """Read a JSON file that an earlier step wrote; `what` names it in messages.

    Raises
    ------
    InputError
        If the file is missing or not valid JSON.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            return json.load(handle)
    except FileNotFoundError:
        raise InputError(f"{path}: {what} is missing; run the step that writes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {what} is not valid JSON ({error})") from None


def sha256_file(path) -> str:
    """Compute the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextmanager
def atomic(path, private: bool = False):
    """Yield a temporary path beside `path` that replaces it only if the block succeeds.

    Nobody but the owner may read a `private` file; others are as readable as the umask lets them be.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    try:
        yield Path(temporary)
        mask = os.umask(0)
        os.umask(mask)
        if not private:
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


def write_json(path, values, private: bool = False) -> None:
    """Write JSON atomically, indented, with keys in the order of `values`; see `atomic`."""
    with atomic(path, private) as temporary:
        temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
