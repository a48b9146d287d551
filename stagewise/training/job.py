"""The job of making one adapter: a recipe, its checked inputs, and the cache of finished adapters."""

import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stagewise.errors import InputError, one_line
from stagewise.models.adapters import (
    ADAPTER_WEIGHTS,
    adapter_folder,
    adapter_inputs,
    adapter_receipt,
    check_finite_weights,
)
from stagewise.models.shared_base import SharedBase
from stagewise.provenance.cache import adapter_cache
from stagewise.provenance.files import replaced_folder, sha256_file
from stagewise.provenance.lock import locked, locked_if_free
from stagewise.provenance.receipts import read_receipt
from stagewise.recipe import Recipe, check_parents_numerics, code_fingerprints
from stagewise.training import behaviour_versions
from stagewise.training.checkpoints import CheckpointFolder
from stagewise.training.distributed import process_index


@dataclass(frozen=True)
class AdapterJob:
    """A recipe, the folders of its inputs, and the folder that its adapter goes to."""

    recipe_file: Path
    recipe: Recipe
    model_dir: Path
    data_dir: Path
    parent_dirs: list[Path]
    parent_receipts: list[dict]
    checkpoints: Path
    """Folder of all checkpoints, which is the cache of finished adapters too."""
    output: Path | None
    """None if the adapter stays in the cache."""
    image: str | None
    """SHA-256 of the container image that this runs in, if it does."""

    @classmethod
    def open(cls, recipe_file, model_dir, data_dir, parent_dirs, checkpoints, output, image=None) -> "AdapterJob":
        """Read a recipe, and refuse inputs that are not the ones it names.

        Raises
        ------
        InputError
            For another model, data, parent, remedy's code or behaviour version than the recipe's.
        """
        recipe = Recipe.read(recipe_file, run_code=True)
        _check_model_and_data(recipe_file, recipe, Path(model_dir), Path(data_dir))
        _check_code(recipe_file, recipe)
        receipts = _check_parents(recipe_file, recipe, model_dir, parent_dirs)
        return cls(
            recipe_file=Path(recipe_file),
            recipe=recipe,
            model_dir=Path(model_dir),
            data_dir=Path(data_dir),
            parent_dirs=list(map(Path, parent_dirs)),
            parent_receipts=receipts,
            checkpoints=Path(checkpoints),
            output=Path(output) if output else None,
            image=image,
        )

    @property
    def name(self) -> str:
        """The job's name in messages."""
        return f"the adapter {self.recipe.lineage}"

    @property
    def inputs(self) -> dict:
        """Inputs record of the adapter."""
        return adapter_inputs(self.recipe.fingerprint, self.recipe.model.fingerprint, self.parent_receipts)

    @property
    def leaves_process_clean(self) -> bool:
        """True if the process can do other work afterwards; what a remedy from outside this package does is unknown."""
        return not self.recipe.code

    @property
    def cached(self) -> Path:
        """Cache folder of the adapter, with its checkpoints; the finished one is ``adapter`` in it."""
        return adapter_cache(self.checkpoints, self.inputs, self.image)


def _check_model_and_data(recipe_file, recipe: Recipe, model_dir: Path, data_dir: Path) -> None:
    model = read_receipt(model_dir, "the base model", verify=False)
    if model["fingerprint"] != recipe.model.fingerprint:
        raise InputError(f"{recipe_file}: written for another base model than {model_dir}; write the recipe again")
    needs_earlier = any(remedy.needs_earlier for remedy in recipe.remedies.in_training.values())
    for task, spec in recipe.tasks.items():
        for split, expected in spec.data.items():
            if split == "train" and task not in recipe.learns and not needs_earlier:
                continue  # not read: the parent, whose recipe names it too, has learnt from it
            file = data_dir / task / f"{split}.jsonl"
            if not file.is_file() or sha256_file(file) != expected:
                raise InputError(f"{file}: not the data that {recipe_file} names; write the recipe again")


def _check_code(recipe_file, recipe: Recipe) -> None:
    if code_fingerprints(recipe.remedies) != recipe.code:
        names = ", ".join(map(str, recipe.remedies.files))
        raise InputError(f"{names}: not the code that {recipe_file} names; write the recipe again")
    if (versions := behaviour_versions(recipe)) != recipe.behaviour:
        raise InputError(f"{recipe_file}: written for other behaviour versions than {versions}; write the recipe again")


