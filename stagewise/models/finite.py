"""Checks that numbers are finite: a training that has diverged is no result."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def all_finite(tensors: Iterable["torch.Tensor"]) -> "torch.Tensor":
    """Tell if every number of some tensors is finite.

    Returns
    -------
    Boolean tensor without dimensions, on the first tensor's device: reading it is the only wait for a GPU.
    """
    import torch

    by_device: dict[torch.device, list] = {}
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.numel():
            by_device.setdefault(tensor.device, []).append(tensor.detach())
    if not by_device:
        return torch.tensor(True)
    # The largest magnitude is NaN or infinite if any number is.
    largest = [value.float() for group in by_device.values() for value in torch._foreach_norm(group, float("inf"))]
    return torch.stack([value.to(largest[0].device) for value in largest]).isfinite().all()


def optimizer_tensors(optimizer) -> list["torch.Tensor"]:
    """List the tensors of an optimizer's state."""
    import torch

    return [value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
