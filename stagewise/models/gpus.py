"""NVIDIA GPUs of this machine and what a process may see of them, without torch.

NVIDIA's management library (NVML), which comes with the driver, tells in milliseconds. Without it there is no GPU.
"""

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from stagewise.errors import InputError
from stagewise.models.machine import Memory

DEVICE_VARIABLE = "STAGEWISE_DEVICE"
"""Environment variable: ``auto``, ``cpu`` (use no GPU, on purpose) or ``cuda`` (refuse to compute without a GPU)."""

DEVICES = ("auto", "cpu", "cuda")

JOBS_VARIABLE = "STAGEWISE_JOBS_PER_GPU"
"""Environment variable: number of trainings and predictions that may share a GPU; 1 if it is not set."""

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"

_LIBRARY = "libnvidia-ml.so.1"
_DEVICE_FILES = Path("/dev")


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a slice of one (MIG)."""

    uuid: str
    """``GPU-…`` or ``MIG-…``, which `VISIBLE_VARIABLE` takes."""
    index: int
    """Place in the order of the bus, from 0, as ``nvidia-smi`` counts."""
    name: str
    capability: tuple[int, int]
    """CUDA compute capability: major and minor version."""
    memory: Memory

    def __str__(self) -> str:
        return f"GPU {self.index} ({self.name}, {self.uuid})"


@dataclass(frozen=True)
class Driver:
    """The installed driver."""

    version: str
    """Such as ``550.54.15``."""
    cuda: str
    """Latest CUDA that it runs, such as ``12.4``."""

    def __str__(self) -> str:
        return f"driver {self.version} for CUDA {self.cuda} at most"


def device_setting() -> str:
    """Read `DEVICE_VARIABLE`; ``auto`` if it is not set.

    Raises
    ------
    InputError
        If it has another value than `DEVICES`.
    """
    value = os.environ.get(DEVICE_VARIABLE) or "auto"
    if value not in DEVICES:
        raise InputError(f"{DEVICE_VARIABLE} is '{value}'; set it to {', '.join(DEVICES[:-1])} or {DEVICES[-1]}")
    return value


def cpu_is_chosen() -> bool:
    """Tell if the user wants no GPU: by `DEVICE_VARIABLE`, or by an empty `VISIBLE_VARIABLE`."""
    visible = os.environ.get(VISIBLE_VARIABLE)
    hidden = visible is not None and (not visible.strip() or visible.strip().startswith(("-", "NoDev")))
    return device_setting() == "cpu" or (hidden and device_setting() != "cuda")


def jobs_per_gpu() -> int:
    """Read `JOBS_VARIABLE`.

    Raises
    ------
    InputError
        If it is no whole number from 1 to 99.
    """
    value = os.environ.get(JOBS_VARIABLE) or "1"
    if not re.fullmatch(r"[1-9]\d?", value, re.ASCII):
        raise InputError(f"{JOBS_VARIABLE} is '{value}'; set it to a whole number from 1 to 99")
    return int(value)


def visible_gpus() -> list[Gpu]:
    """List the GPUs that this process may use, in the order that it shall see them.

    `VISIBLE_VARIABLE` names them by index in the order of the bus or by the beginning of their UUID. As CUDA does, the
    list ends at the first name that stands for none.
    """
    gpus = [] if device_setting() == "cpu" else installed_gpus()
    visible = os.environ.get(VISIBLE_VARIABLE)
    if visible is None:
        return gpus
    chosen: list[Gpu] = []
    for name in map(str.strip, visible.split(",")):
        gpu = _named(name, gpus)
        if gpu is None or gpu in chosen:
            break
        chosen.append(gpu)
    return chosen


def _named(name: str, gpus: list[Gpu]) -> Gpu | None:
    if name.isascii() and name.isdecimal():
        return next((gpu for gpu in gpus if gpu.index == int(name)), None)
    if not name.startswith(("GPU-", "MIG-")):
        return None
    return next((gpu for gpu in gpus if gpu.uuid.startswith(name)), None)


def installed_gpus() -> list[Gpu]:
    """List all GPUs that the driver shows, in the order of the bus; those in slices (MIG) by their slices."""
    with _nvml() as library:
        return [] if library is None else list(_list_gpus(library))


def installed_driver() -> Driver | None:
    """Return the driver's versions; None without a driver."""
    with _nvml() as library:
        if library is None:
            return None
        version, cuda = ctypes.create_string_buffer(96), ctypes.c_int()
        if library.nvmlSystemGetDriverVersion(version, len(version)) != 0:
            return None
        if library.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(cuda)) != 0:
            return None
        return Driver(version.value.decode(), f"{cuda.value // 1000}.{cuda.value % 1000 // 10}")


