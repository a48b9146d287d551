"""Load a base model and its tokenizer from local files: no remote code, no pickles, no network."""

from contextlib import nullcontext

from stagewise.errors import InputError
from stagewise.models import compute_type
from stagewise.models.gpu import check_gpu, gpu_memory
from stagewise.models.machine import memory
from stagewise.models.memory_estimate import too_large, weight_bytes
from stagewise.models.module_tree import NO_HEAD, read_module_tree
from stagewise.models.receipts import model_files, model_receipt

_AUTOCAST_DEVICES = ("cuda",)


def resolve_device():
    """Return the current CUDA device if there is one, else the CPU."""
    import torch

    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def resolve_dtype(name: str):
    """Return the torch type for ``auto`` (see `compute_type.resolve`), ``float32`` or ``bfloat16``."""
    import torch

    return getattr(torch, compute_type.resolve(name))


def load_tokenizer(model_dir):
    """Load the tokenizer of a model folder: padding on the left, with a padding token.

    Raises
    ------
    InputError
        If the tokenizer cannot be loaded, or has no end token, which every answer needs.
    """
    from transformers import AutoTokenizer

    files = model_files(model_dir)
    try:
        tokenizer = AutoTokenizer.from_pretrained(files, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # damaged files raise whatever their parsers raise
        raise InputError(f"{files}: the tokenizer cannot be loaded ({_brief(error)}); get its files again") from None
    if tokenizer.eos_token_id is None:
        raise InputError(f"{files}: the tokenizer has no end token (eos_token); add one to tokenizer_config.json")
    if tokenizer.pad_token_id is None:
        # Padding is masked everywhere, so any token will do; every model has an end token.
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


def load_base(model_dir, quantization: str = "none", dtype: str = "auto"):
    """Load a base model with frozen weights, in evaluation mode, on the GPU if there is one.

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
        If a file is not as the receipt says, transformers cannot load the model without custom code, its weights are
        larger than the memory, or the GPU of this machine cannot be used: by torch, or in bfloat16.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    model_receipt(model_dir, verify=True)
    check_gpu()
    device = resolve_device()
    compute = resolve_dtype(dtype)
    if device.type == "cuda":
        compute_type.check_compute_type(compute_type.resolve(dtype), torch.cuda.get_device_capability(device))
    files = model_files(model_dir)
    weights = weight_bytes(read_module_tree(files), compute.itemsize, quantization)
    if problem := too_large(weights, gpu_memory() if device.type == "cuda" else memory()):
        raise InputError(f"{model_dir}: {problem}")
    extra = {}
    if quantization == "nf4":
        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute,
        )
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            files,
            dtype=compute,
            device_map={"": device},
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            **extra,
        )
    except Exception as error:  # damaged files raise whatever their parsers raise
        raise InputError(f"{files}: the model cannot be loaded ({_brief(error)}); get its files again") from None
    _check_complete(files, model, loading)
    # Cards and settings beside every checkpoint would name this machine's folder. PEFT asks the hub for any other name.
    model.name_or_path = model.config._name_or_path = ""
    if quantization == "nf4":
        keep_4bit_weights_trainable(model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()


def _check_complete(files, model, loading: dict) -> None:
    """Refuse a model without some of its weights, which transformers would draw at random in each process."""
    for name, stored, expected in sorted(loading["mismatched_keys"]):
        raise InputError(
            f"{files}: {name} has the shape {tuple(stored)}, and {tuple(expected)} by config.json; get both again from "
            "the same place"
        )
    if not (missing := sorted(loading["missing_keys"])):
        return
    head = next((name for name, module in model.named_modules() if module is model.get_output_embeddings()), None)
    way_out = "get them again"
    if all(name.rpartition(".")[0] == head for name in missing):
        way_out = NO_HEAD
    verb = "is" if len(missing) == 1 else "are"
    raise InputError(
        f"{files}: {len(missing)} of the model's weights {verb} missing ({', '.join(missing[:3])[:200]}) and would be "
        f"random; {way_out}"
    )


def compute_context(model):
    """Context of every forward pass of a model, in training and scoring: bfloat16 autocast on a GPU.

    An adapter's weights are float32. Without autocast its layers would compute in float32 in a bfloat16 model too, and
    keep their inputs in that type for the backward pass. Elsewhere the context does nothing.
    """
    import torch

    weight = model.get_input_embeddings().weight
    if weight.device.type in _AUTOCAST_DEVICES and weight.dtype == torch.bfloat16:
        return torch.autocast(weight.device.type, dtype=torch.bfloat16)
    return nullcontext()


def _brief(error: Exception) -> str:
    """The beginning of a library's message, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def keep_4bit_weights_trainable(model) -> int:
    """Keep bitsandbytes from repacking 4-bit weights for CPU inference; return the number of layers.

    On CPUs with avx512_bf16, bitsandbytes (0.50.2) repacks a ``Linear4bit`` at its first forward pass in
    evaluation mode without gradients, for good. The backward pass does not know the packed order, so every gradient
    after any evaluation is wrong (cosine about 0.3 with the right one) and training goes on silently.
    Must run right after loading, before any forward pass.
    """
    from bitsandbytes.nn import Linear4bit

    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False
    return len(layers)
