"""Fingerprint of predictions: everything that determines them."""

from pathlib import Path

from stagewise.config.identity import EVERYWHERE, GENERATION_ALONE, PREDICTIONS, facts
from stagewise.config.step_settings import ScoringSettings
from stagewise.errors import InputError
from stagewise.inference.template import Template
from stagewise.measures import measures_of
from stagewise.models.tuned import weights_checksum
from stagewise.predictions import PREDICTION_BEHAVIOUR
from stagewise.provenance.files import read_json, sha256_file


def prediction_inputs(settings: ScoringSettings, templates: dict[str, Template], model: str, data: dict) -> dict:
    """Record what predictions are made from, apart from the adapter (`adapter_group`).

    Parameters
    ----------
    settings
        The settings that scoring reads.
    templates
        Each task's prompt.
    model
        The base model's fingerprint.
    data
        SHA-256 of the splits that are scored, by task and split (`data_checksums`).
    """
    generated = settings.evaluation.method == "generation"
    ignored = EVERYWHERE | PREDICTIONS | ({} if generated else GENERATION_ALONE)
    compared = [name for name, task in settings.tasks.items() if task.kind == "generation"]
    return {
        "settings": facts(settings, ignored),
        "prompts": {name: template.text for name, template in templates.items()},
        "files": {f"{task}.{split}": sha256 for task, splits in data.items() for split, sha256 in splits.items()},
        "model": model,
        "behaviour": {"predictions": PREDICTION_BEHAVIOUR},
    } | ({"text_measures": {name: list(measures_of("generation")) for name in compared}} if compared else {})


def split_name(name: str) -> tuple[str, str]:
    """Take the name of a prediction file, ``task.split``, apart."""
    task, _, split = name.rpartition(".")
    return task, split


def file_inputs(inputs: dict, name: str) -> dict:
    """Cut the inputs record of one prediction file, named as ``task.split``, out of that of all of a model's.

    Another task's settings, prompt or items are no part of it.
    """
    task, _ = split_name(name)
    settings = inputs["settings"] | {"tasks": {task: inputs["settings"]["tasks"][task]}}
    if "max_length" in settings["tasks"][task]:
        del settings["max_length"]  # the task has its own
    record = inputs | {
        "settings": settings,
        "prompts": {task: inputs["prompts"][task]},
        "files": {name: inputs["files"][name]},
    }
    if measures := record.pop("text_measures", {}).get(task):
        record["text_measures"] = {task: measures}
    return record


def adapter_group(receipt: dict | None) -> dict:
    """Record the adapter that predictions are made with, by its receipt; None is the untuned base model."""
    if receipt is None:
        return {"adapter": None}
    # Training on a GPU is not reproducible to the bit: the recipe alone does not say which weights these are.
    return {"adapter": {"recipe": receipt["inputs"]["recipe"], "weights": weights_checksum(receipt)}}


def data_checksums(data_dir, settings: ScoringSettings, checksum=None) -> dict[str, dict[str, str]]:
    """SHA-256 of every split file that is to be scored, by task and split, checked against the data's summary.

    Raises
    ------
    InputError
        Where a split is missing or not the one that the summary describes.
    """
    data_dir = Path(data_dir)
    summary = read_json(data_dir / "summary.json", "the data's summary")
    checksums: dict[str, dict[str, str]] = {}
    for task in settings.tasks:
        for split in settings.evaluation.splits:
            path = data_dir / task / f"{split}.jsonl"
            try:
                expected = summary["tasks"][task]["splits"][split]["sha256"]
            except KeyError:
                raise InputError(
                    f"{data_dir / 'summary.json'}: says nothing of {task}'s {split} split; run the step that makes the "
                    "splits again"
                ) from None
            if not checksum and not path.is_file():
                raise InputError(f"{path}: the split is missing; run the step that makes the splits")
            if (checksum or sha256_file)(path) != expected:
                raise InputError(f"{path}: not the file that summary.json describes (edited?); make the splits again")
            checksums.setdefault(task, {})[split] = expected
    return checksums
