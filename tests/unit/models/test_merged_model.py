"""Merging into the base model: the same logits, in any type, or a refusal."""

import json

import pytest
import torch
from peft import LoraConfig, LoraModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from stagewise.errors import InputError
from stagewise.models import merged_model
from stagewise.models.adapters import load_adapter
from stagewise.models.load import load_base, load_tokenizer
from stagewise.models.merged_model import weights_dtype, write_merged_model
from stagewise.models.receipts import write_model_receipt
from tests.helpers import tiny_llama

TEXT = "Is the writer under stress? Answer stress or no stress."


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, tiny_model):
    return tiny_llama.build_adapter(tmp_path_factory.mktemp("adapter"), tiny_model)


def logits(model, tiny_model):
    ids = load_tokenizer(tiny_model)(TEXT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return model(input_ids=ids).logits.float()


def test_a_merged_model_needs_no_peft_and_gives_the_adapters_logits(tmp_path, tiny_model, adapter):
    check = write_merged_model(adapter, tiny_model, "float32", tmp_path)
    adapted = logits(load_adapter(load_base(tiny_model, "none", "float32"), adapter), tiny_model)
    merged = logits(AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto").eval(), tiny_model)
    assert (adapted - logits(load_base(tiny_model, "none", "float32"), tiny_model)).abs().max() > 0.1
    assert (adapted - merged).abs().max() < 1e-5 * max(1, adapted.abs().max())
    assert check.merge < 5e-6 and check.rounding == 0
    assert not {"adapter_config.json", "adapter_model.safetensors"} & {path.name for path in tmp_path.iterdir()}


def test_weights_are_rounded_once_from_the_float32_sum(tmp_path, tiny_model, adapter):
    check = write_merged_model(adapter, tiny_model, "bfloat16", tmp_path)
    base = load_base(tiny_model, "none", "float32")
    exact = load_adapter(base, adapter).merge_and_unload()
    written = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    weight = "model.layers.0.self_attn.q_proj.weight"
    assert torch.equal(written.get_parameter(weight), exact.get_parameter(weight).to(torch.bfloat16))
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    assert 1e-4 < check.rounding < 0.2 and check.merge < 5e-6


@pytest.mark.parametrize("layer", ["lm_head", "embed_tokens"])
def test_a_lora_on_one_of_two_layers_that_share_their_weights(tmp_path, tiny_model, layer):
    """The sum belongs to that layer alone, so the merged model has both."""
    config = LoraConfig(r=2, target_modules=["q_proj", layer], init_lora_weights=False, task_type="CAUSAL_LM")
    with pytest.warns(UserWarning, match="tie_word_embeddings"), torch.random.fork_rng():
        torch.manual_seed(0)
        model = get_peft_model(load_base(tiny_model, "none", "float32"), config)
    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    write_merged_model(tmp_path / "adapter", tiny_model, "float32", tmp_path / "merged")
    adapted = logits(load_adapter(load_base(tiny_model, "none", "float32"), tmp_path / "adapter"), tiny_model)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    assert (adapted - logits(merged, tiny_model)).norm() < 1e-5 * adapted.norm()
    assert merged.config.tie_word_embeddings is False


def test_the_type_of_most_weights_is_the_models(tmp_path, tiny_model, adapter):
    assert weights_dtype(tiny_model) == "float32"
    write_merged_model(adapter, tiny_model, "bfloat16", tmp_path)
    write_model_receipt(tmp_path, "merged", {})
    assert weights_dtype(tmp_path) == "bfloat16"


def test_a_merge_that_loses_the_adapter_is_refused(tmp_path, tiny_model, adapter, monkeypatch):
    monkeypatch.setattr(LoraModel, "merge_and_unload", lambda model: model.unload())
    with pytest.raises(InputError, match="other logits than on it"):
        write_merged_model(adapter, tiny_model, "float32", tmp_path)


def test_weights_that_are_lost_in_writing_are_noticed(tmp_path, tiny_model, adapter, monkeypatch):
    """transformers only warns, and draws what is missing at random."""
    reread = merged_model._reread_logits

    def damage(folder, prompts, dtype):
        weights = load_file(folder / "model.safetensors")
        del weights["model.layers.1.mlp.up_proj.weight"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return reread(folder, prompts, dtype)

    monkeypatch.setattr(merged_model, "_reread_logits", damage)
    with pytest.raises(InputError, match="up_proj"):
        write_merged_model(adapter, tiny_model, "float32", tmp_path)
