"""Receipts of base-model folders."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from stagewise.config.shareable import LOCAL
from stagewise.models.model_folder import is_model_file
from stagewise.provenance.checksums import ChecksumMemory
from stagewise.provenance.files import atomic, sha256_file, write_json
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.receipts import RECEIPT, check_files, read_receipt

LOCATION = "location"
"""File beside a receipt with the path of the directory that holds a model's files, if that is not the receipt's own.

Links to those files lie beside it, by which other tools load the folder.
It stays on this machine; the receipt may be passed on.
"""

CHECKSUMS = "checksums"
"""File beside a receipt that remembers the checksums of the model's files, so that a start need not read them all.

It stays on this machine, as `LOCATION` does.
"""

LOCAL_FILES = (LOCATION, CHECKSUMS)
"""Files beside a receipt that are no part of the model."""


def write_model_receipt(folder, name: str, origin: dict, files_at=None, names=None) -> dict:
    """Write the receipt of a model folder; its fingerprint depends on the files' content alone.

    Parameters
    ----------
    folder
        Where the receipt goes.
    origin
        Source of the model, as plain data that may be passed on.
    files_at
        Directory of the files if that is not `folder` itself.
    names
        Files that the receipt vouches for; all below `folder` if not given.
    """
    folder = Path(folder)
    directory = Path(files_at) if files_at else folder
    if names is None:
        others = (RECEIPT, *LOCAL_FILES)
        names = [p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file()]
        names = [name for name in names if name not in others]
    files = {name: sha256_file(directory / name) for name in sorted(names)}
    receipt = {
        "model": name,
        "origin": origin,
        "path": LOCAL if files_at else ".",
        "files": files,
        "fingerprint": fingerprint(files),
    }
    if files_at:
        write_location(folder, directory)
    write_json(folder / RECEIPT, receipt)
    return receipt


def write_location(folder, directory) -> None:
    """Write down where a receipt's files are on this machine, and link them, so that other tools load the folder.

    The path is as absolute as it was named; a relative one starts at the receipt, so that both can be moved.
    """
    folder, directory = Path(folder), Path(directory)
    target = directory.resolve()
    path = str(target) if directory.is_absolute() else os.path.relpath(target, folder.resolve())
    with atomic(folder / LOCATION) as temporary:
        temporary.write_text(f"{path}\n", encoding="utf-8")
    _link_files(folder, path)


def _link_files(folder: Path, directory: str) -> None:
    """Link the model files of a directory, as seen from `folder`, beside a receipt; older links are removed.

    Nothing of this package reads them. A file system without links has none.
    """
    for path in folder.iterdir():
        if path.is_symlink():
            path.unlink()
    for source in sorted((folder / directory).iterdir()):
        is_part = is_model_file(source.name) and source.name != RECEIPT and source.is_file()
        if is_part and not (folder / source.name).exists():
            with suppress(OSError):
                (folder / source.name).symlink_to(os.path.join(directory, source.name))


def located(model_dir, receipt: dict) -> dict:
    """Fill in where the files of a receipt are on this machine; `LOCAL` stays if that is not known."""
    if receipt.get("path") != LOCAL:
        return receipt
    try:
        path = (Path(model_dir) / LOCATION).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        return receipt
    return receipt | {"path": path}


def model_receipt(model_dir, verify: bool = False) -> dict:
    """Read the receipt of a model folder, its path that on this machine; with `verify`, check every file against it.

    A file is read for that once, and again if its size, inode or times have changed (`ChecksumMemory`); each time in a
    folder that cannot be written.
    """
    receipt = located(model_dir, read_receipt(model_dir, "the base model", verify=False))
    if verify:
        checksums = ChecksumMemory(Path(model_dir) / CHECKSUMS)
        check_files(model_dir, "the base model", receipt, checksums)
        checksums.save()
    return receipt


def model_files(model_dir) -> Path:
    """Directory that holds a model's files: the folder itself or the user's own directory."""
    return Path(model_dir) / model_receipt(model_dir)["path"]


def model_folder_checksums(directory, checksum: Callable[..., str] = sha256_file) -> dict[str, str]:
    """SHA-256 of every model file in a directory, by name: of those that a receipt of it would vouch for."""
    directory = Path(directory)
    names = sorted(p.name for p in directory.iterdir() if is_model_file(p.name) and p.name != RECEIPT and p.is_file())
    return {name: checksum(directory / name) for name in names}


def changed_model_files(model_dir, receipt: dict, checksum: Callable[..., str] = sha256_file) -> list[str]:
    """Say which model files were changed, added or removed since the receipt was written, one line each.

    A directory that is not on this machine has not changed: what is made from it may be here without it, and a step
    that needs it says so. With remembered checksums, files that were not touched are not read.

    Parameters
    ----------
    model_dir
        Folder of the receipt; the files may lie elsewhere.
    """
    expected, actual = receipt["files"], _present_files(model_dir, receipt, checksum)
    lines = []
    for name in sorted({*expected, *actual}) if actual else ():
        if expected.get(name) != actual.get(name):
            verb = "added" if name not in expected else "removed" if name not in actual else "changed"
            lines.append(f"model file {name} {verb}")
    return lines


def current_fingerprint(model_dir, receipt: dict, checksum: Callable[..., str] = sha256_file) -> str:
    """Compute the fingerprint that a receipt written now would have.

    A fetched model is fetched again as it was; a directory of the user's is taken as it is.
    """
    files = current_files(model_dir, receipt, checksum)
    return receipt["fingerprint"] if files is receipt["files"] else fingerprint(files)


def current_files(model_dir, receipt: dict, checksum: Callable[..., str] = sha256_file) -> dict[str, str]:
    """SHA-256 by name of the files that a receipt written now would have (`current_fingerprint`)."""
    files = _present_files(model_dir, receipt, checksum)
    return files if files and receipt["path"] != "." else receipt["files"]


def holds_model(model_dir, receipt: dict) -> bool:
    """Tell if any file that a receipt names is where the receipt says."""
    directory = Path(model_dir) / located(model_dir, receipt)["path"]
    return any((directory / name).is_file() for name in receipt["files"])


def _present_files(model_dir, receipt: dict, checksum: Callable[..., str]) -> dict[str, str]:
    """Checksums of the model files that are there now; empty if none of those that the receipt names is."""
    if not holds_model(model_dir, receipt):
        return {}
    directory = Path(model_dir) / located(model_dir, receipt)["path"]
    files = model_folder_checksums(directory, checksum)
    # A receipt may name a file that the selection leaves out.
    others = [name for name in receipt["files"] if name not in files and (directory / name).is_file()]
    return dict(sorted((files | {name: checksum(directory / name) for name in others}).items()))
