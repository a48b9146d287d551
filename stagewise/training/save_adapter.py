"""Write a finished adapter's folder."""

import csv
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from stagewise.errors import InputError
from stagewise.models.adapter_settings import name_base_model
from stagewise.models.adapters import ADAPTER_WEIGHTS, check_finite_weights
from stagewise.provenance.files import replaced_folder, write_json
from stagewise.provenance.receipts import write_receipt
from stagewise.training.adopted_card import write_adopted_card
from stagewise.training.job import AdapterJob
from stagewise.training.model_card import write_card


def save_adapter(
    job: AdapterJob,
    cached: Path,
    summary: dict,
    tokenizer,
    write_weights: Callable[[Path], None],
    log: Iterable[tuple] = (),
) -> None:
    """Write the folder ``adapter`` in the cache, whole: weights, tokenizer, recipe, log, card and receipt.

    Parameters
    ----------
    cached
        Cache folder of the job.
    summary
        Facts about the training, for ``training.json`` and the card.
    write_weights
        Function that writes weights and their configuration to a folder.
    log
        Rows of (step, epoch, split, metric, value).

    Raises
    ------
    InputError
        If the weights are not finite; nothing is kept of them then.
    """
    with replaced_folder(cached / "adapter") as folder:
        write_weights(folder)
        try:
            if (folder / ADAPTER_WEIGHTS).is_file():  # a fully fine-tuned model has none here
                name_base_model(folder, job.recipe.model.name, job.recipe.model.origin)
                check_finite_weights(folder)
        except InputError:
            raise InputError(
                f"{job.recipe_file}: this adapter's weights come out not finite (NaN or infinite), so it is not kept; "
                "lower the learning rate of its stage, or the strength of its remedy or merge"
            ) from None
        tokenizer.save_pretrained(folder)
        shutil.copy(job.recipe_file, folder / "recipe.json")
        write_json(folder / "training.json", summary)
        with open(folder / "training_log.csv", "w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(("step", "epoch", "split", "metric", "value"))
            writer.writerows(log)
        if job.recipe.adopted:
            write_adopted_card(folder, job.recipe)
        else:
            write_card(folder, job.recipe, summary)
        write_receipt(folder, {"inputs": job.inputs, "image": job.image})
