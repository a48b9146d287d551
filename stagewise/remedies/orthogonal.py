"""Learn in directions that the earlier stages do not use."""

import math
from pathlib import Path
from typing import ClassVar

from stagewise.remedies.base import Effect, Remedy, Scene


class Orthogonal(Remedy):
    """O-LoRA (Wang et al. 2023): a new LoRA per stage, its input directions orthogonal to the earlier, frozen ones.

    The paper adds a penalty on the overlap; here the new A is projected after every step, so that it is orthogonal to
    rounding. The adapter holds both: its rank grows by `lora.r` with every such stage.
    """

    paper: ClassVar[str] = "Wang et al. 2023 (O-LoRA), arXiv:2310.14152"
    needs_parent: ClassVar[bool] = True

    def start(self, parent: Path | None, folder: Path, settings: dict, seed: int) -> Path | None:
        import torch

        from stagewise.models.adapters import read_adapter, write_adapter

        config, factors = read_adapter(parent)
        scaling = config["lora_alpha"] / config["r"]
        generator = torch.Generator().manual_seed(seed)
        wider = {}
        for name, (a, b) in sorted(factors.items()):
            new = torch.empty(settings["r"], a.shape[1])
            bound = 1 / math.sqrt(a.shape[1])  # PEFT's own initialization of A: Kaiming uniform with a = sqrt(5)
            new.uniform_(-bound, bound, generator=generator)
            new = without(new, basis(a.float()))
            wider[name] = (torch.cat([a.float(), new]), torch.cat([b.float(), torch.zeros(len(b), settings["r"])], 1))
        rank = config["r"] + settings["r"]
        write_adapter(folder, config | {"r": rank, "lora_alpha": scaling * rank}, wider)
        return folder

    def effect(self, scene: Scene) -> Effect:
        return _Kept(scene)


class _Kept(Effect):
    """After every step the earlier part is as it was, and the new A orthogonal to it."""

    def __init__(self, scene: Scene):
        from stagewise.models.adapters import adapted_layers

        self.known = []
        for layer in adapted_layers(scene.model):
            old = layer.a.shape[0] - scene.lora["r"]
            a, b = layer.a.detach()[:old].clone(), layer.b.detach()[:, :old].clone()
            self.known.append((layer, old, a, b, basis(a)))

    def after_step(self) -> None:
        import torch

        with torch.no_grad():
            for layer, old, a, b, directions in self.known:
                layer.a[:old] = a
                layer.b[:, :old] = b
                layer.a[old:] = without(layer.a[old:], directions)


def basis(rows):
    """Orthonormal rows that span `rows`, shape (rank, width)."""
    import torch

    _, values, directions = torch.linalg.svd(rows.double(), full_matrices=False)
    return directions[values > values.max() * 1e-6].to(rows.dtype) if len(values) else rows


def without(rows, directions):
    """`rows` minus their part in the span of the orthonormal `directions`; twice, because once leaves rounding."""
    for _ in range(2):
        rows = rows - (rows @ directions.T) @ directions
    return rows
