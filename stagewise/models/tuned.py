"""Fully fine-tuned models in the place of adapters. Importing this module imports no torch.

The folder of such an "adapter" holds no weights, but ``model.json``: the name of the model, which lies beside the base
model, and its fingerprint.
"""

from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError
from stagewise.models.adapters import ADAPTER_WEIGHTS, adapter_folder, adapter_receipt
from stagewise.models.receipts import model_receipt
from stagewise.provenance.files import read_json
from stagewise.provenance.receipts import read_receipt

MODEL_FILE = "model.json"


@dataclass(frozen=True)
class ScoredModel:
    """What is loaded to score a lineage."""

    receipt: dict | None
    """Receipt of the folder ``adapter``; None for the untuned base model."""
    model_dir: Path
    """Folder of the model to load: the base model, or a fully fine-tuned one."""
    adapter_dir: Path | None
    """Folder of the adapter to put on it, if there is one."""


def scored_model(model_dir, adapter_dir) -> ScoredModel:
    """Find what is to be loaded, and check that it belongs to this base model.

    Parameters
    ----------
    model_dir
        Folder of the base model.
    adapter_dir
        Folder of the adapter, or one with `MODEL_FILE`; None is the untuned base model.

    Raises
    ------
    InputError
        If the adapter or model is not there, is another one than was adopted, or belongs to another base model.
    """
    if adapter_dir is None:
        return ScoredModel(None, Path(model_dir), None)
    folder = stage_folder(adapter_dir)
    if not (folder / MODEL_FILE).is_file():
        return ScoredModel(adapter_receipt(folder, model_dir), Path(model_dir), folder)
    receipt = read_receipt(folder, "the adopted model")
    if receipt["inputs"]["model"] != model_receipt(model_dir)["fingerprint"]:
        raise InputError(f"{folder}: adopted beside another base model than {model_dir}; name that one")
    facts = read_json(folder / MODEL_FILE, "the adopted model")
    tuned = Path(model_dir).parent / facts["name"]
    if model_receipt(tuned)["fingerprint"] != facts["fingerprint"]:
        raise InputError(f"{tuned}: not the model that {folder} names; run the stage again that adopts it")
    return ScoredModel(receipt, tuned, None)


def stage_folder(path) -> Path:
    """Find the folder that a stage has left, as `adapter_folder`, also of a fully fine-tuned model."""
    folders = (Path(path), Path(path) / "adapter")
    return next((folder for folder in folders if (folder / MODEL_FILE).is_file()), None) or adapter_folder(path)


def weights_checksum(receipt: dict) -> str | None:
    """Checksum that stands for the weights of a folder ``adapter``, by its receipt; None if it names none."""
    files = receipt["files"]
    return files.get(MODEL_FILE) or files.get(ADAPTER_WEIGHTS)
