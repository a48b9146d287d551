"""The mirror: a folder that is searched for raw files and model packages before any download."""

import os
from pathlib import Path

from stagewise.errors import InputError

MIRROR_VARIABLE = "STAGEWISE_MIRROR"


def mirror_from_environment() -> str | None:
    """Folder named by the environment variable, if it is set."""
    return os.environ.get(MIRROR_VARIABLE) or None


def check_mirror(mirror: str) -> None:
    """Refuse a mirror that is not a folder."""
    if not Path(mirror).is_dir():
        raise InputError(
            f"{mirror}: the mirror is not a folder; correct --mirror or {MIRROR_VARIABLE}, or leave it out"
        )
