"""Fingerprint of predictions: everything that determines them."""

from pathlib import Path

from stagewise.config.step_settings import ScoringSettings
from stagewise.errors import InputError
from stagewise.inference.prompts import Template
from stagewise.models.adapters import ADAPTER_WEIGHTS
from stagewise.predictions import PREDICTION_BEHAVIOUR
from stagewise.provenance.files import read_json, sha256_file
from stagewise.provenance.fingerprints import fingerprint


def settings_fingerprint(settings: ScoringSettings, templates: dict[str, Template]) -> str:
    """Hash of the settings that predictions depend on; `templates` holds each task's prompt.

    Where items come from is left out (their checksums are facts of their own), and so is what changes only speed.
    """
    evaluation = {"method": settings.evaluation.method}
    if settings.evaluation.method == "generation":
        evaluation |= {"parse": settings.evaluation.parse, "max_new_tokens": settings.evaluation.max_new_tokens}
    return fingerprint(
        {
            "prompting": settings.prompting.model_dump(),
            "quantization": settings.quantization,
            "dtype": settings.dtype,
            "max_length": settings.max_length,
            "evaluation": evaluation,
            "tasks": {
                name: {"prompt": templates[name].text, "words": task.words, "shorten": task.shorten}
                for name, task in settings.tasks.items()
            },
        }
    )


def prediction_facts(
    settings: ScoringSettings, templates: dict[str, Template], model: str, data_dir, checksum=None
) -> dict:
    """What predictions are made from, the adapter aside (`adapter_facts`); their receipt holds it.

    `model` is the base model's fingerprint; `checksum` tells a split's SHA-256 where it is known without reading it.
    """
    return {
        "model": model,
        "settings": settings_fingerprint(settings, templates),
        "data": data_checksums(data_dir, settings, checksum),
        "method": settings.evaluation.method,
        "behaviour": {"predictions": PREDICTION_BEHAVIOUR},
    }


def adapter_facts(receipt: dict | None) -> dict:
    """What predictions say of the adapter with this receipt; None is the untuned base model."""
    return {
        "adapter": receipt and receipt["fingerprint"],
        # Training on a GPU is not reproducible to the bit: the recipe alone does not say which weights these are.
        "adapter_weights": receipt and receipt["files"][ADAPTER_WEIGHTS],
    }


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
