"""LoRA adapters in files and on a model. Importing this module imports no torch."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stagewise.errors import InputError
from stagewise.models.adapter_settings import ADAPTER_CONFIG, check_patterns, check_ranks, read_adapter_settings
from stagewise.models.receipts import model_receipt
from stagewise.provenance.receipts import RECEIPT, read_receipt

if TYPE_CHECKING:
    import torch

ADAPTER_WEIGHTS = "adapter_model.safetensors"

_PREFIX = "base_model.model."


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
    magnitude: "torch.Tensor | None" = None
    """Of DoRA, shape (outputs,); None if the adapter has none."""


def factor_layers(model, adapter: str = "default") -> list[Layer]:
    """List the layers with LoRA factors; `a`, `b` and `magnitude` are the parameters themselves."""
    return [
        Layer(
            name.removeprefix(_PREFIX),
            module.lora_A[adapter].weight,
            module.lora_B[adapter].weight,
            module.scaling[adapter],
            module.lora_magnitude_vector[adapter].weight if adapter in module.lora_magnitude_vector else None,
        )
        for name, module in model.named_modules()
        if adapter in getattr(module, "lora_A", ())
    ]


def adapted_layers(model, adapter: str = "default", magnitudes: bool = False) -> list[Layer]:
    """List the layers that an adapter changes (`factor_layers`), if it has nothing else.

    Parameters
    ----------
    magnitudes
        True if the adapter may have magnitudes of DoRA, which the caller minds.

    Raises
    ------
    InputError
        If the adapter has other weights than factors of linear layers, which the caller would leave out.
    """
    layers = factor_layers(model, adapter)
    factors = {id(weight) for layer in layers for weight in (layer.a, layer.b)}
    factors |= {id(layer.magnitude) for layer in layers if magnitudes}
    has_biases = model.peft_config[adapter].bias != "none"  # which stand in the places of the base model's
    for name, weight in model.named_parameters():
        is_adapter = weight.requires_grad or f".{adapter}" in name or (has_biases and name.endswith(".bias"))
        if is_adapter and id(weight) not in factors:
            raise InputError(_no_factor(name.removeprefix(_PREFIX).replace(f".{adapter}", "")))
    if model.peft_config[adapter].target_parameters:
        raise InputError(_no_factor("target_parameters"))
    return layers


def _no_factor(name: str) -> str:
    return (
        f"the adapter's '{name}' is no factor of a linear layer, and what is asked for works on plain LoRA alone; "
        "leave the remedy, the merge or the stage's own LoRA out, or start from a plain LoRA adapter"
    )


def read_adapter(folder) -> tuple[dict, dict[str, tuple["torch.Tensor", "torch.Tensor"]]]:
    """Read an adapter's configuration, and its factors (a, b) by layer.

    Raises
    ------
    InputError
        If the file is damaged, or holds anything but plain LoRA factors of finite numbers.
    """
    config, factors, magnitudes = read_dora(folder)
    if magnitudes:
        raise InputError(f"{folder}: {_no_factor(f'{next(iter(magnitudes))}.lora_magnitude_vector')}")
    return config, factors


def read_dora(folder) -> tuple[dict, dict[str, tuple["torch.Tensor", "torch.Tensor"]], dict[str, "torch.Tensor"]]:
    """Read an adapter as `read_adapter` does, and the magnitudes of DoRA by layer, shape (outputs,); none if plain."""
    from safetensors.torch import load_file

    path = Path(folder) / ADAPTER_WEIGHTS
    config = read_adapter_settings(folder)
    check_finite_weights(folder)
    factors: dict[str, list] = {}
    magnitudes = {}
    for key, value in load_file(path).items():
        name, _, kind = key.removeprefix(_PREFIX).rpartition(".lora_")
        if kind == "magnitude_vector":
            magnitudes[name] = value
        elif kind not in ("A.weight", "B.weight") or config.get("target_parameters"):
            raise InputError(f"{path}: {_no_factor(key)}")
        else:
            factors.setdefault(name, [None, None])["AB".index(kind[0])] = value
    check_patterns(path, config, list(factors))
    return config, {name: (a, b) for name, (a, b) in factors.items()}, magnitudes


def write_adapter(
    folder,
    config: dict,
    factors: dict[str, tuple["torch.Tensor", "torch.Tensor"]],
    magnitudes: dict[str, "torch.Tensor"] | None = None,
) -> None:
    """Write an adapter as PEFT reads it; `magnitudes` are those of DoRA by layer."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, (a, b) in factors.items():
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = a.contiguous()
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = b.contiguous()
    for name, magnitude in (magnitudes or {}).items():
        tensors[f"{_PREFIX}{name}.lora_magnitude_vector"] = magnitude.contiguous()
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
    if (name := first_not_finite(path)) is not None:
        raise InputError(
            f"{path}: the weights '{name}' are not finite (NaN or infinite), so the training that left them has "
            "diverged; train the adapter again with a lower training.learning_rate"
        )


