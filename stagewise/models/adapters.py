"""LoRA adapters in files and on a model. Importing this module imports no torch."""

import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stagewise.errors import InputError
from stagewise.models.receipts import model_receipt
from stagewise.provenance.files import read_json
from stagewise.provenance.receipts import RECEIPT, read_receipt

if TYPE_CHECKING:
    import torch

ADAPTER_WEIGHTS = "adapter_model.safetensors"

ADAPTER_CONFIG = "adapter_config.json"

_PREFIX = "base_model.model."

# Settings that may have a value; all others of PEFT make an adapter more than LoRA factors.
_PLAIN_SETTINGS = (
    "peft_type",
    "task_type",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "peft_version",
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "layers_to_transform",
    "fan_in_fan_out",
    "use_rslora",
    "init_lora_weights",
    "megatron_core",  # read with megatron_config alone
    "qalora_group_size",  # read with use_qalora alone
)


@dataclass(frozen=True)
class Layer:
    """One adapted layer of a PEFT model: its update is `scaling` · b a."""

    name: str
    """The layer's name in the base model."""
    a: "torch.Tensor"
    """Shape (rank, inputs)."""
    b: "torch.Tensor"
    """Shape (outputs, rank)."""
    scaling: float


def adapted_layers(model, adapter: str = "default") -> list[Layer]:
    """List the layers that an adapter of a PEFT model changes; `a` and `b` are the parameters themselves."""
    return [
        Layer(
            name.removeprefix(_PREFIX),
            module.lora_A[adapter].weight,
            module.lora_B[adapter].weight,
            module.scaling[adapter],
        )
        for name, module in model.named_modules()
        if adapter in getattr(module, "lora_A", ())
    ]


def read_adapter(folder) -> tuple[dict, dict[str, tuple["torch.Tensor", "torch.Tensor"]]]:
    """Read an adapter's configuration, and its factors (a, b) by layer.

    Raises
    ------
    InputError
        If the file is damaged, or holds anything but plain LoRA factors of finite numbers.
    """
    from safetensors.torch import load_file

    path = Path(folder) / ADAPTER_WEIGHTS
    check_finite_weights(folder)
    tensors = load_file(path)
    factors: dict[str, list] = {}
    for key, value in tensors.items():
        name, _, kind = key.removeprefix(_PREFIX).rpartition(".lora_")
        if kind not in ("A.weight", "B.weight"):
            raise InputError(f"{path}: '{key}' is not a LoRA factor; only plain LoRA adapters can be worked on")
        factors.setdefault(name, [None, None])["AB".index(kind[0])] = value
    config = read_json(Path(folder) / ADAPTER_CONFIG, "the adapter's configuration")
    return config, {name: (a, b) for name, (a, b) in factors.items()}


