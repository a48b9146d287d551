"""Facts of processes on this machine, from /proc: who lives, who started whom, and what a process was started with."""

import os
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


def machine() -> str:
    """Name what process ids are valid in: this boot of this machine, and this container's own numbering."""
    boot_id = _read(PROC / "sys/kernel/random/boot_id").decode().strip()
    try:
        numbering = os.readlink(PROC / "self/ns/pid")
    except OSError:
        numbering = ""
    return f"{socket.gethostname()} {boot_id} {numbering}".strip()


def boot(name: str) -> str:
    """Read which boot a machine's name is of; empty on systems that do not say."""
    return next(iter(name.split()[1:2]), "")


@dataclass(frozen=True)
class Process:
    """A process; its start time tells it from a later one with the same number."""

    pid: int
    started: str
    """Clock ticks since the machine's boot."""
    parent: int = 0
    state: str = ""
    """One letter, as in ``ps``: ``T`` stopped, ``Z`` ended but not yet collected by its parent."""

    @property
    def is_alive(self) -> bool:
        now = find_process(self.pid)
        return now is not None and now.started == self.started and now.state != "Z"

    @property
    def is_stopped(self) -> bool:
        now = find_process(self.pid)
        return now is not None and now.started == self.started and now.state == "T"

    @property
    def command(self) -> list[str]:
        words = _read(PROC / str(self.pid) / "cmdline").decode(errors="replace").split("\0")
        return words[:-1]

    @property
    def environment(self) -> dict[str, str]:
        """Variables that the process was started with; empty for another user's."""
        entries = _read(PROC / str(self.pid) / "environ").decode(errors="replace").split("\0")
        return dict(entry.partition("=")[::2] for entry in entries if "=" in entry)


def find_process(pid: int) -> Process | None:
    """Read a process's state; None if there is none with this number."""
    text = _read(PROC / str(pid) / "stat").decode(errors="replace")
    if not text:
        return None
    # The name stands in brackets and may hold anything, brackets included.
    fields = text.rpartition(")")[2].split()
    return Process(pid, started=fields[19], parent=int(fields[1]), state=fields[0])


def all_processes() -> list[Process]:
    """Every process that this one can see."""
    pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
    return [process for pid in pids if (process := find_process(pid))]


def ancestors(pid: int) -> list[Process]:
    """Chain of processes that started a process, nearest first, without the first process of the machine."""
    chain = []
    process = find_process(pid)
    while process and process.parent > 1 and (process := find_process(process.parent)):
        chain.append(process)
    return chain


def end_processes(processes: Iterable[Process], patience: float) -> None:
    """Ask processes to end, and kill after `patience` seconds those that have not."""
    living = _signal(processes, signal.SIGTERM)
    _signal(living, signal.SIGCONT)  # a stopped one hears nothing
    limit = time.monotonic() + patience
    while (living := [process for process in living if process.is_alive]) and time.monotonic() < limit:
        time.sleep(0.1)
    for process in _signal(living, signal.SIGKILL):
        while process.is_alive and time.monotonic() < limit + patience:
            time.sleep(0.05)


def _signal(processes: Iterable[Process], number: int) -> list[Process]:
    """Send a signal to those that live, and return them."""
    living = [process for process in processes if process.is_alive]
    for process in living:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)
    return living


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
