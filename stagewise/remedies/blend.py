"""Blend: interpolate between parent and child."""

import shutil
from pathlib import Path
from typing import ClassVar

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
    def label(self) -> str:
        return f"blend-{self.alpha:g}"

    def merge(self, adapters: list[Path], folder: Path, load_base, seed: int) -> None:
        import torch

        from stagewise.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_adapter, write_adapter

        parent, child = adapters[-2:]
        if self.alpha in (0, 1):
            for name in (ADAPTER_WEIGHTS, ADAPTER_CONFIG):
                shutil.copyfile((child if self.alpha else parent) / name, folder / name)
            return
        parent_config, parent_factors = read_adapter(parent)
        child_config, child_factors = read_adapter(child)
        parent_scale = (1 - self.alpha) * parent_config["lora_alpha"] / parent_config["r"]
        child_scale = self.alpha * child_config["lora_alpha"] / child_config["r"]
        factors = {}
        for name, (a, b) in parent_factors.items():
            child_a, child_b = child_factors[name]
            factors[name] = torch.cat([a, child_a]), torch.cat([parent_scale * b, child_scale * child_b], 1)
        rank = parent_config["r"] + child_config["r"]
        write_adapter(folder, parent_config | {"r": rank, "lora_alpha": rank}, factors)
