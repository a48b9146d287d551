"""Orthogonal: learn in directions that the earlier stages do not use."""

from pathlib import Path
from typing import ClassVar

from stagewise.errors import InputError
from stagewise.remedies.base import Remedy, StartContext, TrainingContext, TrainingHook


class Orthogonal(Remedy):
    """O-LoRA (Wang et al. 2023): a new LoRA per stage, its input directions orthogonal to the earlier, frozen ones.

    The paper adds a penalty on the overlap; here the new A is projected after every step, so that it is orthogonal to
    rounding. The adapter holds both: its rank grows by `lora.r` with every such stage.
    """

    paper: ClassVar[str] = "Wang et al. 2023 (O-LoRA), arXiv:2310.14152"
    behaviour: ClassVar[int] = 2
    needs_parent: ClassVar[bool] = True
    new_lora: ClassVar[bool] = True

    def start(self, context: StartContext) -> Path | None:
        from stagewise.models.adapters import read_adapter, write_adapter

        config, factors = read_adapter(context.adapter)
        for name, (a, _) in factors.items():
            earlier, new = a[: -context.lora.r], a[-context.lora.r :]
            directions = orthonormal_basis(earlier)
            check_directions_left("orthogonal", name, len(directions), a.shape[1], "lower lora.r")
            new.copy_(remove_directions(new, directions))
        write_adapter(context.folder, config, factors)
        return context.folder

    def hook(self, context: TrainingContext) -> TrainingHook:
        from stagewise.models.adapters import adapted_layers

        rank = context.lora.r
        layers = adapted_layers(context.model)
        return ProjectedLora([(layer, orthonormal_basis(layer.a.detach()[:-rank])) for layer in layers], rank)


class ProjectedLora(TrainingHook):
    """Keeps the new LoRA out of some input directions: its A is projected after every step.

    Parameters
    ----------
    layers
        Adapted layers (`stagewise.models.adapters.Layer`), each with orthonormal directions, shape (k, inputs).
    rank
        Rank of the new LoRA.
    """

    def __init__(self, layers, rank: int):
        self.layers, self.rank = layers, rank

    def after_step(self) -> None:
        import torch

        with torch.no_grad():
            for layer, directions in self.layers:
                new = layer.a[-self.rank :]
                new.copy_(remove_directions(new, directions))


def check_directions_left(remedy: str, layer: str, taken: int, inputs: int, way_out: str) -> None:
    """Raise an ``InputError`` if the earlier stages take all input directions of a layer."""
    if taken >= inputs:
        raise InputError(
            f"remedies.{remedy}: the earlier stages take all {inputs} input directions of {layer}, so that none is "
            f"left to learn in; {way_out}"
        )


def orthonormal_basis(rows):
    """Compute orthonormal rows that span `rows`, shape (rank, width)."""
    import torch

    _, values, directions = torch.linalg.svd(rows.double(), full_matrices=False)
    return directions[values > values.max() * 1e-6].to(rows.dtype) if len(values) else rows


def remove_directions(rows, directions):
    """Subtract the part of `rows` in the span of the orthonormal `directions`; twice, because once leaves rounding."""
    for _ in range(2):
        rows = rows - (rows @ directions.T) @ directions
    return rows
