"""Out of memory: how it is recognized, and what is said about the device. Importing this module imports no torch."""

import gc
import os

from stagewise.models.gpu import gpu_memory
from stagewise.models.machine import Memory, memory
from stagewise.models.memory_estimate import gigabytes

# torch has a type for its own GPU allocator alone; these are its CPU allocator, cuBLAS, and CUDA under bitsandbytes.
_MESSAGES = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory", "CUDA out of memory")

_NOTEWORTHY = 5e8
"""Bytes of other processes on a GPU from which on they are named."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell if memory ran out on a GPU or a CPU."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in _MESSAGES)
    )


def release_memory() -> None:
    """Give back what nothing refers to any more, to the system or to other libraries of this process."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def device_memory() -> Memory:
    """Memory of the device that torch computes on; what this process holds of a GPU counts as free."""
    import torch

    if not torch.cuda.is_available():
        return memory()
    there = gpu_memory()
    return Memory(there.total, there.free + torch.cuda.memory_reserved())


def describe_memory() -> str:
    """Say what memory the device has, and which other processes hold some of it if the driver tells."""
    import torch

    there, device = device_memory(), torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    if there.total is None or there.free is None:
        return device
    words = f"{device}, {gigabytes(there.free)} of {gigabytes(there.total)} free for this process"
    others = _other_processes()
    return f"{words}, the rest held by {others}" if others else words


def _other_processes() -> str:
    """Name the other processes on the current GPU; empty if there are none, or NVML is not installed."""
    import torch

    if not torch.cuda.is_available():
        return ""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties().uuid}")
        running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except Exception:  # NVML has errors of its own, and says less on some machines and in containers
        return ""
    held = {process.pid: process.usedGpuMemory or 0 for process in running if process.pid != os.getpid()}
    named = [f"process {pid} ({gigabytes(size)})" for pid, size in held.items() if size > _NOTEWORTHY]
    return ", ".join(named)
