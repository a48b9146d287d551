"""Adapters with drawn weights in files, without a model."""

from pathlib import Path

import numpy as np


def write_drawn(folder: Path, shapes: dict[str, tuple[int, int]], rank: int = 4, seed: int = 0, **settings) -> Path:
    """Write an adapter of layers with these shapes (outputs, inputs); `alpha` and others are settings of PEFT."""
    import torch

    from stagewise.models.adapters import write_adapter

    rng = np.random.default_rng(seed)
    factors = {
        name: (rng.uniform(-1, 1, (rank, inputs)) / inputs**0.5, rng.normal(size=(outputs, rank)) / 10)
        for name, (outputs, inputs) in shapes.items()
    }
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": settings.pop("alpha", 2 * rank),
        "target_modules": sorted({name.rpartition(".")[2] for name in shapes}),
        "layers_to_transform": None,
    }
    tensors = {name: tuple(torch.from_numpy(factor).float() for factor in pair) for name, pair in factors.items()}
    write_adapter(folder, config | settings, tensors)
    return folder
