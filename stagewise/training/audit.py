"""Checks of the weights around a training, and the facts of the machine it ran on."""

import hashlib
import resource


def weights_digest(parameters) -> str:
    """SHA-256 over tensors' bytes, in the given order."""
    import torch

    digest = hashlib.sha256()
    for parameter in parameters:
        flat = parameter.detach().contiguous().view(torch.uint8).reshape(-1) if parameter.numel() else parameter
        digest.update(memoryview(flat.cpu().numpy()))
    return digest.hexdigest()


def frozen_and_trainable(model) -> tuple[list, list]:
    """The model's frozen and trainable parameters."""
    frozen = [p for p in model.parameters() if not p.requires_grad]
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise RuntimeError("no parameter is trainable")
    return frozen, trainable


def over_processes(parameters) -> tuple[float, int]:
    """How far any process's parameters are from the first one's, and the most memory that one has used."""
    import torch
    from accelerate.utils import broadcast, gather

    first = broadcast([parameter.detach().clone() for parameter in parameters])
    apart = max(float((mine.detach() - its).abs().max()) for mine, its in zip(parameters, first, strict=True))
    device = parameters[0].device
    found = gather(torch.tensor([[apart, peak_memory()]], dtype=torch.float64, device=device)).amax(0)
    return float(found[0]), int(found[1])


def peak_memory() -> int:
    """Most memory used so far, in bytes: the GPU's where there is one, else the process's."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def device_name() -> str:
    """The GPU's name, or the CPU's as the kernel lists it."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    with open("/proc/cpuinfo", encoding="utf-8") as handle:
        names = [line.split(":", 1)[1].strip() for line in handle if line.startswith("model name")]
    return f"{names[0] if names else 'CPU'}, {torch.get_num_threads()} threads"
