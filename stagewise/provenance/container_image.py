"""Identity of the container image that a run uses: its content."""

from pathlib import Path

from stagewise.errors import InputError
from stagewise.provenance.checksums import ChecksumMemory


def checksum(path, memory: ChecksumMemory | None = None) -> str:
    """Return the SHA-256 of an image file; its gigabytes are read once and remembered.

    Parameters
    ----------
    memory
        Remembered checksums, saved by the caller; if not given, those of the working directory.

    Raises
    ------
    InputError
        If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such image; build it with `make containers`, or name another in STAGEWISE_IMAGE"
        )
    if memory is not None:
        return memory(path)
    memory = ChecksumMemory()
    image = memory(path)
    memory.save()
    return image
