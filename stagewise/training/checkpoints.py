"""Checkpoints of an interrupted training."""

import re
import shutil
from pathlib import Path

# What HF's Trainer needs to resume, written last to first; a folder without all of them was interrupted.
_CHECKPOINT_FILES = (
    "trained_tokens",
    "trainer_state.json",
    "optimizer.pt",
    "scheduler.pt",
    "adapter_model.safetensors",
)


def last_checkpoint(folder) -> Path | None:
    """The newest complete checkpoint below `folder`; interrupted ones are removed."""
    found = []
    for path in Path(folder).glob("checkpoint-*"):
        step = re.fullmatch(r"checkpoint-(\d+)", path.name)
        if step and all((path / name).is_file() for name in _CHECKPOINT_FILES):
            found.append((int(step[1]), path))
        elif step:
            shutil.rmtree(path)
    return max(found)[1] if found else None
