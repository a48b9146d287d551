"""Memory that ran out: recognized, and described."""

import sys
from types import SimpleNamespace

import pytest
import torch

from stagewise.models import out_of_memory
from stagewise.models.machine import Memory


def test_what_cannot_be_allocated_is_out_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**14)
    assert out_of_memory.is_out_of_memory(caught.value)
    assert out_of_memory.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not out_of_memory.is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert not out_of_memory.is_out_of_memory(ValueError("CUDA error: out of memory"))


def test_a_gpus_other_processes_are_named_if_the_driver_tells(monkeypatch):
    gpu = SimpleNamespace(uuid="1-2", name="H100")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: gpu.name)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: int(3e9))
    monkeypatch.setattr(out_of_memory, "gpu_memory", lambda: Memory(int(80e9), int(20e9)))
    # What this process holds is free for it.
    assert out_of_memory.describe_memory() == "H100, 23.0 GB of 80.0 GB free for this process"
    running = [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in ((7, 57e9), (8, 1e6))]
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: {"GPU-1-2": "handle"}[uuid],
        nvmlDeviceGetComputeRunningProcesses=lambda handle: running,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert out_of_memory.describe_memory().endswith("free for this process, the rest held by process 7 (57.0 GB)")
