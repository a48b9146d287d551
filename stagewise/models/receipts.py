"""Receipts of base-model folders."""

from pathlib import Path

from stagewise.provenance.files import sha256_file, write_json
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.receipts import RECEIPT, read_receipt


def write_model_receipt(folder, name: str, origin: dict, files_at=None, names=None) -> dict:
    """Write the receipt of a model folder; its fingerprint depends on the files' content alone.

    Parameters
    ----------
    folder
        Where the receipt goes.
    origin
        Where the model came from, as plain data.
    files_at
        Directory of the files where that is not `folder` itself.
    names
        Files that the receipt vouches for; all below `folder` if not given.
    """
    folder = Path(folder)
    where = Path(files_at).resolve() if files_at else folder
    if names is None:
        names = [p.relative_to(where).as_posix() for p in where.rglob("*") if p.is_file() and p.name != RECEIPT]
    files = {name: sha256_file(where / name) for name in sorted(names)}
    receipt = {
        "model": name,
        "origin": origin,
        # Relative to the receipt, so that a model folder can be moved; absolute for a directory of the user's.
        "path": str(where) if files_at else ".",
        "files": files,
        "fingerprint": fingerprint(files),
    }
    write_json(folder / RECEIPT, receipt)
    return receipt


def model_receipt(model_dir, verify: bool = False) -> dict:
    """The receipt of a model folder; with `verify`, every file is checked against it."""
    return read_receipt(model_dir, "the base model", verify=verify)


def model_files(model_dir) -> Path:
    """The directory that holds a model's files: the folder itself or the user's own directory."""
    return Path(model_dir) / model_receipt(model_dir)["path"]
