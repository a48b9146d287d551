"""Merging of finished adapters into one, without training, from its recipe."""

import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

from stagewise.errors import InputError
from stagewise.models.frozen_layers import KeptLayers
from stagewise.models.gpu_lock import hide_gpus
from stagewise.models.shared_base import SharedBase
from stagewise.training.job import AdapterJob, Scorer, get_or_make, score_adapter


def merge_adapters(job: AdapterJob, scorer: Scorer | None = None, kept_layers: KeptLayers | None = None) -> None:
    """Put the merged adapter of a recipe at the job's output: from the cache, or by merging its parents.

    An adapter that is merged here is scored by `scorer`, with the frozen layers' output from `kept_layers`.

    Raises
    ------
    InputError
        If the recipe is of a trained adapter.
    """
    if job.recipe.training:
        raise InputError(f"{job.recipe_file}: this adapter is trained; see scripts.train_adapter")
    base = SharedBase(job.model_dir, job.recipe.quantization, job.recipe.dtype, kept_layers)
    if get_or_make(job, partial(merge_parents, job, base)) and scorer:
        score_adapter(scorer, job, base)


def merge_parents(job: AdapterJob, base: SharedBase, cached: Path) -> None:
    """Merge the parents and leave the finished adapter in the cache."""
    from stagewise.models.torch_environment import import_libraries

    hide_gpus()  # small matrices, whose last digits would be others on a GPU
    import_libraries("torch", quantization=job.recipe.quantization)
    from stagewise.models.adapters import adapter_folder, check_finite_weights
    from stagewise.models.load import load_tokenizer, resolve_device
    from stagewise.provenance.packages import package_versions
    from stagewise.training.save_adapter import save_adapter

    recipe = job.recipe
    _, remedy = recipe.remedies.afterwards
    cached.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    parents = list(map(adapter_folder, job.parent_dirs))
    for parent in parents:
        check_finite_weights(parent)
    with tempfile.TemporaryDirectory(dir=cached, prefix=".merged-") as merged:
        facts = remedy.merge(parents, Path(merged), base.take, recipe.seed)
        summary = (facts or {}) | {
            "fingerprint": recipe.fingerprint,
            "lineage": recipe.lineage,
            "task": recipe.task_name,
            "steps": 0,
            "seconds": round(time.monotonic() - started, 3),
            "tokens": 0,
            "extra_tokens": 0,
            "device": resolve_device().type,
            "dtype": recipe.dtype,
            "packages": package_versions(),
        }
        write_weights = partial(shutil.copytree, merged, dirs_exist_ok=True)
        save_adapter(job, cached, summary, load_tokenizer(job.model_dir), write_weights)
