"""A LoRA of the stage's own beside its parent's, which is frozen. Importing this module imports no torch.

Both are one adapter. Its factors are A = [A_parent; A_new] and B = [B_parent, B_new], so that B A is the sum of both
products, and it has the new LoRA's scaling.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from stagewise.errors import InputError
from stagewise.models.adapter_settings import layer_scaling, with_layers, with_uniform_scaling
from stagewise.models.adapters import adapted_layers, read_dora, write_adapter
from stagewise.models.module_tree import ModuleTree
from stagewise.models.target_modules import adapted_modules, target_names
from stagewise.recipe import Recipe
from stagewise.remedies.base import TrainingHook
from stagewise.remedies.minor import layer_weight

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
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        target_modules=target_names(tree, lora),
        bias="none",
        task_type="CAUSAL_LM",
    )


def add_new_lora(parent: Path | None, folder: Path, base, lora: "Lora", seed: int) -> Path:
    """Write the parent's adapter with a new LoRA beside it, whose B is zero: it computes what the parent does.

    A layer that only one of the two adapts has zeros in the place of the other. With `lora.dora` a layer's magnitudes
    (Liu et al. 2024, arXiv:2402.09353, eq. 5) are the parent's, or the norms of the rows of its weights.

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
        If `lora` does not fit the base model, or the parent has weights beside its factors.
    """
    import torch

    tree = ModuleTree.of(base)
    adapted = adapted_modules(tree, lora)
    if parent:
        config, factors, magnitudes = read_dora(parent)
        rank = max(len(a) for a, _ in factors.values())
        if magnitudes and not lora.dora:
            raise InputError(
                f"{parent}: a DoRA adapter, whose magnitudes are no part of a plain LoRA beside it; set lora.dora for "
                "the stage too"
            )
    else:
        config = lora_config(tree, lora).to_dict() | {"target_modules": target_names(tree, lora)}
        factors, magnitudes, rank = {}, {}, 0
    generator = torch.Generator().manual_seed(seed)
    wider = {}
    for name in sorted({*factors, *adapted}):
        if name in factors:
            a, b = _filled_up(*(factor.float() for factor in factors[name]), rank)
            scaling = layer_scaling(config, name, len(factors[name][0]))
        else:
            a, b = torch.zeros(rank, adapted[name].inputs), torch.zeros(adapted[name].outputs, rank)
            scaling = lora.scaling
        new_a = torch.zeros(lora.r, a.shape[1])
        if name in adapted:
            bound = 1 / math.sqrt(a.shape[1])  # PEFT's own initialization of A: Kaiming uniform with a = sqrt(5)
            new_a.uniform_(-bound, bound, generator=generator)
        b = b * (scaling / lora.scaling)
        wider[name] = torch.cat([a, new_a]), torch.cat([b, torch.zeros(len(b), lora.r)], 1)
        if lora.dora and name not in magnitudes:
            weight = layer_weight(base.get_submodule(name)).cpu()
            magnitudes[name] = (weight + lora.scaling * b.double() @ a.double()).norm(dim=1).float()
    if parent and wider.keys() != factors.keys():
        config = with_layers(config, sorted(wider))
    config = with_uniform_scaling(config, rank + lora.r, lora.scaling) | {"lora_dropout": lora.dropout}
    write_adapter(folder, config | ({"use_dora": True} if lora.dora else {}), wider, magnitudes)
    return folder


def _filled_up(a, b, rank: int):
    """Fill factors up with zeros to a rank."""
    from torch.nn.functional import pad

    return pad(a, (0, 0, 0, rank - len(a))), pad(b, (0, rank - len(a)))


class FrozenParent(TrainingHook):
    """Keeps all but the last `rank` rows of A and columns of B, the new LoRA, as they are when training begins.

    Their gradients are zero, so that clipping measures the new LoRA's alone, and they are put back after every step,
    whatever weight decay does. A layer whose new A is zero is none of the stage's, and its magnitudes are kept too.
    """

    def __init__(self, model, rank: int):
        import torch

        self._kept = []
        self._magnitudes = []
        for layer in adapted_layers(model, magnitudes=True):
            frozen = layer.a.shape[0] - rank
            if not layer.a[frozen:].any():
                frozen = layer.a.shape[0]
                if layer.magnitude is not None:
                    self._magnitudes.append((layer.magnitude, layer.magnitude.detach().clone()))
                    layer.magnitude.register_hook(torch.zeros_like)
            self._kept.append((layer, layer.a.detach()[:frozen].clone(), layer.b.detach()[:, :frozen].clone()))
            layer.a.register_hook(lambda gradient, frozen=frozen: _without_rows(gradient, frozen))
            layer.b.register_hook(lambda gradient, frozen=frozen: _without_rows(gradient.T, frozen).T)
        self.frozen_parameters = sum(a.numel() + b.numel() for _, a, b in self._kept)
        self.frozen_parameters += sum(kept.numel() for _, kept in self._magnitudes)

    def after_step(self) -> None:
        import torch

        with torch.no_grad():
            for layer, a, b in self._kept:
                layer.a[: len(a)] = a
                layer.b[:, : len(a)] = b
            for magnitude, kept in self._magnitudes:
                magnitude.copy_(kept)


def _without_rows(gradient, rows: int):
    """Copy a gradient with its first rows set to zero."""
    gradient = gradient.clone()
    gradient[:rows] = 0
    return gradient
