"""A base model that is used several times is each time as it was loaded."""

import types

import pytest
import torch
from peft import LoraConfig, get_peft_model

from stagewise.models.shared_base import SharedBase


def state(model) -> dict:
    """Attributes of a model's modules, by name; tensors and modules by identity."""
    return {
        name: {
            key: {k: id(v) for k, v in value.items()} if isinstance(value, dict) else value
            for key, value in vars(module).items()
        }
        for name, module in model.named_modules()
    }


def use(model) -> None:
    """Leave what PEFT and trl leave behind, and more."""
    lora = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    lora.train()
    lora.enable_input_require_grads()
    model.gradient_checkpointing_enable()
    model.forward = types.MethodType(lambda self, *args, **kwargs: None, model)
    model.model.norm.register_forward_hook(lambda module, args, output: 2 * output)
    model.config.use_cache = False
    model.config.left_behind = True
    model.generation_config.max_new_tokens = 7
    model.model.embed_tokens.weight.requires_grad_(True)
    model.model.embed_tokens.weight.grad = torch.ones_like(model.model.embed_tokens.weight)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_it_is_taken_as_it_was_loaded(tiny_model, quantization):
    shared = SharedBase(tiny_model, quantization, "float32")
    assert not shared.is_loaded
    model = shared.take()
    ids = torch.tensor([[1, 5, 6, 7]])
    with torch.no_grad():
        logits = model(ids).logits
    before, config = state(model), model.config.to_dict()
    generation = model.generation_config.to_dict()
    for _ in range(2):
        use(model)
        assert state(model).keys() != before.keys()
        assert shared.take() is model and shared.is_loaded
        assert state(model) == before
        assert (model.config.to_dict(), model.generation_config.to_dict()) == (config, generation)
        assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
        with torch.no_grad():
            assert torch.equal(model(ids).logits, logits)
