"""A LoRA of the stage's own beside its parent's, which is frozen. Importing this module imports no torch.

Both are one adapter. Its factors are A = [A_parent; A_new] and B = [B_parent, B_new], so that B A is the sum of both
products, and it has the new LoRA's scaling alpha / r.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from stagewise.models.adapters import adapted_layers, read_adapter, write_adapter
from stagewise.models.module_tree import ModuleTree
from stagewise.models.target_modules import adapted_modules
from stagewise.recipe import Recipe
from stagewise.remedies.base import TrainingHook

if TYPE_CHECKING:
    from stagewise.config.training import Lora


def trains_new_lora(recipe: Recipe) -> bool:
    """Tell if a stage trains a LoRA of its own, by its settings or for a remedy."""
    return recipe.new_lora or any(remedy.new_lora for remedy in recipe.remedies.in_training.values())


def lora_config(tree: ModuleTree, lora: "Lora"):
    """Build PEFT's configuration of a new adapter."""
    from peft import LoraConfig

    last = None if lora.last_layers is None else list(range(tree.layers - lora.last_layers, tree.layers))
    return LoraConfig(
        layers_to_transform=last,
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        bias="none",
        task_type="CAUSAL_LM",
    )


def add_new_lora(parent: Path | None, folder: Path, base, lora: "Lora", seed: int) -> Path:
    """Write the parent's adapter with a new LoRA beside it, whose B is zero: it computes what the parent does.

    A layer that only one of the two adapts has zeros in the place of the other.

    Parameters
    ----------
    parent
        Folder of the parent's adapter; None writes the new LoRA alone.
    folder
        Folder to write to; it is returned.
    base
        Base model, without an adapter.
    lora
        Settings of the new LoRA.
    seed
        Seed of its A, which is drawn as PEFT does.

    Raises
    ------
    InputError
        If `lora` does not fit the base model.
    """
    import torch

    tree = ModuleTree.of(base)
    adapted = adapted_modules(tree, lora)
    if parent:
        config, factors = read_adapter(parent)
        rank, scaling = config["r"], config["lora_alpha"] / config["r"]
    else:
        config = lora_config(tree, lora).to_dict() | {"target_modules": lora.target_modules}
        factors, rank, scaling = {}, 0, 1.0
    new_scaling = lora.alpha / lora.r
    generator = torch.Generator().manual_seed(seed)
    wider = {}
    for name in sorted({*factors, *adapted}):
        if name in factors:
            a, b = (factor.float() for factor in factors[name])
        else:
            a, b = torch.zeros(rank, adapted[name].inputs), torch.zeros(adapted[name].outputs, rank)
        new_a = torch.zeros(lora.r, a.shape[1])
        if name in adapted:
            bound = 1 / math.sqrt(a.shape[1])  # PEFT's own initialization of A: Kaiming uniform with a = sqrt(5)
            new_a.uniform_(-bound, bound, generator=generator)
        b = b * (scaling / new_scaling)
        wider[name] = torch.cat([a, new_a]), torch.cat([b, torch.zeros(len(b), lora.r)], 1)
    if parent and wider.keys() != factors.keys():
        config |= {"target_modules": sorted(wider), "layers_to_transform": None}
    rank += lora.r
    changes = {"r": rank, "lora_alpha": new_scaling * rank, "lora_dropout": lora.dropout}
    write_adapter(folder, config | changes, wider)
    return folder


class FrozenParent(TrainingHook):
    """Keeps all but the last `rank` rows of A and columns of B, the new LoRA, as they are when training begins.

    Their gradients are zero, so that clipping measures the new LoRA's alone, and they are put back after every step,
    whatever weight decay does. A layer whose new A is zero is none of the stage's.
    """

    def __init__(self, model, rank: int):
        self._kept = []
        for layer in adapted_layers(model):
            frozen = layer.a.shape[0] - rank
            if not layer.a[frozen:].any():
                frozen = layer.a.shape[0]
            self._kept.append((layer, layer.a.detach()[:frozen].clone(), layer.b.detach()[:, :frozen].clone()))
            layer.a.register_hook(lambda gradient, frozen=frozen: _without_rows(gradient, frozen))
            layer.b.register_hook(lambda gradient, frozen=frozen: _without_rows(gradient.T, frozen).T)
        self.frozen_parameters = sum(a.numel() + b.numel() for _, a, b in self._kept)

    def after_step(self) -> None:
        import torch

        with torch.no_grad():
            for layer, a, b in self._kept:
                layer.a[: len(a)] = a
                layer.b[:, : len(a)] = b


def _without_rows(gradient, rows: int):
    """Copy a gradient with its first rows set to zero."""
    gradient = gradient.clone()
    gradient[:rows] = 0
    return gradient
