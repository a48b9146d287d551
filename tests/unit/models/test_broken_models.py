"""Folders that are no complete decoder: one sentence each, when they are fetched or before a weight is random."""

import json
import shutil
from pathlib import Path

import pytest
import transformers

from stagewise.errors import InputError
from stagewise.models.load import load_base
from stagewise.models.model_folder import check_files
from stagewise.models.module_tree import check_head, read_module_tree
from stagewise.models.receipts import write_model_receipt
from tests.helpers import tiny_llama

SHARD, INDEX = "model-00001-of-00002.safetensors", "model.safetensors.index.json"
SMALL = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
T5 = {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2}
BART = {"d_model": 32, **{f"{side}_{what}": 2 for side in ("encoder", "decoder") for what in ("layers", "ffn_dim")}}
BART |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}


def refusal(folder: Path) -> str:
    """Check the sentence that a user of a folder gets, when it is fetched or loaded."""
    with pytest.raises(InputError) as refused:
        check_files(folder, str(folder))
        write_model_receipt(folder, "mine", {"path": "x"})
        load_base(folder, "none", "float32")
    assert str(folder) in str(refused.value)
    return str(refused.value)


def save(folder: Path, model) -> Path:
    tiny_llama.build_tokenizer().save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["LlamaForSequenceClassification", "LlamaModel"])
def test_a_model_without_its_head_is_refused(kind, tmp_path):
    """transformers would draw another head in each process."""
    config = transformers.LlamaConfig(vocab_size=352, tie_word_embeddings=False, pad_token_id=2, **SMALL)
    folder = save(tmp_path / "headless", getattr(transformers, kind)(config))
    said = refusal(folder)
    assert "weights is missing (lm_head.weight) and would be random" in said and "reward model" in said
    # A check before the run reads no weight.
    with pytest.raises(InputError, match=r"lm_head.weight is missing and would be random; .* reward model"):
        check_head(folder, read_module_tree(folder))


def test_a_tied_head_may_be_missing(tmp_path):
    config = transformers.LlamaConfig(vocab_size=352, tie_word_embeddings=True, pad_token_id=2, **SMALL)
    folder = save(tmp_path / "tied", transformers.LlamaModel(config))
    write_model_receipt(folder, "mine", {"path": "x"})
    assert load_base(folder, "none", "float32").lm_head.weight.any()
    check_head(folder, read_module_tree(folder))


def test_a_head_in_a_shard_is_there(tmp_path):
    config = transformers.LlamaConfig(vocab_size=352, tie_word_embeddings=False, pad_token_id=2, **SMALL)
    folder = tmp_path / "sharded"
    transformers.LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="40KB")
    assert (folder / INDEX).is_file()
    check_head(folder, read_module_tree(folder))


@pytest.mark.parametrize(
    ("kind", "settings", "says"),
    [
        ("BertForMaskedLM", SMALL, "is an encoder,"),
        ("BertForSequenceClassification", SMALL, "is an encoder,"),
        ("DebertaV2ForMaskedLM", SMALL, "is an encoder,"),
        ("ModernBertForMaskedLM", SMALL | {"pad_token_id": 2}, "is an encoder,"),
        ("T5ForConditionalGeneration", T5, "is an encoder with a decoder"),
        ("BartForConditionalGeneration", BART, "is an encoder with a decoder"),
        ("ViTModel", SMALL, "is no language model of transformers"),
    ],
)
def test_another_architecture_is_named(kind, settings, says, tmp_path):
    model = getattr(transformers, kind)
    sizes = {} if kind == "ViTModel" else {"vocab_size": 352}
    said = refusal(save(tmp_path / "other", model(model.config_class(**settings | sizes))))
    assert f"{kind} {says}" in said and "name a decoder" in said


def edit(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def list_shards(folder: Path, *there: str) -> None:
    """Leave an index of two shards, and of them those that are there."""
    for name in there:
        shutil.copyfile(folder / "model.safetensors", folder / name)
    (folder / "model.safetensors").unlink()
    weights = {"a": SHARD, "b": SHARD.replace("1-of", "2-of")}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weights}))


BROKEN = {
    "GPTQ": (lambda f: edit(f, quantization_config={"quant_method": "gptq", "bits": 4}), "quantized already (gptq)"),
    "AWQ": (lambda f: edit(f, quantization_config={"quant_method": "awq", "bits": 4}), "with quantization: nf4"),
    "sizes": (lambda f: edit(f, intermediate_size=96), "mlp.down_proj.weight has the shape (64, 128), and (64, 96)"),
    "layers": (lambda f: edit(f, num_hidden_layers=3), "9 of the model's weights are missing (model.layers.2."),
    "unknown type": (lambda f: edit(f, model_type="llama9"), "that the installed version of transformers can build"),
    "no JSON": (lambda f: (f / "config.json").write_text('{"a":'), "is not valid JSON"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), "not an object with keys"),
    "no configuration": (lambda f: (f / "config.json").unlink(), "config.json is missing; a model directory"),
    "pickle": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "only pytorch_model.bin, which can",
    ),
    "a shard alone": (lambda f: (f / "model.safetensors").rename(f / SHARD), f"neither model.safetensors nor {INDEX}"),
    "a shard lost": (lambda f: list_shards(f, SHARD), "model-00002-of-00002.safetensors is missing"),
    "shards lost": (list_shards, f"{INDEX} lists weight files, and none of them is here"),
    "cut": (lambda f: cut(f / "model.safetensors"), "the model cannot be loaded"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_folder_is_one_sentence(kind, tiny_model, tmp_path):
    damage, says = BROKEN[kind]
    folder = shutil.copytree(tiny_model, tmp_path / "mine")
    damage(folder)
    assert says in refusal(folder)


def test_an_adapter_is_no_model(tiny_model, tmp_path):
    assert "this is an adapter: name the base model" in refusal(tiny_llama.build_adapter(tmp_path / "a", tiny_model))
