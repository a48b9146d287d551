"""A lock that lets one process at a time work in a folder of the cache; the others wait for its result.

The kernel holds the lock on a file beside the folder (flock), and frees it when its process dies, however it dies. The
file also says who holds it, for those that wait. Where the file system has no locks, a record file takes its place: it
counts while its process lives, which another host asks Slurm about, or tells by the record's age.
"""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from stagewise.errors import InputError, Unfinished
from stagewise.provenance.processes import Process, boot, find_process, machine

SILENCE = 600.0
"""Seconds after which a record of another host that nobody refreshes, and that Slurm does not know, is abandoned."""

HEARTBEAT = 60.0
"""Seconds between two refreshments of a record, and between two lines of progress of a process that waits."""

_POLL = 0.5
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL}


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock."""

    host: str
    machine: str
    """Scope of its process id (`stagewise.provenance.processes.machine`)."""
    pid: int
    started: str
    """When the process started, in clock ticks since the boot: a number may be given to another process later."""
    slurm_job: str | None
    since: str
    """Local time at which it took the lock."""

    @classmethod
    def current(cls) -> "Holder":
        """Describe this process."""
        return cls(
            host=socket.gethostname(),
            machine=machine(),
            pid=os.getpid(),
            started=find_process(os.getpid()).started,
            slurm_job=os.environ.get("SLURM_JOB_ID"),
            since=time.strftime("%Y-%m-%d %H:%M:%S"),
        )

    @classmethod
    def parse(cls, text: str) -> "Holder | None":
        """Read a record; None if it is empty or damaged."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None

    def __str__(self) -> str:
        job = f", Slurm job {self.slurm_job}" if self.slurm_job else ""
        return f"process {self.pid} on {self.host}{job}, since {self.since}"

    def lives(self, silent_seconds: float) -> bool:
        """Tell if the process still runs, as far as it can be known here; `silent_seconds` is its record's age."""
        if self.machine == machine():
            return Process(self.pid, self.started).is_alive
        if self.host == socket.gethostname() and boot(self.machine) != boot(machine()):
            return False  # the host has been started anew
        if self.slurm_job and (queued := is_queued(self.slurm_job)) is not None:
            return queued
        return silent_seconds < SILENCE


