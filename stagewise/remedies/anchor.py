"""Anchor: stay near the parent's weights."""

from typing import ClassVar, Literal

from pydantic import Field

from stagewise.config.base import MAX_COUNT, Number
from stagewise.remedies.base import Batch, Remedy, TrainingContext, TrainingHook


class Anchor(Remedy):
    """Penalizes the squared distance of the adapter from its parent: L2-SP (Li et al. 2018) on LoRA weights.

    The penalty is strength / 2 times the squared distance, summed over all adapted layers.
    """

    paper: ClassVar[str] = "Li et al. 2018 (L2-SP), arXiv:1802.01483"
    needs_parent: ClassVar[bool] = True

    strength: Number = Field(0.05, gt=0, le=MAX_COUNT, description="Weight of the penalty.")
    of: Literal["product", "factors"] = Field(
        "product",
        description="Distance between the weight updates (alpha / r) B A, or between the factors A and B themselves, "
        "which also forbids what leaves the update as it is, and whatever else of the adapter is trained.",
    )

    @property
    def needs_plain_lora(self) -> bool:
        return self.of == "product"

    @property
    def label(self) -> str:
        return f"anchor-{self.strength:g}" + ("" if self.of == "product" else f"-{self.of}")

    def hook(self, context: TrainingContext) -> TrainingHook:
        return AnchorPenalty(context, self)


class AnchorPenalty(TrainingHook):
    def __init__(self, context: TrainingContext, settings: Anchor):
        from stagewise.models.adapters import adapted_layers, factor_layers

        self.settings = settings
        layers = (adapted_layers if settings.of == "product" else factor_layers)(context.model)
        self.layers = [(layer, layer.a.detach().clone(), layer.b.detach().clone()) for layer in layers]
        factors = {id(weight) for layer in layers for weight in (layer.a, layer.b)}
        trained = [
            weight for weight in context.model.parameters() if weight.requires_grad and id(weight) not in factors
        ]
        self.others = [(weight, weight.detach().clone()) for weight in trained]

    def loss(self, batch: Batch):
        distance = product_distance if self.settings.of == "product" else factor_distance
        total = sum(distance(*layer) for layer in self.layers)
        total += sum((weight - start).square().sum() for weight, start in self.others)
        return batch.batch_fraction * self.settings.strength / 2 * total


def factor_distance(layer, a, b):
    """Compute the squared distance of a layer's factors from `a` and `b`."""
    return (layer.a - a).square().sum() + (layer.b - b).square().sum()


def product_distance(layer, a, b):
    """Compute the squared Frobenius distance of a layer's update from that of `a` and `b`.

    With D = [B, -B0] and E = [A; A0] it is the trace of (DᵀD)(EEᵀ), which needs matrices of rank by rank only.
    """
    import torch

    left, right = torch.cat([layer.b, -b], 1), torch.cat([layer.a, a], 0)
    return layer.scaling**2 * ((left.T @ left) * (right @ right.T)).sum()
