"""Checkpoints of interrupted and of finished trainings.

Each is written aside, synced, and then renamed, so it is complete or does not exist. A receipt in it has the checksum
of every file; a checkpoint that does not match its receipt is never trained on.
"""

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError
from stagewise.provenance.files import publish_folder, read_json, sync_tree
from stagewise.provenance.receipts import RECEIPT, damaged_files, read_receipt, write_receipt
from stagewise.provenance.sealed_json import is_sealed

TRAINED_TOKENS = "trained_tokens"
"""File in a checkpoint with the number of tokens trained on so far."""

VALIDATION_ANSWERS = "validation_answers.json"
"""File in a checkpoint with the answers to the validation items at the last evaluation: codes of labels, by task."""

LOG_SUMS = "log_sums.json"
"""File in a checkpoint with what has been summed up since the last line of the training log."""

# Files that a training needs to go on; beside them a random state per process.
CHECKPOINT_FILES = (
    TRAINED_TOKENS,
    VALIDATION_ANSWERS,
    LOG_SUMS,
    "trainer_state.json",
    "optimizer.pt",
    "scheduler.pt",
    "adapter_model.safetensors",
    "adapter_config.json",
)

KEPT = 2
"""Newest checkpoints that are kept, so that one may be damaged; those that they name as the best are kept too."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that matches its receipt."""

    folder: Path
    continues_stage: bool = True
    """False if it is the parent's: its optimizer, schedule and step count go on, its tokens do not count."""

    @property
    def step(self) -> int:
        """Optimizer steps behind it."""
        return int(self.folder.name.removeprefix("checkpoint-"))

    @property
    def facts(self) -> dict:
        """Its receipt: ``step``, ``best_step``, ``processes`` and ``seconds`` beside the checksums."""
        return read_json(self.folder / RECEIPT, "the checkpoint's receipt")

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

    @property
    def log_sums(self) -> dict:
        """Sums since the last line of the training log."""
        return json.loads((self.folder / LOG_SUMS).read_text(encoding="utf-8"))


