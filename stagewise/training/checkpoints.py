"""Checkpoints of interrupted and of finished trainings."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError

TRAINED_TOKENS = "trained_tokens"
"""File in a checkpoint with the number of tokens trained on so far."""

VALIDATION_ANSWERS = "validation_answers.json"
"""File in a checkpoint with its answers to the validation items: codes of labels, by task."""

# Files that HF's Trainer needs to resume, written last to first; a folder without all of them was interrupted.
CHECKPOINT_FILES = (
    TRAINED_TOKENS,
    VALIDATION_ANSWERS,
    "trainer_state.json",
    "optimizer.pt",
    "scheduler.pt",
    "adapter_model.safetensors",
)


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint."""

    folder: Path
    continues_stage: bool = True
    """False if it is the parent's: its optimizer, schedule and step count go on, its tokens do not count."""

    @property
    def step(self) -> int:
        """Optimizer steps behind it."""
        return int(self.folder.name.removeprefix("checkpoint-"))

    @property
    def trained_tokens(self) -> int:
        """Tokens of the stage that it has behind it."""
        if not self.continues_stage:
            return 0
        return int((self.folder / TRAINED_TOKENS).read_text(encoding="utf-8"))

    @property
    def validation_answers(self) -> dict[str, list[int]]:
        """Answers to the validation items, as codes of labels in item order, by task."""
        return json.loads((self.folder / VALIDATION_ANSWERS).read_text(encoding="utf-8"))


def last_checkpoint(folder) -> Checkpoint | None:
    """Find the newest complete checkpoint in a folder; interrupted ones are removed."""
    checkpoints = []
    for path in Path(folder).glob("checkpoint-*"):
        if not re.fullmatch(r"checkpoint-\d+", path.name):
            continue
        if all((path / name).is_file() for name in CHECKPOINT_FILES):
            checkpoints.append(Checkpoint(path))
        else:
            shutil.rmtree(path)
    return max(checkpoints, key=lambda checkpoint: checkpoint.step, default=None)


def kept_checkpoint(folder, state) -> tuple[Checkpoint, bool]:
    """Find the checkpoint whose weights a finished training has kept.

    Parameters
    ----------
    folder
        Folder of the training's checkpoints.
    state
        transformers' `TrainerState` at the end.

    Returns
    -------
    checkpoint, is_best
        The best one, whose weights transformers has loaded, or the last one if none was chosen.
    """
    best = state.best_model_checkpoint
    return Checkpoint(Path(best or Path(folder) / f"checkpoint-{state.global_step}")), best is not None


def parent_checkpoint(checkpoints, parent_fingerprint: str, steps: int, recipe_file) -> Checkpoint:
    """Find the parent's last checkpoint, whose optimizer, schedule and step count the published experiment resumes.

    Parameters
    ----------
    checkpoints
        Folder of all checkpoints.
    steps
        Optimizer steps of the stage.
    recipe_file
        The stage's recipe, named in errors.

    Raises
    ------
    InputError
        If there is none, or if its step count leaves none of the stage's steps.
    """
    parent = Path(checkpoints) / parent_fingerprint[:16]
    for folder in sorted(parent.glob("*")):
        checkpoint = last_checkpoint(folder)
        if checkpoint is None:
            continue
        if checkpoint.step >= steps:
            raise InputError(
                f"{recipe_file}: resumes its parent's step count of {checkpoint.step}, but the stage has {steps} "
                "steps, so nothing would be trained; give it more epochs or set training.optimizer_state to 'fresh'"
            )
        return Checkpoint(checkpoint.folder, continues_stage=False)
    raise InputError(
        f"{parent}: the parent's checkpoint is missing, and training.optimizer_state is 'parent'; "
        "train the parent again here or set it to 'fresh'"
    )