def is_queued(job: str) -> bool | None:
    """Tell if Slurm has a job waiting or running; None if it cannot be asked."""
    try:
        asked = subprocess.run(["squeue", "-h", "-j", job, "-o", "%T"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if asked.returncode:
        return False if "Invalid job id" in asked.stderr else None
    return bool(asked.stdout.strip())


@contextmanager
def locked(folder, work: str, deadline: float | None = None) -> Iterator[None]:
    """Hold the lock of a folder while the block runs.

    If another process holds it, wait, and say for whom and for how long on stderr.

    Parameters
    ----------
    folder
        Folder, which need not exist; the lock is the file ``.NAME.lock`` beside it.
    work
        What the holder is doing, for the lines of those that wait: ``the adapter base/seed-0/a``.
    deadline
        When to give up waiting, in seconds since the epoch.

    Raises
    ------
    Unfinished
        If the other process still works at the deadline.
    """
    with _held(Path(folder), _Waiting(work, deadline, "works on it")):
        yield


@contextmanager
def locked_if_free(folder) -> Iterator[bool]:
    """Hold the lock of a folder while the block runs; yield False at once if another process holds it."""
    with ExitStack() as stack:
        try:
            stack.enter_context(_held(Path(folder), _NoWaiting()))
            is_held = True
        except _Busy:
            is_held = False
        yield is_held


@contextmanager
def _held(folder: Path, waiting: "_Waiting | _NoWaiting") -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    try:
        while (descriptor := _take_lock(path)) is None:
            waiting.pause(_read(path))
    except _NoLocks:
        with _recorded(path.with_suffix(".holder"), waiting):
            yield
        return
    try:
        _write_holder(descriptor)
        yield
    finally:
        _write_record(descriptor, "")  # who worked here concerns nobody later
        os.close(descriptor)


def hold_files(
    groups: list[list[Path]], count: int, work: str, doing: str, deadline: float | None = None
) -> dict[int, int]:
    """Lock one file in each of `count` groups, all of them or none, until this process ends.

    If fewer groups have a free file, wait for them, and say for whom on stderr. Files that come first in their groups
    are taken first. All files are in one folder, which exists and may be shared with other users.

    Parameters
    ----------
    work, deadline
        As of `locked`.
    doing
        What a holder does, for the lines of those that wait: ``uses a GPU``.

    Returns
    -------
    Open descriptors that hold the locks, by the index of their group.

    Raises
    ------
    InputError
        If the file system has no locks.
    Unfinished
        If files are missing at the deadline.
    """
    folder = groups[0][0].parent
    waiting = _Waiting(work, deadline, doing)
    try:
        while True:
            with _entered(folder / ".taking.lock"):
                held = _take_files(groups, count)
            if held is not None:
                break
            holders = (_read(path) for group in groups for path in group)
            # A process that was killed leaves its record.
            waiting.pause(next((holder for holder in holders if holder and holder.lives(SILENCE)), None))
    except _NoLocks:
        raise InputError(
            f"{folder}: this file system has no locks (flock), by which jobs share GPUs; mount a local disk there"
        ) from None
    for descriptor in held.values():
        _write_holder(descriptor)
    return held


@contextmanager
def _entered(path: Path) -> Iterator[None]:
    """Hold a file's lock for a moment, so that processes that take several files do not block each other."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise (_NoLocks if error.errno in _NO_LOCKS else error) from None
    finally:
        os.close(descriptor)


def _take_files(groups: list[list[Path]], count: int) -> dict[int, int] | None:
    """Lock files of `count` groups: descriptors by group; None, and nothing locked, if too few are free."""
    held: dict[int, int] = {}
    for position in range(max(map(len, groups))):
        for index, group in enumerate(groups):
            if len(held) == count or index in held or position >= len(group):
                continue
            if (descriptor := _take_lock(group[position])) is not None:
                held[index] = descriptor
    if len(held) == count:
        return held
    for descriptor in held.values():
        os.close(descriptor)
    return None


class _NoLocks(Exception):
    """The file system has no locks."""


class _Busy(Exception):
    """Another process holds the lock."""


class _NoWaiting:
    """In place of `_Waiting`, for who does something else instead."""

    def pause(self, holder: Holder | None) -> None:
        raise _Busy


class _Waiting:
    """The lines of a process that waits, and its patience."""

    def __init__(self, work: str, deadline: float | None, doing: str):
        self.work, self.deadline, self.doing = work, deadline, doing
        self.started, self.lines = time.monotonic(), 0

    def pause(self, holder: Holder | None) -> None:
        """Sleep a moment; say who is waited for at first, and for how long once a minute."""
        seconds = time.monotonic() - self.started
        if self.lines == 0 and (holder or seconds > 2 * _POLL):  # it may not have written its record yet
            print(f"{self.work}: waiting for {holder or 'another process'}, which {self.doing}", file=sys.stderr)
            self.lines = 1
        elif self.lines and seconds > HEARTBEAT * self.lines:
            print(f"{self.work}: waiting for {seconds / 60:.0f} minutes", file=sys.stderr)
            self.lines += 1
        if self.deadline is not None and time.time() + _POLL > self.deadline:
            raise Unfinished(
                f"{self.work}: {holder or 'another process'} still {self.doing}, and this job's time is over; the same "
                "command goes on from there"
            )
        time.sleep(_POLL)


def _open(path: Path) -> int:
    common = os.O_CLOEXEC | os.O_NOFOLLOW  # in a folder of others a link may lead to a file of ours
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | common, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY | common)  # another user's, which most file systems let us lock
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, 0o666)  # whoever may write into the folder may wait for it
    return descriptor


def _take_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock; None if another process has it."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except OSError as error:
        os.close(descriptor)
        if error.errno in _NO_LOCKS:
            raise _NoLocks from None
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return None
    os.close(descriptor)  # someone has deleted the file meanwhile
    return None


def _write_holder(descriptor: int) -> None:
    _write_record(descriptor, json.dumps(asdict(Holder.current())))


def _write_record(descriptor: int, text: str) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
    except OSError:
        pass  # another user's file: those that wait cannot name us


def _read(path: Path) -> Holder | None:
    try:
        return Holder.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


# Without locks of the file system.


@contextmanager
def _recorded(record: Path, waiting: "_Waiting | _NoWaiting") -> Iterator[None]:
    while not _take_record(record):
        waiting.pause(_read(record))
    done = threading.Event()
    heart = threading.Thread(target=_refresh, args=(record, done), daemon=True)
    heart.start()
    try:
        yield
    finally:
        done.set()
        heart.join()
        if (holder := _read(record)) and holder.pid == os.getpid() and holder.host == socket.gethostname():
            record.unlink(missing_ok=True)


def _take_record(record: Path) -> bool:
    """Create the record, in place of one whose process is dead; False if its process lives."""
    try:
        text = record.read_bytes()
        silent = time.time() - record.stat().st_mtime
    except FileNotFoundError:
        return _create_record(record)
    holder = Holder.parse(text.decode(errors="replace"))
    if holder.lives(silent) if holder else silent < HEARTBEAT:  # without a holder: being written, or damaged
        return False
    aside = record.with_name(f"{record.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        os.rename(record, aside)
        if aside.read_bytes() != text:  # another process was faster, and the record is already its own
            os.link(aside, record)
        aside.unlink()
    except OSError:
        return False
    return _create_record(record)


def _create_record(record: Path) -> bool:
    try:
        with open(record, "x", encoding="utf-8") as handle:
            handle.write(json.dumps(asdict(Holder.current())))
    except FileExistsError:
        return False
    return True


def _refresh(record: Path, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT):
        try:
            os.utime(record)
        except OSError:
            pass
