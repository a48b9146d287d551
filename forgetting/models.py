"""Loading a base model, its tokenizer and adapters from local files; never code, never pickles, never the network."""

import warnings
from pathlib import Path

from forgetting import receipts
from forgetting.errors import InputError, read_json
from forgetting.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from forgetting.numerics import cpu_has_bfloat16, keep_4bit_weights_trainable


def write_model_receipt(folder, name: str, origin: dict, files_at=None, names=None) -> dict:
    """Write the receipt of a model folder; its fingerprint depends on the files' content alone.

    Parameters
    ----------
    folder
        Where the receipt goes.
    origin
        Where the model came from, as plain data.
    files_at
        Directory of the files where that is not `folder` itself.
    names
        Files that the receipt vouches for; all below `folder` if not given.
    """
    folder = Path(folder)
    where = Path(files_at).resolve() if files_at else folder
    if names is None:
        names = [
            p.relative_to(where).as_posix() for p in where.rglob("*") if p.is_file() and p.name != receipts.RECEIPT
        ]
    files = {name: receipts.sha256_file(where / name) for name in sorted(names)}
    receipt = {
        "model": name,
        "origin": origin,
        # Relative to the receipt, so that a model folder can be moved; absolute for a directory of the user's.
        "path": str(where) if files_at else ".",
        "files": files,
        "fingerprint": receipts.fingerprint(files),
    }
    receipts.write_json(folder / receipts.RECEIPT, receipt)
    return receipt


def model_receipt(model_dir, verify: bool = False) -> dict:
    """The receipt of a model folder; with `verify`, every file is checked against it."""
    return receipts.read_receipt(model_dir, "the base model", verify=verify)


def model_files(model_dir) -> Path:
    """The directory that holds a model's files: the folder itself or the user's own directory."""
    return Path(model_dir) / model_receipt(model_dir)["path"]


def resolve_device():
    """The current CUDA device where there is one, else the CPU."""
    import torch

    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def resolve_dtype(name: str, device=None):
    """The torch type for ``auto``, ``float32`` or ``bfloat16``.

    ``auto`` is bfloat16 where the hardware computes in it (CUDA compute capability 8.0 and above, CPUs with
    avx512_bf16 or amx_bf16), else float32.
    """
    import torch

    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    device = device or resolve_device()
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        native = cpu_has_bfloat16()
    return torch.bfloat16 if native else torch.float32


def load_tokenizer(model_dir):
    """The tokenizer of a model folder, padding on the left, with a padding token.

    Raises
    ------
    InputError
        Where the tokenizer has no end token, which every answer needs.
    """
    from transformers import AutoTokenizer

    files = model_files(model_dir)
    tokenizer = AutoTokenizer.from_pretrained(files, trust_remote_code=False, local_files_only=True)
    if tokenizer.eos_token_id is None:
        raise InputError(f"{files}: the tokenizer has no end token (eos_token); add one to tokenizer_config.json")
    if tokenizer.pad_token_id is None:
        # Padding is masked everywhere, so any token will do; the end token is the one that every model has.
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


def load_base(model_dir, quantization: str = "none", dtype: str = "auto"):
    """The base model with frozen weights, in evaluation mode, on the GPU if there is one.

    Parameters
    ----------
    model_dir
        Folder with a model receipt; every file is checked against it before it is read.
    quantization
        ``none``, or ``nf4``: 4-bit NormalFloat with double quantization (QLoRA, arXiv:2305.14314), computing in
        `dtype`.
    dtype
        ``auto``, ``float32`` or ``bfloat16``, see `resolve_dtype`.

    Raises
    ------
    InputError
        Where a file is not as the receipt says, or transformers cannot load the model without code of its own.
    """
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    model_receipt(model_dir, verify=True)
    device = resolve_device()
    compute = resolve_dtype(dtype, device)
    extra = {}
    if quantization == "nf4":
        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute,
        )
    files = model_files(model_dir)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            files,
            dtype=compute,
            device_map={"": device},
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            **extra,
        )
    except (ValueError, OSError, KeyError) as error:
        raise InputError(f"{files}: the model cannot be loaded ({' '.join(str(error).split())[:200]})") from None
    if quantization == "nf4":
        keep_4bit_weights_trainable(model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()


def adapter_folder(path) -> Path:
    """The folder with the adapter's weights: `path` itself, or the ``adapter`` folder in it.

    Raises
    ------
    InputError
        Where there is none, or its weights are not safetensors.
    """
    path = Path(path)
    folder = next((f for f in (path, path / "adapter") if (f / ADAPTER_CONFIG).is_file()), None)
    if folder is None:
        raise InputError(f"{path}: no adapter here ({ADAPTER_CONFIG} is missing); name the folder of a trained adapter")
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise InputError(f"{folder}: the adapter's weights ({ADAPTER_WEIGHTS}) are missing; only safetensors are read")
    return folder


def adapter_receipt(adapter_dir, model_dir, verify: bool = True) -> dict:
    """The receipt of an adapter, after checking that it was trained on this very base model.

    Raises
    ------
    InputError
        Where the adapter is incomplete or damaged, or belongs to another base model.
    """
    folder = adapter_folder(adapter_dir)
    receipt = receipts.read_receipt(folder, "the adapter", verify=verify)
    if ADAPTER_WEIGHTS not in receipt["files"]:
        raise InputError(f"{folder}: its receipt does not vouch for {ADAPTER_WEIGHTS}; train the adapter again")
    trained_on, base = receipt.get("model"), model_receipt(model_dir)
    if trained_on != base["fingerprint"]:
        raise InputError(
            f"{folder}: the adapter was trained on another base model (fingerprint {str(trained_on)[:12]}) than "
            f"{model_dir} ({base['model']}, {base['fingerprint'][:12]}); name the model it was trained on"
        )
    return receipt


def load_adapter(base, adapter_dir, trainable: bool = False):
    """`base` with the adapter's weights on it; `adapter_receipt` checks beforehand that they belong together.

    A trainable adapter keeps float32 weights. One that only predicts is cast to the base model's type, so that no
    layer converts its input twice.

    Raises
    ------
    InputError
        Where the adapter does not fit the model's layers.
    """
    from peft import PeftModel

    folder = adapter_folder(adapter_dir)
    peft_type = read_json(folder / ADAPTER_CONFIG, "the adapter's configuration").get("peft_type")
    if peft_type != "LORA":
        raise InputError(f"{folder / ADAPTER_CONFIG}: peft_type is {peft_type!r}, but only LORA adapters are read")
    reason = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = PeftModel.from_pretrained(base, folder, is_trainable=trainable, local_files_only=True)
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
    # PEFT only warns where the file lacks weights of a layer, and goes on with untrained ones.
    if any(str(warning.message).startswith("Found missing adapter keys") for warning in caught):
        reason = "it has no weights for some of the layers it names"
    if reason:
        raise InputError(f"{folder}: the adapter does not fit the base model ({reason})")
    if trainable:
        return model.train()
    dtype = base.get_input_embeddings().weight.dtype
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(dtype)
    return model.eval()
