"""Between parent and child."""

import shutil
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from stagewise.remedies.base import Merge


class Blend(Merge):
    """Interpolates the weights between parent (0) and child (1): WiSE-FT (Wortsman et al. 2022). No training.

    The weight updates B A are interpolated, not the factors, so the adapter's rank is the sum of both.
    """

    paper: ClassVar[str] = "Wortsman et al. 2022 (WiSE-FT), arXiv:2109.01903"

    alpha: float = Field(0.5, ge=0, le=1, description="Share of the child.")

    @property
    def label(self) -> str:
        return f"blend-{self.alpha:g}"

    def merge(self, adapters: list[Path], folder: Path, load, seed: int) -> None:
        import torch

        from stagewise.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_adapter, write_adapter

        if self.alpha in (0, 1):
            whole = adapters[-1] if self.alpha else adapters[-2]
            for name in (ADAPTER_WEIGHTS, ADAPTER_CONFIG):
                shutil.copyfile(whole / name, folder / name)
            return
        (config, parent), (other, child) = (read_adapter(path) for path in adapters[-2:])
        scales = [(1 - self.alpha) * config["lora_alpha"] / config["r"], self.alpha * other["lora_alpha"] / other["r"]]
        rank = config["r"] + other["r"]
        factors = {}
        for name, (a, b) in parent.items():
            c, d = child[name]
            factors[name] = torch.cat([a, c]), torch.cat([scales[0] * b, scales[1] * d], 1)
        write_adapter(folder, config | {"r": rank, "lora_alpha": rank}, factors)
