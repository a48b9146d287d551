"""Facts about this machine: memory, cores and disks. Importing this module imports no torch."""

import os
from dataclasses import dataclass
from pathlib import Path

_CGROUP_LIMITS = (
    # Version 2, then version 1: limit and use, in bytes.
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


@dataclass(frozen=True)
class Memory:
    """Bytes of memory; None if the system does not say."""

    total: int | None
    free: int | None

    def shared_by(self, processes: int) -> "Memory":
        """Return what each of several processes has of it."""
        return Memory(*(size and size // processes for size in (self.total, self.free)))


def memory() -> Memory:
    """Memory of this machine, or what a container's or a job's limit leaves of it, if that is less."""
    total, free = _kernel_memory("MemTotal"), _kernel_memory("MemAvailable")
    for limit_file, used_file in _CGROUP_LIMITS:
        try:
            limit = int(Path(limit_file).read_text(encoding="utf-8"))
            left = limit - int(Path(used_file).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # ``max``: no limit
            continue
        return Memory(min(total or limit, limit), min(free or left, left))
    return Memory(total, free)


def _kernel_memory(name: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def usable_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_disk(path) -> int:
    """Free bytes on the disk that a path is on, or will be on."""
    folder = Path(path).absolute()
    while not folder.exists():
        folder = folder.parent
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
