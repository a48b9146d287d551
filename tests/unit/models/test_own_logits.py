"""Logits from hidden states are the model's own: scaled, capped and shifted, in float32."""

import pytest
import torch
import transformers
from trl.trainer.utils import add_fused_lm_head

from stagewise.errors import InputError
from stagewise.models import load
from stagewise.models.own_logits import float32_head, own_logits
from stagewise.models.token_tree import base_model
from tests.helpers.model_families import FAMILIES, adapted_family, build_family

IDS = torch.tensor([[5, 9, 30, 71, 100, 12]])


def last_hidden_states(model, ids=IDS):
    return base_model(model).base_model(input_ids=ids, use_cache=False).last_hidden_state[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_from_hidden_states_are_those_of_the_forward_pass(name):
    model = build_family(name)
    expected = model(input_ids=IDS).logits[0]
    states = last_hidden_states(model)
    torch.testing.assert_close(own_logits(model, states), expected, rtol=0, atol=1e-6)
    if name != "Llama":
        product = states @ model.get_output_embeddings().weight.T
        assert (product.log_softmax(-1) - expected.log_softmax(-1)).abs().max() > 0.1, "the head does more"


@pytest.mark.parametrize("name", FAMILIES)
def test_an_adapter_and_trls_forward_pass_change_nothing(name):
    """And the gradient with respect to the adapter is that of the model's forward pass."""
    model = adapted_family(name).train()
    add_fused_lm_head(base_model(model))
    weights = torch.randn(IDS.shape[1], 7, generator=torch.Generator().manual_seed(0))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def gradients(logits):
        return torch.autograd.grad((weights * logits.log_softmax(-1)[:, 40:47]).sum(), parameters)

    expected, logits = model(input_ids=IDS).logits[0], own_logits(model, last_hidden_states(model))
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)
    for mine, theirs in zip(gradients(logits), gradients(expected), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    # The decoder works as before.
    assert torch.equal(model(input_ids=IDS).logits[0], expected)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_bfloat16_models_logits_are_in_float32(name, autocast, monkeypatch):
    monkeypatch.setattr(load, "_AUTOCAST_DEVICES", ("cpu",) if autocast else ())
    model = adapted_family(name, "bfloat16")
    with torch.no_grad(), load.compute_context(model):
        states = last_hidden_states(model)
        with float32_head(model):
            expected = model(input_ids=IDS).logits[0]
    logits = own_logits(model, states)
    assert logits.dtype is torch.float32
    torch.testing.assert_close(logits, expected.float(), rtol=0, atol=1e-6)
    assert not torch.equal(logits, logits.bfloat16().float())


def test_a_gradient_through_a_float32_head_keeps_no_copy_of_its_weights():
    model = build_family("Llama", "bfloat16")
    states = last_hidden_states(model).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        logits = own_logits(model, states)
    vocabulary = len(model.get_output_embeddings().weight)
    assert all(tensor.dtype is torch.bfloat16 for tensor in kept if vocabulary in tensor.shape)
    (gradient,) = torch.autograd.grad(logits[:, 3].sum(), states)
    expected = model.get_output_embeddings().weight[3].expand_as(gradient)
    torch.testing.assert_close(gradient, expected)


def other_architectures() -> dict:
    """Families that call their decoder by another name, or ask for more than its hidden states."""
    shape = {"vocab_size": 128, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "pad_token_id": 2}
    mixtral = shape | {"intermediate_size": 32, "num_key_value_heads": 1, "num_local_experts": 2}
    return {
        "OPT": transformers.OPTConfig(**shape, word_embed_proj_dim=16, ffn_dim=32),
        "GPT-2": transformers.GPT2Config(vocab_size=128, n_embd=16, n_layer=1, n_head=2),
        "Mamba": transformers.MambaConfig(vocab_size=128, hidden_size=16, num_hidden_layers=1, state_size=4),
        "Mixtral": transformers.MixtralConfig(**mixtral, output_router_logits=True),
    }


@pytest.mark.parametrize(("name", "config"), other_architectures().items())
def test_other_architectures(name, config):
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    torch.testing.assert_close(own_logits(model, last_hidden_states(model)), model(input_ids=IDS).logits[0])


def test_a_model_that_goes_around_its_decoder_is_refused(monkeypatch):
    model = build_family("Llama")
    monkeypatch.setattr(model, "get_decoder", lambda: torch.nn.Identity())
    with pytest.raises(InputError, match="LlamaForCausalLM: its forward pass does not go through its decoder"):
        own_logits(model, last_hidden_states(model))
