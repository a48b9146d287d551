"""Files of a model's folder."""

from fnmatch import fnmatch
from pathlib import Path

from stagewise.errors import InputError
from stagewise.provenance.files import read_json
from stagewise.provenance.receipts import RECEIPT

# Files of a model, and nothing that could run: no pickles (.bin, .pt, .pth) and no Python.
_MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "LICEN[CS]E*", "NOTICE*", "USE_POLICY*")

# Some repositories hold the weights twice; transformers reads the other copy.
_EXCLUDED = ("consolidated*", "*.py")


def is_model_file(name: str) -> bool:
    """Check that a file at the top of a model's folder is part of the model."""
    return (
        "/" not in name
        and any(fnmatch(name, pattern) for pattern in _MODEL_FILES)
        and not any(fnmatch(name, pattern) for pattern in _EXCLUDED)
    )


def check_files(folder: Path, what: str) -> list[str]:
    """Check that a model folder is complete, and list its files, sorted.

    Raises
    ------
    InputError
        Without ``config.json``, a tokenizer or safetensors weights (all shards of them).
    """
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and is_model_file(p.name) and p.name != RECEIPT)
    if "config.json" not in names:
        is_adapter = (folder / "adapter_config.json").exists()
        hint = " (this is an adapter: name the base model, not the adapter)" if is_adapter else ""
        raise InputError(f"{what}: config.json is missing{hint}; a model directory is what save_pretrained writes")
    weights = [name for name in names if name.endswith(".safetensors") and not name.startswith("adapter_")]
    if not weights:
        pickles = [p.name for p in sorted(folder.iterdir()) if p.suffix in (".bin", ".pt", ".pth")]
        instead = f"only {pickles[0]}, which can run code when it is read" if pickles else "none"
        raise InputError(
            f"{what}: no safetensors weights ({instead}); convert them once with save_pretrained where you trust the "
            "file"
        )
    if not {"tokenizer.json", "tokenizer.model"} & set(names):
        raise InputError(f"{what}: no tokenizer (tokenizer.json or tokenizer.model); put the model's own beside it")
    if "model.safetensors.index.json" in names:
        index = read_json(folder / "model.safetensors.index.json", "the list of the model's weights")
        weight_map = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(weight_map, dict):
            raise InputError(f"{what}: model.safetensors.index.json has no weight_map; get it again")
        if missing := sorted(set(map(str, weight_map.values())) - set(names)):
            raise InputError(f"{what}: {missing[0]} is missing ({len(missing)} of its weight files are); get it again")
    return names
