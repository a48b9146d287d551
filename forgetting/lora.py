"""LoRA weights on a model and in files. Importing this module imports no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forgetting.errors import InputError, read_json

if TYPE_CHECKING:
    import torch

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Layer:
    """One adapted layer of a PEFT model: its update is `scaling` · b a."""

    name: str
    """The layer's name in the base model."""
    a: "torch.Tensor"
    """Shape (rank, inputs)."""
    b: "torch.Tensor"
    """Shape (outputs, rank)."""
    scaling: float


def layers(model, adapter: str = "default") -> list[Layer]:
    """Every layer that an adapter of a PEFT model changes; `a` and `b` are the parameters themselves."""
    return [
        Layer(
            name.removeprefix(_PREFIX),
            module.lora_A[adapter].weight,
            module.lora_B[adapter].weight,
            module.scaling[adapter],
        )
        for name, module in model.named_modules()
        if adapter in getattr(module, "lora_A", ())
    ]


def read_adapter(folder) -> tuple[dict, dict[str, tuple["torch.Tensor", "torch.Tensor"]]]:
    """An adapter's configuration, and its factors (a, b) by layer.

    Raises
    ------
    InputError
        Where the file holds something else than plain LoRA factors.
    """
    from safetensors.torch import load_file

    path = Path(folder) / ADAPTER_WEIGHTS
    factors: dict[str, list] = {}
    for key, value in load_file(path).items():
        name, _, kind = key.removeprefix(_PREFIX).rpartition(".lora_")
        if kind not in ("A.weight", "B.weight"):
            raise InputError(f"{path}: '{key}' is not a LoRA factor; only plain LoRA adapters can be worked on")
        factors.setdefault(name, [None, None])["AB".index(kind[0])] = value
    return read_json(Path(folder) / ADAPTER_CONFIG, "the adapter's configuration"), {
        n: (a, b) for n, (a, b) in factors.items()
    }


def write_adapter(folder, config: dict, factors: dict[str, tuple["torch.Tensor", "torch.Tensor"]]) -> None:
    """Write an adapter as PEFT reads it."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, (a, b) in factors.items():
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = a.contiguous()
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = b.contiguous()
    save_file(tensors, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