def gpu_capability() -> tuple[int, int] | None:
    """Lowest CUDA compute capability of the GPUs that torch may use, since a job takes any; None if it uses none."""
    return min((gpu.capability for gpu in visible_gpus()), default=None) if torch_uses_cuda() else None


def expected_gpu() -> str:
    """Say what makes this process expect a GPU; empty if nothing does.

    One is expected if it was asked for (`DEVICE_VARIABLE`, `VISIBLE_VARIABLE`, Slurm), or if it is there: a device file
    that can be opened. A container or a batch job without a GPU may list the machine's all the same, and cannot open
    them.
    """
    if cpu_is_chosen():
        return ""
    if device_setting() == "cuda":
        return f"{DEVICE_VARIABLE}=cuda"
    for variable in (VISIBLE_VARIABLE, "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE"):
        value = os.environ.get(variable)
        if value and (variable, value) != ("SLURM_GPUS_ON_NODE", "0"):  # a number; the others are lists
            return f"{variable}={value}"
    files = (str(path) for path in sorted(_DEVICE_FILES.glob("nvidia[0-9]*")) if _can_be_opened(path))
    return next(files, "") or next(map(str, installed_gpus()), "")  # WSL has no such files


def torch_uses_cuda() -> bool:
    """Check that torch, if it is installed here at all, was built for CUDA; it is not imported for that."""
    spec = find_spec("torch")
    if spec is None or not spec.origin:
        return True
    try:
        version = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return True
    return not re.search(r"^cuda\b[^=\n]*= *None", version, flags=re.MULTILINE)


def _can_be_opened(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError:
        return False
    return True


@contextmanager
def _nvml() -> Iterator[ctypes.CDLL | None]:
    """Open the library; None if it is missing or finds no driver."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        yield None
        return
    if library.nvmlInit_v2() != 0:
        yield None
        return
    try:
        yield library
    finally:
        library.nvmlShutdown()


class _MemoryInfo(ctypes.Structure):
    """``nvmlMemory_t``."""

    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


def _list_gpus(library) -> Iterator[Gpu]:
    count = ctypes.c_uint()
    if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return
    for index in range(count.value):
        handle = ctypes.c_void_p()
        major, minor = ctypes.c_int(), ctypes.c_int()
        failed = library.nvmlDeviceGetHandleByIndex_v2(
            index, ctypes.byref(handle)
        ) or library.nvmlDeviceGetCudaComputeCapability(handle, ctypes.byref(major), ctypes.byref(minor))
        if failed:
            continue
        name = _text(library.nvmlDeviceGetName, handle) or "unnamed"
        for part in _slices(library, handle) or [handle]:
            if uuid := _text(library.nvmlDeviceGetUUID, part):
                yield Gpu(uuid, index, name, (major.value, minor.value), _memory(library, part))


def _slices(library, handle) -> list[ctypes.c_void_p]:
    """Handles of a GPU's slices (MIG); none if it has none."""
    count = ctypes.c_uint()
    if not hasattr(library, "nvmlDeviceGetMigDeviceHandleByIndex"):  # a driver before 450
        return []
    if library.nvmlDeviceGetMaxMigDeviceCount(handle, ctypes.byref(count)) != 0:
        return []
    handles = []
    for index in range(count.value):
        part = ctypes.c_void_p()
        if library.nvmlDeviceGetMigDeviceHandleByIndex(handle, index, ctypes.byref(part)) == 0:
            handles.append(part)
    return handles


def _text(function, handle) -> str:
    text = ctypes.create_string_buffer(96)
    return "" if function(handle, text, len(text)) else text.value.decode(errors="replace")


def _memory(library, handle) -> Memory:
    memory = _MemoryInfo()
    if library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != 0:
        return Memory(None, None)
    return Memory(memory.total, memory.free)
