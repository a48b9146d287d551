"""File times that Snakemake is to believe where they could not be written to the disk."""

from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import snakemake.io
from snakemake_interface_storage_plugins.io import Mtime

_TIMES: dict[str, Mtime] = {}
_MISSING: set[str] = set()


class _Exists(snakemake.io.ExistsDict):
    """Snakemake's memory of which files exist, without those that the plan takes for missing."""

    def __setitem__(self, path, exists: bool) -> None:
        super().__setitem__(path, exists and str(path) not in _MISSING)


class PlannedTimes(snakemake.io.IOCache):
    """Snakemake's memory of file times, filled with those of the plan before it looks at any file."""

    def __init__(self, max_wait_time):
        super().__init__(max_wait_time)
        self.mtime.update(_TIMES)
        self._exists_local = _Exists(self)

    def save(self, handle) -> None:
        """Write the memory for a later plan, which takes longer without it if the disk is full."""
        content = BytesIO()
        super().save(content)
        with suppress(OSError):
            handle.raw.write(content.getbuffer())


def plan_times(times: dict[Path, int], missing: Iterable[str] = ()) -> None:
    """Have the plan that Snakemake is about to make take these times, in nanoseconds, for those of the files.

    Files of `missing` are taken for missing.
    """
    _TIMES.update({str(path): Mtime(local=time / 10**9) for path, time in times.items()})
    _MISSING.update(missing)
    snakemake.io.IOCache = PlannedTimes
