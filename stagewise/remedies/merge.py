"""Merge: TIES, DARE and magnitude pruning of finished adapters."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from stagewise.config.base import Number, Whole
from stagewise.errors import InputError
from stagewise.remedies.base import Merge as MergeRemedy

if TYPE_CHECKING:
    from stagewise.models.lora_updates import LoraUpdates

ON_UPDATES = "_svd"
"""Ending of the methods that merge updates; the others merge factors."""


class Merge(MergeRemedy):
    """Merges parent and child, or one adapter per task, by TIES, DARE or magnitude pruning. No training.

    TIES (Yadav et al. 2023, section 3) trims each update to its largest weights, elects a sign for each weight, and
    averages those that have it. DARE (Yu et al. 2024, section 3) drops weights at random and rescales the rest. The
    papers merge updates of whole weights; of the methods that end in ``_svd`` the merged update is approximated with
    `rank` ranks. Layers are merged one by one, as in PEFT.
    """

    paper: ClassVar[str] = "Yadav et al. 2023 (TIES), arXiv:2306.01708; Yu et al. 2024 (DARE), arXiv:2311.03099"
    behaviour: ClassVar[int] = 2

    method: Literal[
        "ties_svd",
        "dare_ties_svd",
        "dare_linear_svd",
        "magnitude_prune_svd",
        "ties",
        "dare_ties",
        "dare_linear",
        "magnitude_prune",
    ] = Field(
        "ties_svd",
        description="Named as PEFT's `combination_type`. Those with `_svd` merge the updates B A; the others prune and "
        "merge the factors A and B by themselves, which is cheaper and another method than the papers'.",
    )
    density: Number = Field(0.5, gt=0, le=1, description="Share of each layer's weights that is kept.")
    weights: list[Annotated[Number, Field(ge=-1000, le=1000)]] | None = Field(
        None,
        description="Factor on each adapter's update before it is merged, the newest last; all 1 if not given. The "
        "same number for all scales the merged update: the papers' lambda, which they choose on validation.",
    )
    rank: Annotated[Whole, Field(ge=1, le=65_536)] | None = Field(
        None,
        description="Rank of the merged adapter, of `_svd` methods alone; the sum of the adapters' ranks if not given. "
        "`kept_share` in `training.json` is the share of the merged update's squared norm that it keeps.",
    )

    @model_validator(mode="after")
    def possible(self):
        if self.weights is not None and len(self.weights) < 2:
            raise ValueError("'weights' has one for each adapter that is merged, so two or more")
        if self.rank is not None and not self._on_updates:
            raise ValueError(
                f"'rank' is of the methods that end in {ON_UPDATES}; '{self.method}' keeps the rank of the adapters"
            )
        return self

    @property
    def _on_updates(self) -> bool:
        return self.method.endswith(ON_UPDATES)

    @property
    def label(self) -> str:
        parts = [self.method.replace("_", "-"), f"{self.density:g}"]
        if self.weights is not None:
            weights = self.weights if len(set(self.weights)) > 1 else self.weights[:1]
            parts.append("w" + "-".join(f"{weight:g}" for weight in weights))
        if self.rank is not None:
            parts.append(f"r{self.rank}")
        return "-".join(parts)

    def check_number(self, adapters: int) -> None:
        if self.weights is not None and len(self.weights) != adapters:
            raise ValueError(f"'weights' has {len(self.weights)} numbers, and {adapters} adapters are merged")

    def merge(self, adapters: list[Path], folder: Path, load_base, seed: int) -> dict | None:
        from stagewise.models.lora_updates import LoraUpdates

        merged = list(map(LoraUpdates.read, adapters))
        weights = self.weights or [1.0] * len(adapters)
        draw = np.random.default_rng(seed)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused
            return (self._merge_updates if self._on_updates else self._merge_factors)(merged, weights, folder, draw)

    def _merge_updates(self, adapters: "list[LoraUpdates]", weights: list[float], folder: Path, draw) -> dict:
        from stagewise.models.lora_updates import best_approximation, layer_shapes, write_updates

        shapes = layer_shapes(adapters)
        # No layer has a higher rank than its shorter side.
        rank = min(self.rank or sum(adapter.rank for adapter in adapters), max(map(min, shapes.values())))
        factors, kept, norm = {}, 0.0, 0.0
        for layer, shape in shapes.items():
            updates = [
                np.float32(w) * adapter.update(layer, shape) for w, adapter in zip(weights, adapters, strict=True)
            ]
            merged = self.combine(updates, draw)
            if not np.isfinite(merged).all():
                raise InputError(f"{layer}: its merged update is not finite; lower the remedy's setting merge.weights")
            *factors[layer], share = best_approximation(merged, rank)
            squared = float(np.square(merged, dtype=float).sum())
            kept, norm = kept + share * squared, norm + squared
        write_updates(folder, adapters, rank, factors)
        return {"kept_share": round(kept / norm, 6) if norm else 1.0}

    def _merge_factors(self, adapters: "list[LoraUpdates]", weights: list[float], folder: Path, draw) -> None:
        """Merge A and B by themselves, as PEFT does: each adapter's weight and scaling are shared between the two."""
        from stagewise.models.lora_updates import layer_shapes, write_updates

        first = adapters[0]
        if other := next((adapter for adapter in adapters if adapter.ranks != {first.rank}), None):
            ranks = " and ".join(map(str, sorted(other.ranks)))
            raise InputError(
                f"{other.folder}: has rank {ranks} and {first.folder} rank {first.rank}, but '{self.method}' "
                f"merges factors of one rank; choose the method {self.method}{ON_UPDATES}"
            )
        factors = {}
        for layer, shape in layer_shapes(adapters).items():
            scaled = []
            for weight, adapter in zip(weights, adapters, strict=True):
                (a, b), strength = adapter.factors_of(layer, shape), weight * adapter.scaling(layer)
                root = np.float32(abs(strength) ** 0.5)
                scaled.append((np.float32(np.sign(strength)) * root * a, root * b))
            factors[layer] = tuple(self.combine(list(side), draw) for side in zip(*scaled, strict=True))
        write_updates(folder, adapters, first.rank, factors)

    def combine(self, arrays: list[np.ndarray], draw: np.random.Generator) -> np.ndarray:
        """Merge arrays of one shape: prune each, then average by sign, or add."""
        if self.method.startswith("dare"):
            pruned = [drop_and_rescale(array, self.density, draw) for array in arrays]
        else:
            pruned = [trim(array, self.density) for array in arrays]
        return elect_and_average(pruned) if "ties" in self.method else sum(pruned)


def trim(array: np.ndarray, density: float) -> np.ndarray:
    """Keep the share of the weights with the largest magnitude (TIES, section 3, step 1), and set the others to 0."""
    sizes = np.abs(array)
    removed = sizes.size - max(round(density * sizes.size), 1)
    return np.where(sizes >= np.partition(sizes, removed, axis=None)[removed], array, 0)


def drop_and_rescale(array: np.ndarray, density: float, draw: np.random.Generator) -> np.ndarray:
    """Keep each weight with probability `density`, divided by it (DARE, section 3: p = 1 - density)."""
    is_kept = draw.random(array.shape, dtype=np.float32) < density
    return np.where(is_kept, array / np.float32(density), 0)


def elect_and_average(arrays: list[np.ndarray]) -> np.ndarray:
    """Average, at each weight, the values that have the sign of their sum (TIES, section 3, steps 2 and 3)."""
    sign = np.where(sum(arrays) >= 0, np.float32(1), np.float32(-1))
    agreeing = [np.where(array * sign > 0, array, 0) for array in arrays]
    return sum(agreeing) / np.maximum(sum((array != 0).astype(np.float32) for array in agreeing), 1)
