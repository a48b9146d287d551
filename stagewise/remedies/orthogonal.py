"""Orthogonal: learn in directions that the earlier stages do not use."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from stagewise.remedies.base import Remedy, TrainingContext, TrainingHook

if TYPE_CHECKING:
    from stagewise.config.training import Lora


class Orthogonal(Remedy):
    """O-LoRA (Wang et al. 2023): a new LoRA per stage, its input directions orthogonal to the earlier, frozen ones.

    The paper adds a penalty on the overlap; here the new A is projected after every step, so that it is orthogonal to
    rounding. The adapter holds both: its rank grows by `lora.r` with every such stage.
    """

    paper: ClassVar[str] = "Wang et al. 2023 (O-LoRA), arXiv:2310.14152"
    needs_parent: ClassVar[bool] = True

    def start(self, parent: Path | None, folder: Path, lora: "Lora", seed: int) -> Path | None:
        import torch

        from stagewise.models.adapters import read_adapter, write_adapter

        config, factors = read_adapter(parent)
        scaling = config["lora_alpha"] / config["r"]
        generator = torch.Generator().manual_seed(seed)
        wider = {}
        for name, (a, b) in sorted(factors.items()):
            new_a = torch.empty(lora.r, a.shape[1])
            bound = 1 / math.sqrt(a.shape[1])  # PEFT's own initialization of A: Kaiming uniform with a = sqrt(5)
            new_a.uniform_(-bound, bound, generator=generator)
            new_a = remove_directions(new_a, orthonormal_basis(a.float()))
            wider[name] = (torch.cat([a.float(), new_a]), torch.cat([b.float(), torch.zeros(len(b), lora.r)], 1))
        rank = config["r"] + lora.r
        write_adapter(folder, config | {"r": rank, "lora_alpha": scaling * rank}, wider)
        return folder

    def hook(self, context: TrainingContext) -> TrainingHook:
        return FrozenDirections(context)


class FrozenDirections(TrainingHook):
    """After every step, restores the earlier part and projects the new A onto its orthogonal complement."""

    def __init__(self, context: TrainingContext):
        from stagewise.models.adapters import adapted_layers

        self.layers = []
        for layer in adapted_layers(context.model):
            rank = layer.a.shape[0] - context.lora.r
            a, b = layer.a.detach()[:rank].clone(), layer.b.detach()[:, :rank].clone()
            self.layers.append((layer, rank, a, b, orthonormal_basis(a)))

    def after_step(self) -> None:
        import torch

        with torch.no_grad():
            for layer, rank, a, b, directions in self.layers:
                layer.a[:rank] = a
                layer.b[:, :rank] = b
                layer.a[rank:] = remove_directions(layer.a[rank:], directions)


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