def _check_parents(recipe_file, recipe: Recipe, model_dir, parent_dirs) -> list[dict]:
    if len(recipe.parents) != len(parent_dirs):
        raise InputError(
            f"{recipe_file}: made from {len(recipe.parents)} parent adapters, but {len(parent_dirs)} are given"
        )
    receipts = []
    for folder, parent in zip(parent_dirs, recipe.parents, strict=True):
        receipts.append(adapter_receipt(folder, model_dir))
        if receipts[-1]["inputs"]["recipe"] != parent.fingerprint:
            raise InputError(f"{folder}: not the parent that {recipe_file} names; write the recipe again")
    check_parents_numerics(recipe, [Recipe.read(adapter_folder(folder) / "recipe.json") for folder in parent_dirs])
    return receipts


def _is_intact(folder: Path) -> bool:
    """Check a cached adapter against its receipt; the main process removes one that is damaged or not finite."""
    try:
        if ADAPTER_WEIGHTS in read_receipt(folder, "the stored adapter")["files"]:
            check_finite_weights(folder)
    except (InputError, OSError):
        if process_index():
            return False
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            folder.unlink(missing_ok=True)
        return False
    return True


def get_or_make(
    job: AdapterJob,
    make: Callable[[Path], None],
    launch: Callable[[], None] | None = None,
    deadline: float | None = None,
) -> bool:
    """Put the finished adapter at the job's output, whole or not at all.

    One process at a time makes an adapter; another waits, and then takes the finished one.

    Parameters
    ----------
    make
        Function that leaves the finished adapter in the folder ``adapter`` of the cache folder that it is given; called
        only if the cache has none.
    launch
        Function that has other processes do this job in place of `make`; it never returns. They take the lock anew.
    deadline
        When to give up waiting for another process, in seconds since the epoch.

    Returns
    -------
    True if this process has made it, False if it was in the cache.
    """
    cached = job.cached
    with nullcontext() if process_index() else locked(cached, job.name, deadline):
        if not process_index():
            CheckpointFolder(cached).remove_leftovers()
        is_made = _is_intact(cached / "adapter")
        if not is_made and not launch:
            make(cached)
    if not is_made and launch:
        launch()
    if process_index():
        return not is_made  # the main process alone writes
    read_receipt(cached / "adapter", "the stored adapter")
    with replaced_folder(job.output) as folder:
        shutil.copytree(cached / "adapter", folder, dirs_exist_ok=True)
    print(f"{job.recipe.lineage}: adapter {job.recipe.fingerprint[:16]} is at {job.output}", file=sys.stderr)
    return not is_made


def make_if_free(job: AdapterJob, make: Callable[[Path], None]) -> bool:
    """Leave the finished adapter in the cache, unless it is there or another process works on it.

    Parameters
    ----------
    make
        As for `get_or_make`.

    Returns
    -------
    True if this process has made it.
    """
    cached = job.cached
    with locked_if_free(cached) as is_held:
        if not is_held:
            return False
        CheckpointFolder(cached).remove_leftovers()
        if _is_intact(cached / "adapter"):
            return False
        make(cached)
    return True


def is_worked_on(job: AdapterJob) -> bool:
    """Tell if another process works on the adapter at this moment."""
    with locked_if_free(job.cached) as is_held:
        return not is_held


class Scorer(Protocol):
    """Scores adapters that were just made (`stagewise.predictions.run.Scoring`)."""

    def seconds(self, data_dir: Path, per_byte: float) -> float:
        """Seconds that scoring will take, at so many per byte of the items' files."""

    def keep_predictions(
        self, base: SharedBase, adapter_dir: Path, data_dir: Path, checkpoints: Path, image: str | None, name: str
    ) -> None:
        """Leave an adapter's predictions in the cache."""


def score_adapter(scorer: Scorer, job: AdapterJob, base: SharedBase) -> None:
    """Score a finished adapter for the prediction step, which says what is wrong if that fails here."""
    if not job.leaves_process_clean:
        return
    try:
        folder, name = job.cached / "adapter", job.recipe.lineage
        scorer.keep_predictions(base, folder, job.data_dir, job.checkpoints, job.image, name)
    except Exception as error:
        reason = one_line(str(error) or type(error).__name__)
        print(f"{job.recipe.lineage}: not scored here, but by the prediction step ({reason})", file=sys.stderr)
