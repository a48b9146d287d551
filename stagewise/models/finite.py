"""Checks that numbers are finite: a training that has diverged is no result."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def all_finite(tensors: Iterable["torch.Tensor"]) -> "torch.Tensor":
    """Tell if every number of some tensors is finite.

    Returns
    -------
    Boolean tensor without dimensions, on the tensors' device: reading it is the only wait for a GPU.
    """
    import torch

    tensors = [tensor.detach() for tensor in tensors if tensor.is_floating_point() and tensor.numel()]
    if not tensors:
        return torch.tensor(True)
    # The largest magnitude is NaN or infinite if any number is.
    device = tensors[0].device
    largest = torch._foreach_norm(tensors, float("inf"))
    return torch.stack([value.to(device, torch.float32) for value in largest]).isfinite().all()


def optimizer_tensors(optimizer) -> list["torch.Tensor"]:
    """List the tensors of an optimizer's state."""
    import torch

    return [value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
