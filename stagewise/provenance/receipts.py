"""Receipts: a folder's inputs, and the checksum of every file in it."""

from collections.abc import Callable
from pathlib import Path

from stagewise.errors import InputError
from stagewise.provenance.files import read_json, sha256_file, write_json
from stagewise.provenance.sealed_json import seal

RECEIPT = "receipt.json"


def write_receipt(folder, facts: dict, names=None) -> dict:
    """Write ``receipt.json``: `facts` on how the folder was made, and checksums of its files and of itself.

    `names` limits the files that the receipt vouches for; all regular files below the folder otherwise. Checksums of
    files outside the folder may stand in `facts` under ``files``.
    """
    folder = Path(folder)
    if names is None:
        names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != RECEIPT]
    files = {name: sha256_file(folder / name) for name in sorted(names)}
    receipt = seal({**facts, "files": {**facts.get("files", {}), **files}})
    write_json(folder / RECEIPT, receipt)
    return receipt


def read_receipt(folder, what: str, verify: bool = True, checksum: Callable[..., str] = sha256_file) -> dict:
    """Read a folder's receipt and, unless told otherwise, check every file against it.

    `what` names the folder's content in messages; `checksum` computes a file's SHA-256, or remembers it.

    Raises
    ------
    InputError
        If the receipt or a file is missing or damaged; it names the file.
    """
    folder = Path(folder)
    receipt = read_json(folder / RECEIPT, f"the receipt of {what}")
    if not isinstance(receipt, dict) or not isinstance(receipt.get("files"), dict):
        raise InputError(f"{folder / RECEIPT}: the receipt of {what} is damaged; delete {folder} and run again")
    if verify:
        check_files(folder, what, receipt, checksum)
    return receipt


def check_files(folder, what: str, receipt: dict, checksum: Callable[..., str] = sha256_file) -> None:
    """Check every file against a receipt. Raises `InputError` if one is missing or damaged."""
    for name in damaged_files(folder, receipt, checksum):
        path = _path(Path(folder), receipt, name)
        if not path.is_file():
            raise InputError(f"{path}: {what} is incomplete, this file is missing; delete {folder} and run again")
        raise InputError(f"{path}: {what} does not match its receipt (damaged?); delete {folder} and run again")


def damaged_files(folder, receipt: dict, checksum: Callable[..., str] = sha256_file, optional=()) -> list[str]:
    """Name the files that are missing or not as the receipt has them; those of `optional` may be missing."""
    damaged = []
    for name, expected in receipt["files"].items():
        path = _path(Path(folder), receipt, name)
        is_missing = not path.is_file()
        if (name not in optional) if is_missing else (checksum(path) != expected):
            damaged.append(name)
    return damaged


def _path(folder: Path, receipt: dict, name: str) -> Path:
    return folder / receipt.get("path", ".") / name
