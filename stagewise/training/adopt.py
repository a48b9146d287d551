"""Adoption of an adapter, or of a fully fine-tuned model, as a stage of the lineage. No module of torch is imported."""

import re
import shutil
import sys
from functools import partial
from pathlib import Path

from stagewise.errors import InputError
from stagewise.models.adapter_settings import base_model_settings, read_adapter_settings
from stagewise.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from stagewise.models.adopted import ADOPTED_FILES, factor_shapes
from stagewise.models.module_tree import ModuleTree, read_module_tree
from stagewise.models.receipts import model_files, model_receipt
from stagewise.models.tuned import MODEL_FILE
from stagewise.provenance.files import read_json, sha256_file, write_json
from stagewise.recipe import Recipe
from stagewise.training.job import AdapterJob, get_or_make


def adopt_adapter(job: AdapterJob, source) -> None:
    """Put an adapter from elsewhere at the job's output, as a training leaves its own.

    Parameters
    ----------
    source
        Folder of the fetched adapter (`stagewise.models.adopted.fetch_adapter`).

    Raises
    ------
    InputError
        If it is not the adapter that the recipe names, or does not fit the base model.
    """
    source, recipe = Path(source), job.recipe
    _check_kind(job, "adapter", "scripts.adopt_adapter")
    for name, expected in recipe.adopted.files.items():
        if not (source / name).is_file() or sha256_file(source / name) != expected:
            raise InputError(f"{source / name}: not the file that {job.recipe_file} names; write the recipe again")
    check_fits(source, read_module_tree(model_files(job.model_dir)), recipe.model.name)
    if notice := _other_base(read_json(source / ADAPTER_CONFIG, "the adapter's configuration"), recipe):
        print(f"{recipe.lineage}: {notice}", file=sys.stderr)
    get_or_make(job, partial(_save, job, write_weights=partial(_copy_adapter, source)))


def adopt_model(job: AdapterJob, tuned) -> None:
    """Put a reference to a fully fine-tuned model at the job's output, in the place of an adapter.

    Parameters
    ----------
    tuned
        Folder of the fetched model.

    Raises
    ------
    InputError
        If it is not the model that the recipe names.
    """
    recipe, receipt = job.recipe, model_receipt(tuned, verify=True)
    _check_kind(job, "model", "scripts.adopt_model")
    if receipt["files"] != recipe.adopted.files:
        raise InputError(f"{tuned}: not the model that {job.recipe_file} names; write the recipe again")
    facts = {"name": receipt["model"], "fingerprint": receipt["fingerprint"]}

    def write_reference(folder: Path) -> None:
        write_json(folder / MODEL_FILE, facts)

    get_or_make(job, partial(_save, job, write_weights=write_reference))


def _check_kind(job: AdapterJob, kind: str, script: str) -> None:
    adopted = job.recipe.adopted
    if adopted is None or adopted.kind != kind:
        raise InputError(f"{job.recipe_file}: this recipe adopts no {kind}, so {script} has nothing to do")


def check_fits(folder: Path, tree: ModuleTree, model: str) -> None:
    """Refuse an adapter with factors for a layer that the base model does not have, or of another size.

    Factors of embeddings and whole modules are left to `load_adapter`, which loads them or says why not.
    """
    claimed = read_adapter_settings(folder).get("base_model_name_or_path")
    way_out = f"name the base model that it was trained on ({ADAPTER_CONFIG} says {str(claimed)[:80]!r})"
    for name, shapes in factor_shapes(folder / ADAPTER_WEIGHTS).items():
        module = tree.modules.get(name)
        if module is None:
            raise InputError(f"{folder}: the adapter is for a layer '{name}', which {model} does not have; {way_out}")
        sizes = {"A": ("inputs", 1, module.inputs), "B": ("outputs", 0, module.outputs)}
        for factor, shape in shapes.items():
            side, axis, expected = sizes[factor]
            if module.linear and shape[axis] != expected:
                raise InputError(
                    f"{folder}: the adapter's layer '{name}' has {shape[axis]} {side}, and that of {model} {expected}; "
                    f"{way_out}"
                )


def _other_base(config: dict, recipe: Recipe) -> str | None:
    """Say that an adapter names another hub model as its base; a path of the machine it was made on says nothing."""
    claimed = str(config.get("base_model_name_or_path"))
    scored_on = base_model_settings(recipe.model.name, recipe.model.origin)["base_model_name_or_path"]
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", claimed) or claimed == scored_on:
        return None
    return f"the adapter names {claimed} as its base model and is scored on {scored_on}"


def _copy_adapter(source: Path, folder: Path) -> None:
    for name in ADOPTED_FILES:
        shutil.copyfile(source / name, folder / name)


def _save(job: AdapterJob, cached: Path, write_weights) -> None:
    from stagewise.models.load import load_tokenizer
    from stagewise.provenance.packages import package_versions
    from stagewise.training.save_adapter import save_adapter

    recipe = job.recipe
    summary = {
        "fingerprint": recipe.fingerprint,
        "lineage": recipe.lineage,
        "task": recipe.task_name,
        "dtype": recipe.dtype,
        "packages": package_versions(),
    }
    save_adapter(job, cached, summary, load_tokenizer(job.model_dir), write_weights)
