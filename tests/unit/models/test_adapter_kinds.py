"""Adapters made by PEFT alone, of every kind that is weights: scored as PEFT scores them, the others refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stagewise.errors import InputError
from stagewise.models import adapter_settings
from stagewise.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapted_layers, load_adapter, read_adapter
from stagewise.models.frozen_layers import frozen_layer_count
from stagewise.models.load import load_base
from stagewise.models.lora_updates import LoraUpdates
from stagewise.models.own_logits import own_logits
from tests.helpers import peft_adapters
from tests.helpers.peft_adapters import logits


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny model with biases, and tied embeddings."""
    return peft_adapters.build_base(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def made(model, tmp_path_factory):
    """Folder of an adapter of some kind."""
    folder, folders = tmp_path_factory.mktemp("adapters"), {}

    def make(kind: str):
        if kind not in folders:
            folders[kind] = peft_adapters.build(folder / kind, model, kind)
        return folders[kind]

    return make


def edit(folder, **changes) -> None:
    path = folder / ADAPTER_CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("kind", peft_adapters.KINDS)
def test_an_adapter_is_scored_as_peft_scores_it(model, made, kind):
    base = load_base(model, "none", "float32")
    before, untouched = logits(base), {name: weight.clone() for name, weight in base.state_dict().items()}
    weights = dict(base.named_parameters())
    loaded = load_adapter(base, made(kind))
    actual, expected = logits(loaded), logits(peft_adapters.load(made(kind), model))
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)
    assert (actual - before).abs().max() > 0.1
    assert all(torch.equal(weight, untouched[name]) for name, weight in weights.items()), "the base model is shared"
    # The logits of given states, with which remedies compute, are those of the same head.
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        states = loaded.get_base_model().base_model(input_ids=ids).last_hidden_state[0]
        torch.testing.assert_close(own_logits(loaded, states).double(), expected[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_fewer_bits_are_read_as_float32(model, tmp_path, dtype):
    folder = peft_adapters.build(tmp_path, model, "dora", dtype)
    assert {str(weight.dtype) for weight in load_file(folder / ADAPTER_WEIGHTS).values()} == {f"torch.{dtype}"}
    loaded = load_adapter(load_base(model, "none", "float32"), folder)
    assert {weight.dtype for name, weight in loaded.named_parameters() if "lora_" in name} == {torch.float32}
    torch.testing.assert_close(logits(loaded), logits(peft_adapters.load(folder, model)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["head", "lora-on-head"])
def test_an_adapted_head_of_a_bfloat16_model_computes_in_float32(model, made, kind):
    loaded = load_adapter(load_base(model, "none", "bfloat16"), made(kind))
    with torch.no_grad():
        values = own_logits(loaded, torch.randn(3, 64, generator=torch.Generator().manual_seed(0)).bfloat16())
    assert (values != values.bfloat16().float()).float().mean() > 0.9


@pytest.mark.parametrize(
    ("kind", "frozen"),
    [("layers", 1), ("expression", 1), ("plain", 0), ("embeddings", 0), ("tokens", 0), ("saved-embeddings", 0)],
)
def test_the_frozen_layers_are_those_that_the_loaded_adapter_leaves_alone(model, made, kind, frozen):
    loaded = load_adapter(load_base(model, "none", "float32"), made(kind))
    assert frozen_layer_count(loaded) == frozen


def test_biases_and_saved_modules_are_in_no_frozen_layer(model, tmp_path):
    last = {"target_modules": ["layers.1.self_attn.q_proj"]}
    for number, (settings, frozen) in enumerate(
        [({}, 1), ({"bias": "lora_only"}, 0), ({"modules_to_save": ["layers.0.mlp.up_proj"]}, 0)]
    ):
        folder = peft_adapters.build(tmp_path / str(number), model, "plain", **last, **settings)
        assert frozen_layer_count(load_adapter(load_base(model, "none", "float32"), folder)) == frozen


@pytest.mark.parametrize("kind", ["plain", "rslora", "patterns", "expression"])
def test_updates_have_the_scaling_of_their_layers(model, made, kind):
    """Against the weights that PEFT merges the adapter into."""
    base, merged = load_base(model, "none", "float32"), peft_adapters.load(made(kind), model).merge_and_unload()
    updates = LoraUpdates.read(made(kind))
    assert len(updates.factors) > 3
    for name in updates.factors:
        weight = base.get_submodule(name).weight
        difference = (merged.get_submodule(name).weight - weight).numpy()
        np.testing.assert_allclose(updates.update(name, weight.shape), difference, atol=1e-5)
    layers = {layer.name: layer.scaling for layer in adapted_layers(load_adapter(base, made(kind)))}
    assert layers == {name: updates.scaling(name) for name in updates.factors}


@pytest.mark.parametrize("kind", ["dora", "bias", "all-biases", "head", "embeddings", "tokens"])
def test_what_works_on_factors_refuses_other_weights(model, made, kind):
    with pytest.raises(InputError, match="is no factor of a linear layer"):
        adapted_layers(load_adapter(load_base(model, "none", "float32"), made(kind)))
    with pytest.raises(InputError, match="is no factor of a linear layer"):
        read_adapter(made(kind))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3', but only LORA"),
        ({"task_type": "SEQ_CLS"}, "task_type is 'SEQ_CLS'"),
        ({"megatron_config": {"a": 1}, "megatron_core": "evil"}, "'megatron_config' imports"),
        ({"auto_mapping": {"base_model_class": "Evil", "parent_library": "evil"}}, "auto_mapping names a library"),
        ({"auto_mapping": {"base_model_class": "Evil", "parent_library": "transformers_evil"}}, "auto_mapping names"),
        ({"target_modules": "(q_proj+)+$("}, "are no regular expressions"),
        ({"rank_pattern": {"(" * 40: 4}}, "are no regular expressions"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa' changes the base model"),
        ({"init_lora_weights": "loftq", "loftq_config": {"bits": 4}}, "'loftq_config' changes the base"),
        ({"layer_replication": [[0, 2]]}, "'layer_replication' repeats layers"),
        ({"alora_invocation_tokens": [5]}, "'alora_invocation_tokens' acts after"),
        ({"a_setting_of_tomorrow": "evil"}, "'a_setting_of_tomorrow' is unknown"),
        ({"r": 10**9}, "names rank 1000000000"),
        ({"r": "4"}, "must be whole numbers"),
        ({"lora_alpha": None}, "lora_alpha .* must be numbers"),
        ({"target_modules": ["q_proj", 1]}, "'target_modules' must be"),
        ({"use_dora": True}, "lora_magnitude_vector' is missing"),
        ({"target_modules": ["q_proj", "v_proj", "up_proj"]}, "up_proj.lora_A.weight' is missing"),
        ({"target_modules": ["q_proj"]}, "v_proj.lora_A.weight' belongs to none"),
        ({"rank_pattern": {"q_proj": 2}}, r"has the shape \(4, 64\), but \(2, 64\)"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_an_adapter_that_is_more_than_weights_is_refused(model, made, tmp_path, monkeypatch, changes, words):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    other = shutil.copytree(made("plain"), tmp_path / "other")
    edit(other, **changes)
    with pytest.raises(InputError, match=words):
        load_adapter(load_base(model, "none", "float32"), other)


def test_a_pattern_that_takes_for_ever_is_refused(model, made, tmp_path, monkeypatch):
    monkeypatch.setattr(adapter_settings, "_SECONDS", 0.5)
    other = shutil.copytree(made("plain"), tmp_path / "other")
    edit(other, target_modules=r"((\w|\.)+)+x")
    with pytest.raises(InputError, match="take too long on the names of the model's layers"):
        load_adapter(load_base(model, "none", "float32"), other)


def test_a_tensor_of_another_name_replaces_no_base_weight(model, made, tmp_path):
    other = shutil.copytree(made("embeddings"), tmp_path / "other")
    tensors = load_file(other / ADAPTER_WEIGHTS)
    embeddings = "base_model.model.model.embed_tokens.base_layer.weight"
    for name, value, words in (
        ("base_model.model.model.norm.weight", torch.zeros(64), "belongs to none of its layers"),
        (embeddings, tensors[embeddings] + 1, "is not the base model's"),
        (embeddings, torch.zeros(400, 64), "is of another vocabulary"),
    ):
        save_file(tensors | {name: value}, other / ADAPTER_WEIGHTS)
        with pytest.raises(InputError, match=f"'{name}' {words}"):
            load_adapter(load_base(model, "none", "float32"), other)
    (other / ADAPTER_WEIGHTS).write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match="cannot be read"):
        load_adapter(load_base(model, "none", "float32"), other)
