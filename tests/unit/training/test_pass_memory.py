"""Memory of a training pass at the shape of Llama-3.2-1B, with tensors that have a size and no content.

docs/running/gpu.md has these figures.
"""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import LlamaConfig, LlamaForCausalLM

from stagewise.models import load
from stagewise.models.load import compute_context
from stagewise.models.memory_estimate import weight_bytes
from stagewise.models.module_tree import ModuleTree

GIB = 2**30
LLAMA_1B = LlamaConfig(
    vocab_size=128256,
    hidden_size=2048,
    intermediate_size=8192,
    num_hidden_layers=16,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=64,
    tie_word_embeddings=True,
    use_cache=False,
)
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def adapted_model(dtype: torch.dtype, dropout: float, checkpointing: bool):
    """A model with LoRA factors of rank 16 in float32, on the meta device."""
    with torch.device("meta"):
        base = LlamaForCausalLM(LLAMA_1B).to(dtype).requires_grad_(False)
        model = get_peft_model(base, LoraConfig(r=16, lora_dropout=dropout, target_modules=MODULES))
    if checkpointing:
        model.activation_checkpointing_enable()
        model.enable_input_require_grads()
    return model.train()


def replace_by_fake_tensors(model) -> None:
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, value in tensors.items():
                if value is not None:
                    fake = torch.empty(value.shape, dtype=value.dtype, device="cpu")
                    trains = value.requires_grad
                    is_parameter = tensors is module._parameters
                    tensors[name] = torch.nn.Parameter(fake, requires_grad=trains) if is_parameter else fake


def saved_activations(rows: int, tokens: int, dtype=torch.bfloat16, dropout=0.05, checkpointing=False) -> int:
    """Bytes that a forward pass through the decoder keeps for the backward pass, weights left out."""
    model = adapted_model(dtype, dropout, checkpointing)
    with FakeTensorMode():
        replace_by_fake_tensors(model)
        weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
        saved = {}

        def keep(tensor):
            storage = tensor.untyped_storage()
            if storage._cdata not in weights:
                saved[storage._cdata] = tensor
            return tensor

        ids = torch.zeros(rows, tokens, dtype=torch.long)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), compute_context(model):
            model.get_base_model().model(input_ids=ids)
        return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


@pytest.fixture(autouse=True)
def dropout_of_a_gpu(monkeypatch):
    """A GPU's dropout keeps a mask of a byte an element; a CPU's keeps the noise, in the input's type."""

    def dropout(x, p=0.5, training=True, inplace=False):
        return torch.native_dropout(x, p, True)[0] if training and p else x

    monkeypatch.setattr(torch.nn.functional, "dropout", dropout)


@pytest.mark.parametrize(
    ("rows", "tokens", "options", "gib"),
    [
        (8, 1024, {}, 17.8),
        (4, 775, {}, 6.7),
        (4, 775, {"dtype": torch.float32}, 11.7),
        (8, 1024, {"dropout": 0.0}, 15.3),
        (8, 1024, {"checkpointing": True}, 0.56),
    ],
)
def test_what_a_pass_keeps_under_autocast(monkeypatch, rows, tokens, options, gib):
    monkeypatch.setattr(load, "_AUTOCAST_DEVICES", ("cpu",))
    assert saved_activations(rows, tokens, **options) / GIB == pytest.approx(gib, rel=0.03)


def test_what_a_pass_keeps_without_autocast():
    assert saved_activations(8, 1024) / GIB == pytest.approx(22.8, rel=0.03)


@pytest.mark.parametrize(
    ("quantization", "size", "gigabytes"),
    [("none", 2, 2.47), ("nf4", 2, 1.03), ("none", 4, 4.94), ("nf4", 4, 1.55)],
)
def test_what_the_weights_take(quantization, size, gigabytes):
    with torch.device("meta"):
        tree = ModuleTree.of(LlamaForCausalLM(LLAMA_1B))
    assert weight_bytes(tree, size, quantization) / 1e9 == pytest.approx(gigabytes, abs=0.005)