def first_not_finite(path: Path) -> str | None:
    """Name the first tensor of a safetensors file that holds NaN or infinite numbers; None if all are finite."""
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


def load_adapter(base, adapter_dir, trainable: bool = False, dropout: float | None = None):
    """Load a LoRA adapter of any kind that is weights alone onto a base model.

    `adapter_receipt` checks beforehand that they belong together. LoRA factors and magnitudes stay float32 whatever the
    base model's type, as in training: the adapter that predicts is the one that was validated. Modules and biases that
    an adapter brings along have the base model's type. It is trained on with `dropout` on its input; None keeps the
    dropout that it was trained with.

    Raises
    ------
    InputError
        If the adapter is more than weights, does not fit the model's layers, or its weights are not finite.
    """
    from peft import LoraConfig, PeftModelForCausalLM

    folder = adapter_folder(adapter_dir)
    settings = read_adapter_settings(folder)
    check_ranks(folder / ADAPTER_CONFIG, settings, max(_ranks(folder / ADAPTER_WEIGHTS), default=0))
    check_finite_weights(folder)
    check_patterns(folder / ADAPTER_CONFIG, settings, [name for name, _ in base.named_modules()])
    settings = settings | {"task_type": "CAUSAL_LM", "auto_mapping": None, "inference_mode": not trainable}
    if isinstance(settings.get("init_lora_weights"), str):
        settings |= {"init_lora_weights": True, "eva_config": None}  # the weights are drawn already
    if dropout is not None:
        settings["lora_dropout"] = dropout
    if settings.get("bias", "none") != "none":
        _give_own_biases(base)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = LoraConfig.from_peft_type(**settings)
            model = PeftModelForCausalLM(base, config)
            _check_weights(model, folder / ADAPTER_WEIGHTS)
            mapping = getattr(base, "_checkpoint_conversion_mapping", {})
            model.load_adapter(
                str(folder), "default", is_trainable=trainable, key_mapping=mapping, local_files_only=True
            )
    except InputError:
        raise
    except Exception as error:  # damaged files raise whatever their parsers raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{folder}: the adapter does not fit the base model ({reason})") from None
    return model.train(trainable)


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a file's tensors, whose values are not read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as tensors:
            return {key: tuple(tensors.get_slice(key).get_shape()) for key in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); get it again") from None


def _ranks(path: Path) -> Iterator[int]:
    for key, shape in _shapes(path).items():
        if key.endswith((".lora_A.weight", ".lora_embedding_A")) and len(shape) == 2:
            yield shape[0]


def _give_own_biases(base) -> None:
    """Replace a model's biases by copies: PEFT writes an adapter's over them, and others share the model."""
    import torch

    for module in base.modules():
        if isinstance(bias := getattr(module, "bias", None), torch.nn.Parameter):
            module.bias = torch.nn.Parameter(bias.detach().clone(), requires_grad=False)


def _check_weights(model, path: Path) -> None:
    """Compare a file's tensors with those that PEFT would save of the model, which has drawn ones yet.

    A file may hold the base model's embeddings too, which PEFT adds to it in some cases; they have to be the same.

    Raises
    ------
    InputError
        For a tensor that is missing, has another shape, or belongs to no adapted layer.
    """
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    expected = {
        key: tuple(value.shape) for key, value in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    actual = _shapes(path)
    if missing := sorted(set(expected) - set(actual)):
        raise InputError(
            f"{path}: '{missing[0]}' is missing, so it has no weights for some of the layers that its configuration "
            "names, or belongs to another base model"
        )
    embeddings = {module.weight.data_ptr() for module in _embeddings(model)}
    parameters = model.named_parameters(remove_duplicate=False)  # an output head may be tied to the embeddings
    base_weights = {name: weight for name, weight in parameters if weight.data_ptr() in embeddings}
    with safe_open(path, "pt") as file:
        for key, shape in actual.items():
            if key in expected:
                if shape != expected[key]:
                    raise InputError(
                        f"{path}: '{key[:100]}' has the shape {shape}, but {expected[key]} by its configuration and "
                        "base model"
                    )
            elif key not in base_weights or shape != tuple(base_weights[key].shape):
                what = "is of another vocabulary" if key in base_weights else "belongs to none of its layers"
                raise InputError(f"{path}: '{key[:100]}' {what}, and nothing but an adapter's weights is read")
            elif not bool((file.get_tensor(key).to(base_weights[key]) == base_weights[key]).all()):
                raise InputError(f"{path}: '{key[:100]}' is not the base model's, whose weights stay as they are")


def _embeddings(model) -> list:
    base = model.get_base_model()
    modules = (base.get_input_embeddings(), base.get_output_embeddings())
    return [module for module in modules if module is not None]
