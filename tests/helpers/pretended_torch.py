"""A GPU as torch would report it, on a machine without: what runs is argument building and refusals, no kernel."""

import torch
import trl.trainer.sft_trainer  # noqa: F401  while torch reports no GPU: libraries ask for it when they are imported
from accelerate.state import AcceleratorState, PartialState

GIB = 2**30


def pretend_gpu(monkeypatch, capability=(9, 0), memory: int = 80 * GIB, architectures=("sm_75", "sm_80", "sm_90")):
    """Let torch report one GPU of this compute capability, and `memory` free bytes on it."""
    reported = {
        "is_available": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_capability": capability,
        "get_device_name": "a pretended GPU",
        "get_arch_list": list(architectures),
        "mem_get_info": (memory, memory),
        "is_bf16_supported": capability >= (8, 0),
    }
    for name, value in reported.items():
        monkeypatch.setattr(torch.cuda, name, lambda *arguments, value=value, **named: value)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)


def forget_device() -> None:
    """Let accelerate look for devices anew; it keeps what it saw first for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()
