"""Checksums remembered from plan to plan, so that a plan reads only files that changed.

A file is taken for unchanged if its size, inode, modification time and change time are the remembered ones. The change
time is the kernel's and cannot be set back, so an edit under a restored modification time is noticed too.

A file system's clock ticks a few milliseconds to two seconds apart, so a second edit right after reading can leave all
four equal. As git does with its index, files whose times lie within two seconds of the reading are therefore not
remembered: the next plan reads them once more. Within one plan they are read once, since a plan judges one moment.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from stagewise.provenance.files import sha256_file
from stagewise.provenance.memory import FOLDER, read_memory, write_memory

CHECKSUMS = FOLDER / "stagewise-checksums.json"

TICK = 2 * 10**9
"""Nanoseconds; FAT and some network file systems count in steps of two seconds."""

_VERSION = "stagewise-checksums-1"


class ChecksumMemory:
    """SHA-256 of files by absolute path; called like `sha256_file`.

    Parameters
    ----------
    path
        JSON file that holds the checksums between two plans.
    """

    def __init__(self, path=CHECKSUMS):
        self.path = path
        self._entries = read_memory(path, _VERSION)
        self._recent: set[str] = set()  # read too soon after a change to be remembered
        self._changed = False

    def __call__(self, path) -> str:
        """Return a file's checksum, reading the file only if it may have changed."""
        key = os.path.abspath(path)
        stamp = _stamp(key)
        if (checksum := self._remembered(key, stamp)) is not None:
            return checksum
        started = time.time_ns()
        checksum = sha256_file(key)
        self._entries[key] = [*stamp, checksum]
        self._changed = True
        (self._recent.add if max(stamp[2:]) > started - TICK else self._recent.discard)(key)
        return checksum

    def set_time(self, path, ns: int) -> None:
        """Set a file's modification time, and that of a link to it, without forgetting its checksum.

        Raises
        ------
        PermissionError
            If the file belongs to someone else.
        """
        with self.same_content(path):
            os.utime(path, ns=(ns, ns))
            if os.path.islink(path):
                os.utime(path, ns=(ns, ns), follow_symlinks=False)

    @contextmanager
    def same_content(self, path) -> Iterator[None]:
        """Keep a checksum over a change that leaves the content alone: of times, permissions or hard links.

        A checksum that was not valid before the block is not made valid by it.
        """
        key = os.path.abspath(path)
        checksum = self._remembered(key, _stamp(key))
        yield
        if checksum is not None:
            stamp = _stamp(key)
            self._entries[key] = [*stamp, checksum]
            self._changed = True
            # A later edit sets the modification time to the clock's, which differs unless it was just set to that.
            if stamp[2] > time.time_ns() - TICK:
                self._recent.add(key)

    def save(self) -> None:
        """Write the memory if it changed, without files that have vanished."""
        if not self._changed:
            return
        lasting = {key: entry for key, entry in self._entries.items() if key not in self._recent}
        write_memory(self.path, _VERSION, {key: entry for key, entry in lasting.items() if os.path.exists(key)})
        self._changed = False

    def _remembered(self, key: str, stamp: list[int]) -> str | None:
        entry = self._entries.get(key)
        return entry[4] if isinstance(entry, list) and len(entry) == 5 and entry[:4] == stamp else None


def _stamp(path: str) -> list[int]:
    status = os.stat(path)
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]
