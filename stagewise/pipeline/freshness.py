"""Content decides what is current; file times only carry the verdict to Snakemake.

Before a plan is made, every output that is there is compared with what it would be made from now: receipts and
recipes against settings and checksums. What is current gets times that say so, however new a checkout or a download
made its inputs; what is stale gets a time older than any input. The default profile has Snakemake look at nothing else.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError

STALE = 1
"""Seconds since 1970: older than any input. Snakemake takes 0 for no time at all."""


@dataclass(frozen=True)
class Output:
    """What one job leaves behind."""

    files: list[Path]
    inputs: list[Path]
    current: Callable[[], bool]
    """Whether the files are what the settings and the inputs give, as far as these are there."""
    keep: Callable[[], None] | None = None
    """Puts current files into the store: should Snakemake make them again, they are copied."""
    spare: tuple[Path, ...] = ()
    """Files that may be missing where nobody needs them: they can be made again, and a receipt says what they are."""


def settle(outputs: Iterable[Output]) -> int:
    """Make file times tell what content says, inputs before what is made from them; returns how many are stale.

    Raises
    ------
    InputError
        Where a file's time cannot be set.
    """
    stale = 0
    for output in outputs:
        times = {path: time for path in output.files if (time := _time(path))}
        if not times:
            continue
        missing = set(output.files) - set(times) - set(output.spare)
        if not missing and _holds(output):
            newest = max(map(_time, output.inputs), default=0)
            _set([path for path, time in times.items() if time < newest], newest)
            if output.keep:
                output.keep()
        else:
            stale += 1
            _set(list(times), STALE * 10**9)
    return stale


def _time(path: Path) -> int:
    """Modification time in nanoseconds, the link's or its target's, whichever is later; 0 where there is nothing."""
    try:
        return max(path.stat().st_mtime_ns, path.lstat().st_mtime_ns)
    except OSError:
        return 0


def _set(paths: list[Path], time: int) -> None:
    for path in paths:
        try:
            os.utime(path, ns=(time, time))
            if path.is_symlink():
                os.utime(path, ns=(time, time), follow_symlinks=False)
        except PermissionError:
            raise InputError(
                f"{path}: it belongs to someone else, so its time cannot be set; work on a copy of your own"
            ) from None


def _holds(output: Output) -> bool:
    try:
        return output.current()
    except (InputError, OSError, KeyError, TypeError, AttributeError):
        return False  # incomplete, damaged, or written by another version: made again
