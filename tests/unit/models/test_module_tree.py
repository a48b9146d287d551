"""Modules without weights, and the layers that adapters are put on."""

import json
from pathlib import Path

import pytest

from stagewise.config.training import Lora
from stagewise.errors import InputError
from stagewise.models import module_tree
from stagewise.models.load import load_base
from stagewise.models.memory_estimate import estimate_memory, weight_bytes
from stagewise.models.module_tree import ModuleTree, read_module_tree, text_settings
from stagewise.models.target_modules import adapted_modules, adapter_parameters, target_names

LORA = Lora(r=4, alpha=8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder, so that nothing is remembered."""
    monkeypatch.chdir(tmp_path)
    Path(".snakemake").mkdir()
    return tmp_path


def test_the_tree_is_the_loaded_models(tiny_model, folder):
    tree = read_module_tree(tiny_model)
    assert tree == ModuleTree.of(load_base(tiny_model, "none", "float32"))
    assert (tree.head, tree.layers, tree.hidden) == ("lm_head", 2, 64)


def test_a_tree_is_built_once_for_a_configuration(tiny_model, folder, monkeypatch):
    tree = read_module_tree(tiny_model)
    monkeypatch.setattr(module_tree, "_on_meta", None)
    assert read_module_tree(tiny_model) == tree


def test_what_transformers_cannot_build_is_one_sentence(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "of my own"}))
    with pytest.raises(InputError, match="the model cannot be loaded"):
        read_module_tree(folder)


def test_the_text_part_of_a_configuration_counts(folder):
    (folder / "config.json").write_text(
        json.dumps({"model_type": "both", "text_config": {"max_position_embeddings": 64}})
    )
    assert text_settings(folder) == {
        "model_type": "both",
        "max_position_embeddings": 64,
        "text_config": {"max_position_embeddings": 64},
    }


def test_the_layers_are_those_that_peft_adapts(tiny_model, folder):
    from peft import LoraConfig, get_peft_model

    tree = read_module_tree(tiny_model)
    for lora in (LORA, Lora(r=4, last_layers=1), Lora(r=4, target_modules=["self_attn.q_proj", "down_proj"])):
        layers = None if lora.last_layers is None else list(range(2 - lora.last_layers, 2))
        config = LoraConfig(r=4, target_modules=target_names(tree, lora), layers_to_transform=layers)
        model = get_peft_model(load_base(tiny_model, "none", "float32"), config)
        trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        assert adapter_parameters(adapted_modules(tree, lora), lora.r) == trained


def test_gpt2_has_linear_layers_too():
    from transformers import GPT2Config, GPT2LMHeadModel

    tree = ModuleTree.of(GPT2LMHeadModel(GPT2Config(n_embd=8, n_head=2, n_layer=1, vocab_size=16, n_positions=8)))
    assert set(adapted_modules(tree, Lora(r=4, target_modules=["c_attn"]))) == {"transformer.h.0.attn.c_attn"}


def test_memory_grows_with_what_is_kept(tiny_model, folder):
    tree = read_module_tree(tiny_model)

    def estimate(quantization="none", dtype="float32", tokens=100, micro_batch=8, checkpointing=False):
        return estimate_memory(tree, LORA, dtype, quantization, tokens, 4096, "cpu", micro_batch, checkpointing)

    plain = estimate()
    assert plain.weights == 4 * tree.parameters + 16 * adapter_parameters(adapted_modules(tree, LORA), 4)
    assert estimate(micro_batch=16).training > plain.training > estimate(checkpointing=True).training
    assert estimate(tokens=200).training > plain.training
    assert plain.weights > estimate(dtype="bfloat16").weights > estimate("nf4", "bfloat16").weights
    assert weight_bytes(tree, 4, "none") == 4 * tree.parameters


def test_a_model_larger_than_the_memory_is_refused_before_it_is_loaded(tiny_model, folder, monkeypatch):
    from stagewise.models import load
    from stagewise.models.machine import Memory

    monkeypatch.setattr(load, "memory", lambda: Memory(10**5, 10**5))
    with pytest.raises(InputError, match="the model's weights take"):
        load_base(tiny_model, "none", "float32")