class CheckpointFolder:
    """The checkpoints of one training: the folder of its adapter in the cache."""

    def __init__(self, folder):
        self.folder = Path(folder)
        # A checkpoint that was copied from another training is no checkpoint of this one.
        self.training = "/".join(self.folder.absolute().parts[-2:])

    def path(self, step: int) -> Path:
        """Folder of the checkpoint after some step."""
        return self.folder / f"checkpoint-{step}"

    def aside(self, step: int) -> Path:
        """Folder in which that checkpoint is written until it is complete."""
        return self.folder / f".checkpoint-{step}"

    def begin(self, step: int) -> Path:
        """Make the empty folder that a checkpoint is written into."""
        shutil.rmtree(self.aside(step), ignore_errors=True)
        self.aside(step).mkdir(parents=True)
        return self.aside(step)

    def publish(self, step: int, best_step: int | None, processes: int, seconds: dict) -> None:
        """Give a checkpoint that is written its receipt and its name, and remove those that are no longer needed.

        Parameters
        ----------
        best_step
            Step of the best checkpoint so far; None if no metric picks one.
        processes
            Number of processes, each of which left its random state.
        seconds
            What a step, an evaluation and a checkpoint took, for the next attempt.
        """
        aside = self.aside(step)
        facts = {"training": self.training, "step": step, "best_step": best_step}
        write_receipt(aside, facts | {"processes": processes, "seconds": seconds})
        sync_tree(aside)
        publish_folder(aside, self.path(step))
        self._remove_old()

    def damage(self, path: Path) -> str | None:
        """Say why the folder `path` is no usable checkpoint of this training; None if it is one."""
        try:
            return self._damage(path)
        except OSError as error:
            return f"cannot be read ({error.strerror})"

    def _damage(self, path: Path) -> str | None:
        if not path.is_dir():
            return "is no folder"
        if not (path / RECEIPT).is_file():
            return f"has no {RECEIPT}"
        try:
            receipt = read_receipt(path, "the checkpoint", verify=False)
        except (InputError, RecursionError):
            return f"has a damaged {RECEIPT}"
        if not is_sealed(receipt):
            return f"has a damaged {RECEIPT}"
        if receipt.get("training") != self.training or path.name != f"checkpoint-{receipt.get('step')}":
            return "belongs to another training or step"
        for name in (*CHECKPOINT_FILES, *receipt["files"]):
            if not (path / name).is_file() or name not in receipt["files"]:
                return f"has no {name}"
        there = {p.relative_to(path).as_posix() for p in path.rglob("*") if not p.is_dir()} - {RECEIPT}
        if foreign := sorted(there - set(receipt["files"])):
            return f"holds a file that is not its own ({foreign[0]})"
        if damaged := damaged_files(path, receipt):
            return f"has a damaged {damaged[0]}"
        return None

    def last(self) -> Checkpoint | None:
        """Find the newest checkpoint that a training can go on from; it is told on stderr why others are removed.

        One whose best checkpoint is gone cannot end in the adapter of an undisturbed training, so it is passed over.
        """
        damage = {path: self.damage(path) for path in self.paths()}
        good = [Checkpoint(path) for path, reason in damage.items() if reason is None]
        steps = {checkpoint.step for checkpoint in good}
        for checkpoint in good:
            best = checkpoint.facts["best_step"]
            if best is not None and best not in steps:
                damage[checkpoint.folder] = f"needs checkpoint-{best}, the best one, which is gone"
        for path, reason in damage.items():
            if reason:
                print(f"warning: {path}: this checkpoint {reason}; it is removed and not used", file=sys.stderr)
                _remove(path)
        return max((c for c in good if not damage[c.folder]), key=lambda checkpoint: checkpoint.step, default=None)

    def remove_leftovers(self) -> None:
        """Remove what a killed training or merge has left half done. Only for the holder of the folder's lock."""
        for pattern in (".checkpoint-*", ".merged-*"):
            for path in self.folder.glob(pattern):
                _remove(path)

    def remove_all(self) -> None:
        """Remove all checkpoints, of which none is of use any more."""
        for path in self.paths():
            _remove(path)

    def paths(self) -> list[Path]:
        """Paths of all checkpoints, the newest first."""
        paths = [path for path in self.folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
        return sorted(paths, key=lambda path: -Checkpoint(path).step)

    def _remove_old(self) -> None:
        newest = [Checkpoint(path) for path in self.paths() if (path / RECEIPT).is_file()][:KEPT]
        kept = {checkpoint.step for checkpoint in newest} | {checkpoint.facts["best_step"] for checkpoint in newest}
        for path in self.paths():
            if Checkpoint(path).step not in kept:
                removed = path.with_name(f".{path.name}")
                shutil.rmtree(removed, ignore_errors=True)
                path.rename(removed)  # a half removed one must not look like a damaged one
                _remove(removed)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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


def parent_checkpoint(cached: Path, steps: int, recipe_file) -> Checkpoint:
    """Find the parent's last checkpoint, whose optimizer, schedule and step count the published experiment resumes.

    Parameters
    ----------
    cached
        The parent's folder in the cache.
    steps
        Optimizer steps of the stage.
    recipe_file
        The stage's recipe, named in errors.

    Raises
    ------
    InputError
        If there is none, if it is damaged, or if its step count leaves none of the stage's steps.
    """
    checkpoints = CheckpointFolder(cached)
    newest = next(iter(checkpoints.paths()), None)
    finished = cached / "adapter" / "training.json"
    if newest and finished.is_file():
        newest = checkpoints.path(read_json(finished, "the parent's training summary")["steps"])
    advice = f"delete {cached} and the parent's adapter and run again, or set training.optimizer_state to 'fresh'"
    if newest is None or not newest.exists():
        raise InputError(f"{cached}: the parent's last checkpoint is missing, but its optimizer is to go on; {advice}")
    if reason := checkpoints.damage(newest):
        raise InputError(f"{newest}: the parent's last checkpoint {reason}, but its optimizer is to go on; {advice}")
    checkpoint = Checkpoint(newest, continues_stage=False)
    if checkpoint.step >= steps:
        raise InputError(
            f"{recipe_file}: resumes its parent's step count of {checkpoint.step}, but the stage has {steps} "
            "steps, so nothing would be trained; give it more epochs (or a larger training.max_steps), or set "
            "training.optimizer_state to 'fresh'"
        )
    return checkpoint
