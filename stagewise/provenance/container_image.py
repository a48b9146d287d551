"""Which container image a run uses, by content."""

import json
import os
from pathlib import Path

from stagewise.errors import InputError
from stagewise.provenance.files import sha256_file, write_json

MEMORY = Path(".snakemake") / "image.json"


def checksum(path) -> str:
    """SHA-256 of an image file.

    Gigabytes are not read in every plan: the checksum is remembered with the file's size, place on the disk and time.

    Raises
    ------
    InputError
        Where there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such image; build it with `make containers`, or name another in STAGEWISE_IMAGE"
        )
    facts = path.stat()
    known = {"path": str(path.resolve()), "size": facts.st_size, "inode": facts.st_ino, "time": facts.st_mtime_ns}
    try:
        memory = json.loads(MEMORY.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        memory = {}
    if {key: memory.get(key) for key in known} != known:
        memory = known | {"sha256": sha256_file(path)}
        if os.access(".", os.W_OK):
            write_json(MEMORY, memory)
    return memory["sha256"]
