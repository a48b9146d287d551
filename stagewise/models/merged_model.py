"""A base model with an adapter merged into its weights, in files that need no adapter library."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError
from stagewise.models.receipts import model_files

DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""Types of weights by their name in a safetensors file."""

TOLERANCE = 1e-5
"""Largest difference of two models' logits that counts as none in float32, relative to their size.

Float32 keeps 24 binary digits, 6e-8, of which sums over thousands of terms, layer after layer, lose two decimal ones. A
layer that was not merged, or merged twice, differs by a thousand times more.
"""

# Texts of everyday words, of several lengths; what they say does not matter.
_PROMPTS = (
    "Question: does the treatment help? Answer:",
    "The trial found no difference between the two groups, but the sample was small. Is that certain?",
    "I cannot sleep",
)


@dataclass(frozen=True)
class MergeCheck:
    """Differences of logits on a few prompts: root mean squares, relative to that of the logits."""

    dtype: str
    """Type of the written weights."""
    merge: float
    """Between the adapter on the base model and the merged model, both in float32."""
    rounding: float
    """Between the merged model in float32 and in the type that it is written in; 0 in float32."""


def weights_dtype(model_dir) -> str:
    """Name the type that most of a model's weights are stored in: ``float32``, ``bfloat16`` or ``float16``."""
    from safetensors import safe_open

    types: Counter[str] = Counter()
    for path in sorted(model_files(model_dir).glob("*.safetensors")):
        with safe_open(path, "np") as tensors:
            types.update(tensors.get_slice(name).get_dtype() for name in tensors.keys())  # noqa: SIM118
    return next((DTYPES[kind] for kind, _ in types.most_common() if kind in DTYPES), "float32")


def write_merged_model(adapter: Path, model_dir, dtype: str, folder: Path) -> MergeCheck:
    """Merge an adapter into its base model, write it to `folder`, and read it again.

    The sum is taken in float32, whatever type the weights have, and rounded once. What was merged is compared with the
    adapter on the base model in float32, and what was read again with what was written, in its own type: rounding is
    no fault of the merge, and a tolerance that forgave it would also forgive a small adapter that was lost.

    Parameters
    ----------
    adapter
        Folder of the adapter, which belongs to this base model (`adapters.adapter_receipt`).
    dtype
        ``float32``, ``bfloat16`` or ``float16``: type of the written weights.

    Raises
    ------
    InputError
        If the adapter does not fit the model, or the logits of a few prompts differ by more than `TOLERANCE`.
    """
    from stagewise.models.gpu_lock import hide_gpus
    from stagewise.models.torch_environment import import_libraries

    hide_gpus()  # the same bytes with and without one
    import_libraries("peft")
    import torch

    from stagewise.models.adapters import load_adapter
    from stagewise.models.load import load_base, load_tokenizer

    tokenizer = load_tokenizer(model_dir)
    prompts = [torch.tensor([tokenizer(text)["input_ids"]]) for text in _PROMPTS]
    model = load_adapter(load_base(model_dir, "none", "float32"), adapter)
    adapted = _logits(model, prompts)
    _untie_adapted_embeddings(model)
    model = model.merge_and_unload()
    merged = _logits(model, prompts)
    merge = _difference(adapted, merged)
    if not merge <= TOLERANCE:
        raise InputError(
            f"{adapter}: merged into the base model it gives other logits than on it (they differ by {merge:.1e} of "
            "their size); export it without --merge"
        )
    for parameter in model.parameters():  # not the buffers: no file holds a rotary embedding's, which stay float32
        parameter.data = parameter.data.to(getattr(torch, dtype))
    model.config.dtype = getattr(torch, dtype)
    written = _logits(model, prompts)
    model.save_pretrained(folder)
    del model
    if not (lost := _difference(written, _reread_logits(folder, prompts, dtype))) <= TOLERANCE:
        raise InputError(
            f"{adapter}: the merged model, read again, gives other logits than what was written (they differ by "
            f"{lost:.1e} of their size); export it without --merge"
        )
    return MergeCheck(dtype, merge, _difference(merged, written))


def _untie_adapted_embeddings(model) -> None:
    """Give the output head weights of its own if it shares them with the embeddings, and LoRA is on one of the two."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = model.get_input_embeddings(), model.get_output_embeddings()
    embeddings, head = (layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer for layer in layers)
    if head is None or head.weight is not embeddings.weight:
        return
    if any(isinstance(layer, BaseTunerLayer) for layer in layers):
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        model.get_base_model().config.tie_word_embeddings = False


def _reread_logits(folder: Path, prompts: list, dtype: str) -> list:
    """Logits of the written model; transformers only warns if weights are missing, and draws them at random."""
    from transformers import AutoModelForCausalLM

    model, loaded = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, local_files_only=True, trust_remote_code=False, output_loading_info=True
    )
    if wrong := sorted({*loaded["missing_keys"], *loaded["unexpected_keys"]}):
        raise InputError(f"{folder.name}: the merged model cannot be read again ('{wrong[0]}' is missing or unknown)")
    return _logits(model.eval(), prompts)


def _logits(model, prompts: list) -> list:
    """Logits after each prompt's tokens, float32; shapes (1, tokens, vocabulary)."""
    import torch

    with torch.no_grad():
        return [model(input_ids=ids.to(model.device)).logits.float() for ids in prompts]


def _difference(first: list, second: list) -> float:
    """Root mean square of the difference, relative to that of the first; NaN if a logit is not finite."""
    import torch

    first, second = torch.cat([t.flatten() for t in first]), torch.cat([t.flatten() for t in second])
    return float((first - second).norm() / first.norm())
