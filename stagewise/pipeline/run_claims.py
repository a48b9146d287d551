"""Claims of a run on the folders that it writes to: one run at a time, and nothing of a dead one is in the way.

Snakemake's own lock is a file that outlives its writer, so the default profile turns it off. A claim is a lock of the
kernel, which ends with the process that holds it however that ends, and beside it a record of the holder. The record
decides where the kernel cannot: on a file system without locks, or whose locks do not reach another machine.
"""

import fcntl
import getpass
import os
import shlex
import socket
import sys
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path

from stagewise.config.shareable import redact_text
from stagewise.errors import InputError
from stagewise.provenance.files import read_json, write_json
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.lock import is_queued
from stagewise.provenance.memory import FOLDER
from stagewise.provenance.processes import Process, ancestors, boot, find_process, machine

CLAIMS = FOLDER / "stagewise-runs"

HEARTBEAT = 30
"""Seconds between two signs of life, which a holder gives by renewing its record's time."""


@dataclass(frozen=True)
class Run:
    """A run as its record describes it."""

    id: str
    host: str
    machine: str
    """Scope of its process ids (`stagewise.provenance.processes.machine`)."""
    pid: int
    started: str
    """Start of its process, in clock ticks."""
    since: str
    """Local time, for messages."""
    user: str
    command: str
    starters: list[list] = field(default_factory=list)
    """Number and start time of each process that it was started by."""
    slurm_job: str | None = None
    """The Slurm job that it runs in."""
    slurm_run: str | None = None
    """Name of all Slurm jobs that it submits."""
    unfinished: list[dict] = field(default_factory=list)
    """Records of killed runs whose steps are not known to have ended."""
    ended: bool = False

    @classmethod
    def of_this_process(cls) -> "Run":
        """Describe this process as a run with a new id."""
        process = find_process(os.getpid())
        return cls(
            id=uuid.uuid4().hex,
            host=socket.gethostname(),
            machine=machine(),
            pid=process.pid,
            started=process.started,
            since=datetime.now().isoformat(sep=" ", timespec="seconds"),
            user=_user_name(),
            command=redact_text(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
            starters=[[starter.pid, starter.started] for starter in ancestors(process.pid)],
            slurm_job=os.environ.get("SLURM_JOB_ID"),
        )

    @classmethod
    def parse(cls, values: dict) -> "Run":
        """Read a record of this or another version.

        Raises
        ------
        TypeError
            If it is no record.
        """
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})

    @property
    def process(self) -> Process:
        """Its process, for a run that was here."""
        return Process(self.pid, self.started)

    @property
    def was_here(self) -> bool:
        """Tell if its process ids mean something here."""
        return self.machine == machine()

    @property
    def lost_its_starter(self) -> bool:
        """Tell if a process that it was started by is gone, as after ``kill -9`` of ``dvc repro``."""
        return self.was_here and not all(Process(pid, started).is_alive for pid, started in self.starters)

    def __str__(self) -> str:
        return f"'{self.command}' of {self.user} on {self.host}, process {self.pid}, since {self.since}"


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container knows the number alone
        return f"user {os.getuid()}"


class Claim:
    """The claim on one folder.

    Parameters
    ----------
    target
        The folder, as messages name it.
    folder
        Folder of the locks and records.
    """

    def __init__(self, target, folder: Path = CLAIMS):
        self.target = str(target)
        key = fingerprint({"folder": os.path.realpath(target)})[:16]
        self.lock_file, self.record_file = folder / f"{key}.lock", folder / f"{key}.json"
        self._descriptor: int | None = None

    def read(self) -> Run | None:
        """Read the record of the last holder; None without one that can be read."""
        try:
            return Run.parse(read_json(self.record_file, "the record of a run"))
        except (InputError, OSError, TypeError):
            return None

    def holder(self) -> Run | None:
        """Describe the run that holds it; None if its record is not written yet."""
        run = self.read()
        is_past = run is None or run.ended or (run.was_here and not run.process.is_alive)
        return None if is_past else run

    def write(self, run: Run) -> None:
        """Write this process's record."""
        write_json(self.record_file, asdict(run))

    def take(self) -> bool:
        """Take the claim; False if another run holds it."""
        self.lock_file.parent.mkdir(parents=True, exist_ok=True)
        # Not inherited by the steps: the lock ends with this process.
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            pass  # a file system without locks: the record decides
        if self._record_lives():
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def _open(self) -> int:
        try:
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:
            return os.open(self.lock_file, os.O_RDONLY)  # another user's, which most file systems let us lock
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, 0o666)  # whoever may write into the project may run it
        return descriptor

    def release(self) -> None:
        """Let the next run have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _record_lives(self) -> bool:
        """Judge by its record if the last holder lives, once the kernel has not said so."""
        run = self.read()
        if run is None or run.ended or (run.was_here and run.pid == os.getpid()):
            return False
        if run.was_here:
            return run.process.is_alive
        if run.host == socket.gethostname() and boot(run.machine) != boot(machine()):
            return False  # the machine has been started anew
        if run.slurm_job and (alive := is_queued(run.slurm_job)) is not None:
            return alive
        return self._gives_signs_of_life()

    def _gives_signs_of_life(self) -> bool:
        """Watch a record from another machine until it is renewed, or has not been for three heartbeats."""
        probe = self.record_file.with_suffix(".probe")
        seen = self.record_file.stat().st_mtime_ns
        said = False
        while True:
            probe.touch()  # the file system's own clock, whatever the machines' clocks say
            age = (probe.stat().st_mtime_ns - seen) / 1e9
            if age > 3 * HEARTBEAT:
                return False
            if not said:
                print(f"{self.target}: waiting for a sign of life of {self.read()}", file=sys.stderr)
                said = True
            time.sleep(1)
            if self.record_file.stat().st_mtime_ns != seen:
                return True


def keep_alive(claims: list[Claim]) -> None:
    """Renew the records' times from now on, in the background."""

    def renew() -> None:
        while True:
            time.sleep(HEARTBEAT)
            for claim in claims:
                try:
                    os.utime(claim.record_file)
                except OSError:
                    continue

    threading.Thread(target=renew, daemon=True, name="stagewise-run").start()
