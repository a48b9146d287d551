"""Merge: PEFT's ways of merging adapters."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from stagewise.config.base import Number
from stagewise.remedies.base import Merge as MergeRemedy


class Merge(MergeRemedy):
    """Merges parent and child, or one adapter per task, as PEFT's `add_weighted_adapter` does. No training.

    TIES (Yadav et al. 2023) keeps the largest weights and resolves signs; DARE (Yu et al. 2024) drops weights at
    random and rescales the rest.
    """

    paper: ClassVar[str] = "Yadav et al. 2023 (TIES), arXiv:2306.01708; Yu et al. 2024 (DARE), arXiv:2311.03099"

    method: Literal["ties", "dare_ties", "dare_linear", "magnitude_prune"] = Field(
        "ties", description="PEFT's `combination_type`."
    )
    density: Number = Field(0.5, gt=0, le=1, description="Share of the weights that is kept.")
    weights: list[Annotated[Number, Field(ge=-1000, le=1000)]] | None = Field(
        None, description="Weight of each adapter, the newest last; all 1 if not given."
    )

    @model_validator(mode="after")
    def two_or_more(self):
        if self.weights is not None and len(self.weights) < 2:
            raise ValueError("'weights' has one for each adapter that is merged, so two or more")
        return self

    @property
    def label(self) -> str:
        return f"{self.method.replace('_', '-')}-{self.density:g}"

    def check_number(self, adapters: int) -> None:
        if self.weights is not None and len(self.weights) != adapters:
            raise ValueError(f"'weights' has {len(self.weights)} numbers, and {adapters} adapters are merged")

    def merge(self, adapters: list[Path], folder: Path, load_base, seed: int) -> None:
        import torch
        from peft import PeftModel

        from stagewise.models.adapters import adapted_layers, read_adapter, write_adapter

        weights = self.weights or [1.0] * len(adapters)
        names = [f"adapter{number}" for number in range(len(adapters))]
        model = PeftModel.from_pretrained(load_base(), adapters[0], names[0], local_files_only=True)
        for name, path in zip(names[1:], adapters[1:], strict=True):
            model.load_adapter(path, name, local_files_only=True)
        torch.manual_seed(seed)  # DARE drops at random
        model.add_weighted_adapter(names, weights, "merged", combination_type=self.method, density=self.density)
        factors = {
            layer.name: (layer.a.detach().cpu(), layer.b.detach().cpu()) for layer in adapted_layers(model, "merged")
        }
        config, _ = read_adapter(adapters[-1])
        merged = model.peft_config["merged"]
        write_adapter(folder, config | {"r": merged.r, "lora_alpha": merged.lora_alpha}, factors)