def write_adapter(folder, config: dict, factors: dict[str, tuple["torch.Tensor", "torch.Tensor"]]) -> None:
    """Write an adapter as PEFT reads it."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, (a, b) in factors.items():
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = a.contiguous()
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = b.contiguous()
    save_file(tensors, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def check_finite_weights(folder) -> None:
    """Refuse an adapter whose weights hold NaN or infinite numbers, as a training that has diverged leaves them.

    Raises
    ------
    InputError
        Naming the file and the first such tensor.
    """
    path = Path(folder) / ADAPTER_WEIGHTS
    if (name := _first_not_finite(path)) is not None:
        raise InputError(
            f"{path}: the weights '{name}' are not finite (NaN or infinite), so the training that left them has "
            "diverged; train the adapter again with a lower training.learning_rate"
        )


def _first_not_finite(path: Path) -> str | None:
    import numpy as np
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:  # no need to import torch, which takes longer than the check
            return next((name for name in file.keys() if not np.isfinite(file.get_tensor(name)).all()), None)
    except (TypeError, AttributeError):  # a type that numpy does not have, such as bfloat16
        with safe_open(path, "pt") as file:
            return next((name for name in file.keys() if not file.get_tensor(name).float().isfinite().all()), None)
    except SafetensorError as error:
        raise InputError(f"{path}: not a safetensors file ({error}); make the adapter again") from None


def adapter_inputs(recipe: str, model: str, parents: list[dict]) -> dict:
    """Record what an adapter is made from: fingerprints of its recipe and base model, and its parents' weights.

    Training on a GPU is not reproducible to the bit, so a parent's recipe alone does not say which weights it has.
    `parents` are the receipts of the parents' folders.
    """
    weights = [parent["files"][ADAPTER_WEIGHTS] for parent in parents]
    return {"recipe": recipe, "model": model, "parents": weights}


def adapter_folder(path) -> Path:
    """Find the folder with an adapter's weights: `path` itself, or the ``adapter`` folder in it.

    Raises
    ------
    InputError
        If there is none, or its weights are not safetensors.
    """
    path = Path(path)
    folder = next((f for f in (path, path / "adapter") if (f / ADAPTER_CONFIG).is_file()), None)
    if folder is None:
        raise InputError(f"{path}: no adapter here ({ADAPTER_CONFIG} is missing); name the folder of a trained adapter")
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise InputError(f"{folder}: the adapter's weights ({ADAPTER_WEIGHTS}) are missing; only safetensors are read")
    return folder


def adapter_receipt(adapter_dir, model_dir, verify: bool = True) -> dict:
    """Read an adapter's receipt, and check that it was trained on this very base model.

    Raises
    ------
    InputError
        If the adapter is incomplete or damaged, or belongs to another base model.
    """
    folder = adapter_folder(adapter_dir)
    if not (folder / RECEIPT).is_file():
        raise InputError(
            f"{folder}: an adapter from elsewhere, without a receipt of this workflow; a stage with 'adapter' takes it "
            "in (docs/your-own-adapter.md), and python -m scripts.forgot says in one command what it forgot"
        )
    receipt = read_receipt(folder, "the adapter", verify=verify)
    if ADAPTER_WEIGHTS not in receipt["files"]:
        raise InputError(f"{folder}: its receipt does not vouch for {ADAPTER_WEIGHTS}; train the adapter again")
    trained_on, base = receipt.get("inputs", receipt).get("model"), model_receipt(model_dir)
    if trained_on != base["fingerprint"]:
        raise InputError(
            f"{folder}: the adapter was trained on another base model (fingerprint {str(trained_on)[:12]}) than "
            f"{model_dir} ({base['model']}, {base['fingerprint'][:12]}); name the model it was trained on"
        )
    return receipt


def check_plain_lora(folder: Path) -> None:
    """Refuse an adapter that is more than LoRA factors of named layers; it may be somebody else's.

    PEFT imports modules that some settings name, matches layers with patterns that can take for ever, changes base
    weights for some ways to initialize, and lets tensors of other names replace the base model's.

    Raises
    ------
    InputError
        With the setting or tensor that is refused.
    """
    path = folder / ADAPTER_CONFIG
    config = read_json(path, "the adapter's configuration")
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        peft_type = config.get("peft_type") if isinstance(config, dict) else config
        raise InputError(f"{path}: peft_type is {str(peft_type)[:40]!r}, but only LORA adapters are read")
    modules = config.get("target_modules")
    is_plain = {
        "target_modules": isinstance(modules, list)
        and all(isinstance(name, str) and re.fullmatch(r"[\w.]+", name) for name in modules),
        "init_lora_weights": isinstance(config.get("init_lora_weights", True), bool),
    }
    refused = [key for key, plain in is_plain.items() if not plain]
    refused += [key for key, value in config.items() if key not in _PLAIN_SETTINGS and value and value != "none"]
    if refused:
        raise InputError(
            f"{path}: '{refused[0]}' is not a setting of plain LoRA on named layers, and no other adapter is read"
        )
    _check_factors(folder / ADAPTER_WEIGHTS, config.get("r"))


def _check_factors(path: Path, rank) -> None:
    """Refuse tensors that are no LoRA factors of this rank, without reading their values."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as tensors:
            shapes = {key: tensors.get_slice(key).get_shape() for key in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); get it again") from None
    for key, shape in shapes.items():
        side = re.fullmatch(r"base_model\.model\..+\.lora_(?:embedding_)?([AB])(?:\.weight)?", key)
        if side is None or len(shape) != 2 or shape["AB".index(side[1])] != rank:
            raise InputError(f"{path}: '{key[:100]}' is no LoRA factor of rank {rank}, which is all that is read")


def load_adapter(base, adapter_dir, trainable: bool = False, dropout: float | None = None):
    """Load an adapter onto a base model; `adapter_receipt` checks beforehand that they belong together.

    Its weights stay float32 whatever the base model's type, as in training: the adapter that predicts is the one that
    was validated. It is trained on with `dropout` on its input; None keeps the dropout that it was trained with.

    Raises
    ------
    InputError
        If the adapter does not fit the model's layers, or its weights are not finite.
    """
    from peft import LoraConfig, PeftModel

    folder = adapter_folder(adapter_dir)
    check_plain_lora(folder)
    check_finite_weights(folder)
    reason = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            config = LoraConfig.from_pretrained(folder, local_files_only=True)
            config.lora_dropout = config.lora_dropout if dropout is None else dropout
            model = PeftModel.from_pretrained(
                base, folder, is_trainable=trainable, config=config, local_files_only=True
            )
        except Exception as error:  # damaged files raise whatever their parsers raise
            reason = " ".join(str(error).split())[:200] or type(error).__name__
    # If the file lacks weights of a layer, PEFT only warns and goes on with untrained ones.
    if any(str(warning.message).startswith("Found missing adapter keys") for warning in caught):
        reason = "it has no weights for some of the layers it names"
    if reason:
        raise InputError(f"{folder}: the adapter does not fit the base model ({reason})")
    return model.train(trainable)
