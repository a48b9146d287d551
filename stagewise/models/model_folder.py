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

_INDEX = "model.safetensors.index.json"


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
        instead = "none"
        if pickles:
            instead = f"only {pickles[0]}, which can run code when it is read"
        elif _INDEX in names:
            raise InputError(f"{what}: {_INDEX} lists weight files, and none of them is here; get them again")
        raise InputError(
            f"{what}: no safetensors weights ({instead}); convert them once with save_pretrained where you trust the "
            "file"
        )
    check_configuration(folder)
    if not {"tokenizer.json", "tokenizer.model"} & set(names):
        raise InputError(f"{what}: no tokenizer (tokenizer.json or tokenizer.model); put the model's own beside it")
    if _INDEX in names:
        index = read_json(folder / _INDEX, "the list of the model's weights")
        weight_map = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(weight_map, dict):
            raise InputError(f"{what}: {_INDEX} has no weight_map; get it again")
        if missing := sorted(set(map(str, weight_map.values())) - set(names)):
            raise InputError(f"{what}: {missing[0]} is missing ({len(missing)} of its weight files are); get it again")
    elif "model.safetensors" not in names:
        raise InputError(
            f"{what}: it has {weights[0]}, and neither model.safetensors nor {_INDEX}, which lists the files of "
            "weights; get it again, or save it with save_pretrained"
        )
    return names


def weight_names(folder: Path) -> list[str]:
    """List the names of a complete model's weights: from the list of its shards, or the head of its one file."""
    if (folder / _INDEX).is_file():
        return list(read_json(folder / _INDEX, "the list of the model's weights")["weight_map"])
    from safetensors import SafetensorError, safe_open

    path = folder / "model.safetensors"
    try:
        with safe_open(path, "np") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: it is no file of weights ({error}); get it again") from None


def check_configuration(folder: Path) -> dict:
    """Read a model's ``config.json``, and check that its weights are stored as numbers.

    Raises
    ------
    InputError
        If it is missing or no JSON object, or if the weights are quantized: by GPTQ, AWQ and others.
    """
    path = folder / "config.json"
    config = read_json(path, "the model's configuration")
    if not isinstance(config, dict):
        raise InputError(f"{path}: not a model's configuration; get it again")
    if quantized := config.get("quantization_config"):
        method = quantized.get("quant_method") if isinstance(quantized, dict) else quantized
        raise InputError(
            f"{folder}: its weights are quantized already ({str(method)[:40]}), on which no adapter is trained here; "
            "name the model that they were made from, with quantization: nf4 if memory is short"
        )
    return config
