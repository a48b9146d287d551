"""Blend: interpolate between parent and child."""

import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from stagewise.config.base import Number
from stagewise.remedies.base import Merge


class Blend(Merge):
    """Interpolates the weights between parent (0) and child (1): WiSE-FT (Wortsman et al. 2022). No training.

    The weight updates B A are interpolated, not the factors, so the adapter's rank is the sum of both.
    """

    paper: ClassVar[str] = "Wortsman et al. 2022 (WiSE-FT), arXiv:2109.01903"

    alpha: Number = Field(0.5, ge=0, le=1, description="Share of the child.")

    @property
    def needs_plain_lora(self) -> bool:
        return self.alpha not in (0, 1)

    @property
    def label(self) -> str:
        return f"blend-{self.alpha:g}"

    def merge(self, adapters: list[Path], folder: Path, load_base, seed: int) -> None:
        from stagewise.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS
        from stagewise.models.lora_updates import LoraUpdates, layer_shapes, write_updates

        parent, child = adapters[-2:]
        if self.alpha in (0, 1):
            for name in (ADAPTER_WEIGHTS, ADAPTER_CONFIG):
                shutil.copyfile((child if self.alpha else parent) / name, folder / name)
            return
        blended = [LoraUpdates.read(parent), LoraUpdates.read(child)]
        factors = {}
        for name, shape in layer_shapes(blended).items():
            shares = zip((1 - self.alpha, self.alpha), blended, strict=True)
            scales = [np.float32(share * entry.scaling(name)) for share, entry in shares]
            (parent_a, parent_b), (child_a, child_b) = (entry.factors_of(name, shape) for entry in blended)
            b = np.concatenate([scales[0] * parent_b, scales[1] * child_b], 1)
            factors[name] = np.concatenate([parent_a, child_a]), b
        write_updates(folder, blended, sum(entry.rank for entry in blended), factors)
