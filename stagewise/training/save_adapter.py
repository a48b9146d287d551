"""Adapters as finished things: checked inputs, a store by fingerprint, and the folder that a step leaves."""

import csv
import shutil
import sys
from pathlib import Path

from stagewise.errors import InputError
from stagewise.models.adapters import adapter_inputs, adapter_receipt
from stagewise.provenance.cache import adapter_cache
from stagewise.provenance.files import replaced_folder, sha256_file, write_json
from stagewise.provenance.packages import package_versions
from stagewise.provenance.receipts import read_receipt, write_receipt
from stagewise.recipe import Recipe, code_fingerprints
from stagewise.training import behaviour_versions, distributed
from stagewise.training.model_card import write_card

__all__ = ["check_inputs", "finished_or", "package_versions", "save"]


def check_inputs(path, recipe: Recipe, model_dir, data_dir, parents: list) -> list[dict]:
    """Refuse inputs that are not the ones the recipe at `path` names; return the receipts of the parents' folders.

    Raises
    ------
    InputError
        For another model, data, parent or remedy's code than the recipe's.
    """
    model = read_receipt(model_dir, "the base model", verify=False)
    if model["fingerprint"] != recipe.model.fingerprint:
        raise InputError(f"{path}: written for another base model than {model_dir}; write the recipe again")
    for task, facts in recipe.tasks.items():
        for split, expected in facts.data.items():
            file = Path(data_dir) / task / f"{split}.jsonl"
            if not file.is_file() or sha256_file(file) != expected:
                raise InputError(f"{file}: not the data that {path} names; write the recipe again")
    if code_fingerprints(recipe.remedies) != recipe.code:
        names = ", ".join(map(str, recipe.remedies.files))
        raise InputError(f"{names}: not the code that {path} names; write the recipe again")
    if (versions := behaviour_versions(recipe)) != recipe.behaviour:
        raise InputError(f"{path}: written for other behaviour versions than {versions}; write the recipe again")
    if len(recipe.parents) != len(parents):
        raise InputError(f"{path}: made from {len(recipe.parents)} parent adapters, but {len(parents)} are given")
    receipts = []
    for folder, expected in zip(parents, recipe.parents, strict=True):
        receipts.append(adapter_receipt(folder, model_dir))
        if receipts[-1]["inputs"]["recipe"] != expected.fingerprint:
            raise InputError(f"{folder}: not the parent that {path} names; write the recipe again")
    return receipts


def finished_or(recipe: Recipe, parents: list[dict], checkpoints, output, make, image: str | None = None) -> None:
    """Put the finished adapter at `output`, whole or not at all; `make(store)` makes it where there is none yet."""
    store = adapter_cache(checkpoints, adapter_inputs(recipe.fingerprint, recipe.model.fingerprint, parents), image)
    finished = store / "adapter"
    if not finished.is_dir():
        make(store)
    if distributed.index():
        return  # the first process alone writes
    read_receipt(finished, "the stored adapter")
    with replaced_folder(output) as folder:
        shutil.copytree(finished, folder, dirs_exist_ok=True)
    print(f"{recipe.lineage}: adapter {recipe.fingerprint[:16]} is at {output}", file=sys.stderr)


def save(
    store: Path, recipe_file, recipe: Recipe, summary: dict, parents: list[dict], tokenizer, weights, log, image=None
) -> None:
    """Write the whole folder ``store/adapter``: weights, tokenizer, recipe, log, card and receipt.

    Parameters
    ----------
    weights
        Called with the folder, it writes weights and configuration.
    log
        (step, epoch, split, metric, value) rows.
    image
        Checksum of the container image that this runs in, if it does.
    """
    with replaced_folder(store / "adapter") as folder:
        weights(folder)
        tokenizer.save_pretrained(folder)
        shutil.copy(recipe_file, folder / "recipe.json")
        write_json(folder / "training.json", summary)
        with open(folder / "training_log.csv", "w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(("step", "epoch", "split", "metric", "value"))
            writer.writerows(log)
        write_card(folder, recipe, summary)
        inputs = adapter_inputs(recipe.fingerprint, recipe.model.fingerprint, parents)
        write_receipt(folder, {"inputs": inputs, "image": image})
