"""Receipts: what a folder was made from, and the checksum of every file in it."""

from pathlib import Path

from stagewise.errors import InputError
from stagewise.provenance.files import read_json, sha256_file, write_json

RECEIPT = "receipt.json"


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
