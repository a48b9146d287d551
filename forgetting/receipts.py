"""Content decides what is current: checksums, fingerprints and receipts."""

import hashlib
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from forgetting.errors import InputError, read_json

RECEIPT = "receipt.json"


def sha256_file(path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fingerprint(facts: dict) -> str:
    """SHA-256 of plain data in canonical JSON: the same facts give the same fingerprint."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


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
    """Yield an empty folder beside `path` that takes its place only if the block succeeds."""
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
    """Write JSON atomically, readable and with a stable order."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_receipt(folder, facts: dict, names=None) -> dict:
    """Write ``receipt.json``: what made the folder (`facts`) and the checksum of each file in it.

    `names` limits the files that the receipt vouches for; all regular files below the folder otherwise.
    """
    folder = Path(folder)
    if names is None:
        names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != RECEIPT]
    receipt = {**facts, "files": {name: sha256_file(folder / name) for name in sorted(names)}}
    write_json(folder / RECEIPT, receipt)
    return receipt


def read_receipt(folder, what: str, verify: bool = True) -> dict:
    """Read a folder's receipt and, unless told otherwise, check every file against it.

    Raises
    ------
    InputError
        Where the receipt or a file is missing, or a file is not what the receipt says.
    """
    folder = Path(folder)
    receipt = read_json(folder / RECEIPT, f"the receipt of {what}")
    for name, expected in receipt["files"].items() if verify else ():
        path = folder / receipt.get("path", ".") / name
        if not path.is_file():
            raise InputError(f"{path}: {what} is incomplete, this file is missing; delete {folder} and run again")
        if sha256_file(path) != expected:
            raise InputError(f"{path}: {what} does not match its receipt (damaged?); delete {folder} and run again")
    return receipt
