"""Layers that ``all-linear`` stands for, and those that a model does not let adapt."""

import json

import pytest

from stagewise.config.training import Lora
from stagewise.errors import InputError
from stagewise.models import target_modules
from stagewise.models.module_tree import Module, ModuleTree
from stagewise.models.target_modules import (
    LLAMA_LAYERS,
    LLAMA_LIKE,
    adapted_modules,
    all_linear_names,
    with_layer_names,
)
from tests.helpers.decoder_families import DECODERS, build_decoder

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
OTHERS = {
    "Qwen2Moe": LLAMA_LAYERS,  # those of the shared expert; its gate and the router stay as they are
    "Qwen3Moe": ATTENTION,
    "Mixtral": ATTENTION,
    "Phi3": ["o_proj", "qkv_proj", "gate_up_proj", "down_proj"],
    "GPT2": ["c_attn", "c_proj", "c_fc"],
    "GPTNeoX": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
    "Falcon": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
    "Mamba": ["in_proj", "x_proj"],
}


@pytest.mark.parametrize("name", DECODERS)
def test_all_linear_layers_of_a_family(name):
    model = build_decoder(name)
    is_llama_like = model.config.model_type in LLAMA_LIKE
    assert is_llama_like == (name not in OTHERS)
    assert all_linear_names(ModuleTree.of(model)) == OTHERS.get(name, LLAMA_LAYERS)


def test_every_family_whose_layers_are_known_is_tried():
    tried = {build_decoder(name).config.model_type for name in DECODERS if name not in OTHERS}
    assert tried == set(LLAMA_LIKE)


def test_recipes_of_models_like_llama_are_as_they_were(tiny_model, monkeypatch):
    """The names stand in the same order, and no model is built for them."""
    monkeypatch.setattr(target_modules, "read_module_tree", None)
    lora = with_layer_names(Lora(), tiny_model)
    assert lora.model_dump(mode="json") == {
        "r": 16,
        "alpha": 32,
        "dropout": 0.05,
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        "last_layers": None,
    }


def test_names_that_are_given_stay(tmp_path):
    lora = Lora(target_modules=["some_layer"])
    assert with_layer_names(lora, tmp_path) is lora


def test_another_models_layers_are_read_from_its_configuration(tmp_path):
    config = {"model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_layer": 2, "vocab_size": 16, "n_positions": 8}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert with_layer_names(Lora(), tmp_path).target_modules == ["c_attn", "c_proj", "c_fc"]


def tree(*names: str, layers: int = 2) -> ModuleTree:
    modules = {name: Module("Linear", True, 8, 4) for name in names}
    return ModuleTree(modules, "head.out", layers, 8, 100, True, False)


def test_a_name_that_another_layer_ends_with_is_longer():
    names = ["model.layers.0.attention.out", "model.layers.0.router.layer", "model.layers.0.mlp.layer", "head.out"]
    assert all_linear_names(tree(*names)) == ["attention.out", "mlp.layer"]


def test_only_names_of_the_last_layers_count():
    hybrid = tree("model.layers.0.mixer.wide", "model.layers.1.attention.query", "model.project")
    assert all_linear_names(hybrid, last_layers=1) == ["query"]
    assert set(adapted_modules(hybrid, Lora(r=2, last_layers=1))) == {"model.layers.1.attention.query"}
    with pytest.raises(InputError, match="no linear layer there"):
        all_linear_names(tree("model.layers.0.mixer.wide"), last_layers=1)


@pytest.mark.parametrize("layer", ["dt_proj", "out_proj"])
def test_a_layer_that_mamba_reads_past_its_adapter_is_refused(layer):
    with pytest.raises(InputError, match=f"names '{layer}'.* 'all-linear', which is in_proj, x_proj"):
        adapted_modules(ModuleTree.of(build_decoder("Mamba")), Lora(r=2, target_modules=["in_proj", layer]))
