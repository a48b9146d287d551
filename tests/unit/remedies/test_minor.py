"""MiLoRA's start: the minor singular components of the effective weights, which a frozen part takes off again."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from stagewise.config.training import Lora
from stagewise.models.adapters import ADAPTER_WEIGHTS, load_adapter, read_adapter
from stagewise.models.load import load_base
from stagewise.remedies.base import StartContext
from stagewise.remedies.minor import Minor, layer_weight, minor_components
from stagewise.training.new_lora import add_new_lora
from tests.helpers import tiny_llama
from tests.helpers.contradicting_tasks import AdapterFolder, write_data

LORA = Lora(r=3, alpha=12, target_modules=["q_proj", "k_proj", "up_proj", "down_proj"], last_layers=1)
IDS = [[5, 9, 30, 71, 100]]


def start(folder, base, lora: Lora, parent=None):
    """The folder of the adapter that the remedy starts from."""
    wider = add_new_lora(parent, folder / "wider", base, lora, seed=0)
    return Minor().start(StartContext(wider, folder / "minor", base, lora, 0))


def logits(model):
    import torch

    with torch.no_grad():
        return model.eval()(torch.tensor(IDS)).logits


@pytest.mark.parametrize("has_parent", [True, False])
def test_the_start_is_the_minor_part_of_the_effective_weight(tmp_path, tiny_model, has_parent):
    import torch

    parent = tiny_llama.build_adapter(tmp_path / "parent", tiny_model) if has_parent else None
    config, factors = read_adapter(start(tmp_path, load_base(tiny_model, "none", "float32"), LORA, parent))
    rank = 4 if has_parent else 0
    assert (config["r"], config["lora_alpha"]) == (rank + 6, 4 * (rank + 6))
    weights = load_file(tiny_model / "model.safetensors")
    earlier = load_file(parent / ADAPTER_WEIGHTS) if parent else {}
    trained = {name for name, (a, _) in factors.items() if a[-3:].any()}
    assert {name.removeprefix("model.layers.1.") for name in trained} == {
        "self_attn.q_proj",
        "self_attn.k_proj",
        "mlp.up_proj",
        "mlp.down_proj",
    }
    for name in trained:
        a, b = (factor.double().numpy() for factor in factors[name])
        weight = weights[f"{name}.weight"].astype(np.float64)
        if f"base_model.model.{name}.lora_A.weight" in earlier:  # alpha 8, rank 4
            weight += 2.0 * (
                earlier[f"base_model.model.{name}.lora_B.weight"] @ earlier[f"base_model.model.{name}.lora_A.weight"]
            )
        # MiLoRA (arXiv:2406.09044): W = U S V^T; A = sqrt(S_m) V_m^T, B = U_m sqrt(S_m).
        u, s, vt = np.linalg.svd(weight, full_matrices=False)
        expected = (u[:, -3:] * s[-3:]) @ vt[-3:]
        new_a, new_b = a[-3:], b[:, -3:]
        np.testing.assert_allclose(4 * new_b @ new_a, expected, atol=1e-6)
        np.testing.assert_allclose(4 * new_a @ new_a.T, np.diag(s[-3:][::-1]), atol=1e-5)
        np.testing.assert_allclose(4 * new_b.T @ new_b, np.diag(s[-3:][::-1]), atol=1e-5)
        assert np.array_equal(a[rank:-3], new_a) and np.array_equal(b[:, rank:-3], -new_b)
    expected = logits(
        load_adapter(load_base(tiny_model, "none", "float32"), parent) if parent else load_base(tiny_model)
    )
    model = load_adapter(load_base(tiny_model, "none", "float32"), tmp_path / "minor")
    torch.testing.assert_close(logits(model), expected, rtol=0, atol=1e-5)


def test_a_quantized_weight_is_the_one_that_the_model_computes_with(tmp_path, tiny_model):
    import torch

    base = load_base(tiny_model, "nf4", "float32")
    layer = base.model.layers[1].mlp.down_proj
    before = [parameter.data_ptr() for parameter in base.parameters()]
    with torch.no_grad():
        computed = layer(torch.eye(128)).T
    torch.testing.assert_close(layer_weight(layer).float(), computed, rtol=0, atol=1e-5)
    expected = logits(base)
    adapter = start(tmp_path, base, LORA)
    assert [parameter.data_ptr() for parameter in base.parameters()] == before
    torch.testing.assert_close(logits(load_adapter(base, adapter)), expected, rtol=0, atol=1e-4)


@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
def test_gpt2s_transposed_weights_are_read_right(tmp_path):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    base = GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=16, n_embd=16, n_layer=1, n_head=2)).eval()
    layer = base.transformer.h[0].attn.c_attn
    with torch.no_grad():
        computed = (layer(torch.eye(16)) - layer.bias).T
    torch.testing.assert_close(layer_weight(layer).float(), computed)
    expected = logits(base)
    adapter = start(tmp_path, base, Lora(r=2, alpha=4, target_modules=["c_attn", "c_fc"]))
    torch.testing.assert_close(logits(load_adapter(base, adapter)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(9, 5), (5, 9), (2, 7), (7, 2)])
def test_minor_components_of_any_shape(shape):
    import torch

    weight = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left, right = minor_components(weight, 3)
    u, s, vt = np.linalg.svd(weight.numpy(), full_matrices=False)
    count = min(3, len(s))
    assert left.shape == (shape[0], count) and right.shape == (count, shape[1])
    np.testing.assert_allclose(left @ right, (u[:, -count:] * s[-count:]) @ vt[-count:], atol=1e-10)
    assert not any(factor.any() for factor in minor_components(torch.zeros(2, 2, dtype=torch.float64), 1))


def test_a_first_stage_learns_with_it(tmp_path, tiny_model):
    adapters = AdapterFolder(tmp_path, tiny_model, write_data(tmp_path / "data", {"yes": 8, "no": 8, "maybe": 4}))
    summary = adapters.train("minor", "first", epochs=6, remedies={"minor": {}}, weight_decay=0.1)
    assert adapters.accuracy("minor", "first") == 1
    plain = adapters.train("plain", "first", epochs=1)
    assert summary["trainable_parameters"] == plain["trainable_parameters"]
    _, before = read_adapter(start(tmp_path, load_base(tiny_model, "none", "float32"), Lora(r=4, alpha=8)))
    _, after = read_adapter(adapters.adapter("minor"))
    for name, (a, b) in after.items():
        assert (a[:4] == before[name][0][:4]).all() and (b[:, :4] == before[name][1][:, :4]).all()
        assert (b[:, 4:] != before[name][1][:, 4:]).any()
    assert before.keys() == after.keys()
