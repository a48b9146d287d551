"""NVIDIA's management library as it would answer on a machine with GPUs."""

import ctypes
import json
import os
from dataclasses import dataclass

GPUS_VARIABLE = "PRETENDED_GPUS"
"""Environment variable of processes that are to see GPUs: JSON, a list of `PretendedGpu`'s fields."""

GIB = 2**30


@dataclass(frozen=True)
class PretendedGpu:
    uuid: str
    capability: tuple[int, int] = (8, 0)
    name: str = "NVIDIA A100"
    memory: int = 40 * GIB
    slices: tuple[str, ...] = ()
    """Identifiers of its MIG slices."""


class PretendedNvml:
    """Functions of ``libnvidia-ml.so.1`` that `stagewise.models.gpus` calls. Handles: 100 x GPU + slice."""

    def __init__(self, *gpus: PretendedGpu, driver: str = "550.54.15", cuda: int = 12040, status: int = 0):
        self.gpus, self.driver, self.cuda, self.status = gpus, driver, cuda, status

    def nvmlInit_v2(self):
        return self.status

    def nvmlShutdown(self):
        return 0

    def nvmlSystemGetDriverVersion(self, text, length):
        text.value = self.driver.encode()
        return 0

    def nvmlSystemGetCudaDriverVersion_v2(self, version):
        version._obj.value = self.cuda
        return 0

    def nvmlDeviceGetCount_v2(self, count):
        count._obj.value = len(self.gpus)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, handle):
        handle._obj.value = 100 * (index + 1)
        return 0

    def nvmlDeviceGetMaxMigDeviceCount(self, handle, count):
        count._obj.value = 7
        return 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle, index, part):
        if index >= len(self._gpu(handle).slices):
            return 6  # NVML_ERROR_NOT_FOUND
        part._obj.value = handle.value + index + 1
        return 0

    def nvmlDeviceGetUUID(self, handle, text, length):
        part = handle.value % 100
        text.value = (self._gpu(handle).slices[part - 1] if part else self._gpu(handle).uuid).encode()
        return 0

    def nvmlDeviceGetName(self, handle, text, length):
        text.value = self._gpu(handle).name.encode()
        return 0

    def nvmlDeviceGetCudaComputeCapability(self, handle, major, minor):
        major._obj.value, minor._obj.value = self._gpu(handle).capability
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle, memory):
        memory._obj.total = self._gpu(handle).memory
        memory._obj.free = self._gpu(handle).memory - GIB
        return 0

    def _gpu(self, handle) -> PretendedGpu:
        return self.gpus[handle.value // 100 - 1]


def pretend(*gpus: PretendedGpu, **versions):
    """Stand-in for `ctypes.CDLL` on a machine with these GPUs; without any there is no driver."""

    class Library(ctypes.CDLL):
        def __new__(cls, name, *args, **kwargs):
            if name != "libnvidia-ml.so.1":
                return super().__new__(cls)
            if not gpus:
                raise OSError(f"{name}: cannot open shared object file")
            return PretendedNvml(*gpus, **versions)

    return Library


def pretend_from_environment() -> None:
    """Have this process see the GPUs that `GPUS_VARIABLE` lists, if it is set."""
    if text := os.environ.get(GPUS_VARIABLE):
        ctypes.CDLL = pretend(*(PretendedGpu(**values) for values in json.loads(text)))
