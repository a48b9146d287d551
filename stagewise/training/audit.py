"""Checks of the weights around a training, and facts about the machine it ran on."""

import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# How far the adapters of the processes may be apart: rounding.
_TOLERANCE = 1e-6


class UnchangedAdapter(Exception):
    """Training has changed no weight of the adapter."""


@dataclass
class WeightsAudit:
    """Facts about the weights, complete once the audit is over."""

    trainable_parameters: int
    frozen_digest: str
    """SHA-256 of the frozen weights."""
    peak_memory_bytes: int = 0


@contextmanager
def audit_weights(model, frozen_digest: str | None = None) -> Iterator[WeightsAudit]:
    """Check that a training leaves the frozen weights alone, changes the adapter, and the same in every process.

    Parameters
    ----------
    frozen_digest
        That of the audit of an earlier training with the same base model in this process; whatever has changed the
        weights since is noticed at the end. They are read if it is not given.

    Raises
    ------
    RuntimeError
        If frozen weights have changed, or the processes' adapters differ.
    UnchangedAdapter
        If no trainable weight has changed.
    """
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise RuntimeError("no parameter is trainable")
    count = sum(parameter.numel() for parameter in trainable)
    audit = WeightsAudit(count, frozen_digest or weights_digest(frozen))
    trainable_before = weights_digest(trainable)
    yield audit
    if weights_digest(frozen) != audit.frozen_digest:
        raise RuntimeError("the base model's weights changed during training; they must stay frozen")
    if weights_digest(trainable) == trainable_before:
        raise UnchangedAdapter
    distance, audit.peak_memory_bytes = compare_processes(trainable)
    if distance > _TOLERANCE:
        raise RuntimeError(f"the processes' adapters are {distance:g} apart; a remedy must act equally on each of them")


def freezes_whole_base(model) -> bool:
    """Tell if the frozen weights are all of the base model's: no bias, and no whole module, is trained in its place."""
    return all("lora_" in name for name, parameter in model.named_parameters() if parameter.requires_grad)


def weights_digest(parameters) -> str:
    """Compute the SHA-256 of tensors' bytes, in the given order."""
    import torch

    digest = hashlib.sha256()
    for parameter in parameters:
        flat = parameter.detach().contiguous().view(torch.uint8).reshape(-1) if parameter.numel() else parameter
        digest.update(memoryview(flat.cpu().numpy()))
    return digest.hexdigest()


def compare_processes(parameters) -> tuple[float, int]:
    """Compute the largest distance of any process's parameters from the main one's, and the largest peak memory."""
    import torch
    from accelerate.utils import broadcast, gather

    reference = broadcast([parameter.detach().clone() for parameter in parameters])
    distance = max(
        float((parameter.detach() - other).abs().max()) for parameter, other in zip(parameters, reference, strict=True)
    )
    device = parameters[0].device
    largest = gather(torch.tensor([[distance, peak_memory()]], dtype=torch.float64, device=device)).amax(0)
    return float(largest[0]), int(largest[1])


def peak_memory() -> int:
    """Return the peak memory so far, in bytes: the GPU's if there is one, else the process's."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak_memory() -> None:
    """Let `peak_memory` forget what earlier work in this process needed, where the system can."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as handle:
            handle.write("5")  # proc(5): resets the peak resident set size
    except OSError:
        pass


def device_name() -> str:
    """Return the GPU's name, or the CPU's as the kernel lists it."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    with open("/proc/cpuinfo", encoding="utf-8") as handle:
        names = [line.split(":", 1)[1].strip() for line in handle if line.startswith("model name")]
    return f"{names[0] if names else 'CPU'}, {torch.get_num_threads()} threads"
