"""Loading: types, frozen weights, checked files, adapters that belong to their base model."""

import json
import shutil

import pytest
import torch

from stagewise.errors import InputError
from stagewise.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapter_receipt, load_adapter
from stagewise.models.load import load_base, load_tokenizer, resolve_dtype
from stagewise.models.receipts import model_files, model_receipt, write_model_receipt
from stagewise.provenance.files import sha256_file, write_json
from tests.helpers import tiny_llama
from tests.helpers.pretended_torch import pretend_gpu


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    return tiny_llama.build_adapter(tmp_path_factory.mktemp("adapter"), tiny_model)


@pytest.fixture
def copied(tiny_model, tmp_path):
    """A copy of the tiny model that a test may damage."""
    return shutil.copytree(tiny_model, tmp_path / "model")


def test_a_compute_type_is_a_torch_type(monkeypatch):
    assert resolve_dtype("float32") is torch.float32
    assert resolve_dtype("bfloat16") is torch.bfloat16
    for name in ("float32", "bfloat16"):
        monkeypatch.setattr("stagewise.models.compute_type.resolve", lambda given, name=name: name)
        assert resolve_dtype("auto") is getattr(torch, name)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_the_base_model_is_frozen_and_computes_in_the_type_asked_for(tiny_model, quantization, dtype):
    from bitsandbytes.nn import Linear4bit

    model = load_base(tiny_model, quantization, dtype)
    expected = getattr(torch, dtype)
    assert not any(p.requires_grad for p in model.parameters())
    assert not model.training
    assert model(torch.tensor([[5, 6, 7]])).logits.dtype is expected
    layer = model.model.layers[0].self_attn.q_proj
    if quantization == "none":
        assert layer.weight.dtype is expected
        return
    assert isinstance(layer, Linear4bit)
    assert layer.weight.quant_state.quant_type == "nf4"
    assert layer.weight.quant_state.nested, "double quantization"
    assert layer.compute_dtype is expected


def test_4bit_weights_stay_close_to_the_originals(tiny_model):
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        exact, packed = (load_base(tiny_model, q, "float32")(ids).logits.flatten() for q in ("none", "nf4"))
    assert torch.nn.functional.cosine_similarity(exact, packed, dim=0) > 0.8
    assert not torch.equal(exact, packed)


def test_the_tokenizer_pads_on_the_left(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    assert tokenizer.padding_side == "left"
    text = "Does it help? No stress: 37.5 %"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def edit(path, **changes):
    values = json.loads(path.read_text(encoding="utf-8")) | changes
    write_json(path, {key: value for key, value in values.items() if value is not None})


def test_a_tokenizer_without_padding_token_pads_with_its_end_token(copied):
    edit(copied / "tokenizer_config.json", pad_token=None)
    assert load_tokenizer(copied).pad_token_id == 2


def test_a_tokenizer_without_end_token_is_refused(copied):
    edit(copied / "tokenizer_config.json", pad_token=None, eos_token=None)
    with pytest.raises(InputError, match="no end token"):
        load_tokenizer(copied)


def test_a_changed_file_is_refused_before_it_is_read(copied):
    with open(copied / "model.safetensors", "r+b") as handle:
        handle.seek(-1, 2)
        handle.write(b"\x7f")
    with pytest.raises(InputError, match=r"model\.safetensors: the base model does not match its receipt"):
        load_base(copied)
    (copied / "model.safetensors").unlink()
    with pytest.raises(InputError, match="is missing"):
        load_base(copied)


def test_a_folder_without_receipt_is_refused(tmp_path):
    with pytest.raises(InputError, match="receipt of the base model is missing"):
        load_base(tmp_path)


def test_a_model_that_needs_its_own_code_is_refused(copied):
    edit(copied / "config.json", model_type="own", auto_map={"AutoModelForCausalLM": "modeling_own.Own"})
    (copied / "modeling_own.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    write_model_receipt(copied, "own", {"path": "x"})
    with pytest.raises(InputError, match="cannot be loaded"):
        load_base(copied)


def test_the_fingerprint_is_the_contents(tiny_model, copied, tmp_path):
    original = model_receipt(tiny_model)
    again = write_model_receipt(copied, "another name", {"hub": "a/b", "revision": "0" * 40})
    assert again["fingerprint"] == original["fingerprint"]
    in_place = write_model_receipt(
        tmp_path / "receipt", "third", {"path": "x"}, files_at=copied, names=original["files"]
    )
    assert in_place["fingerprint"] == original["fingerprint"]
    assert model_files(tmp_path / "receipt").resolve() == copied.resolve()
    (copied / "generation_config.json").write_text("{}", encoding="utf-8")
    assert write_model_receipt(copied, "tiny", {})["fingerprint"] != original["fingerprint"]


def test_a_model_folder_can_be_moved(copied, tmp_path):
    moved = copied.rename(tmp_path / "elsewhere")
    assert load_base(moved, "none", "float32").config.hidden_size == 64


def test_an_adapter_changes_the_answers(tiny_model, adapter):
    ids = torch.arange(3, 40)[None]
    base = load_base(tiny_model, "none", "float32")
    with torch.no_grad():
        before = base(ids).logits
        model = load_adapter(base, adapter)
        after = model(ids).logits
    assert not model.training
    assert (after - before).abs().max() > 0.1
    assert not any(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_an_adapter_has_float32_weights_on_a_frozen_base(tiny_model, adapter, quantization):
    model = load_adapter(load_base(tiny_model, quantization, "bfloat16"), adapter, trainable=True)
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert model.training
    assert len(trainable) == 8
    assert all("lora_" in name and p.dtype is torch.float32 for name, p in trainable.items())
    # One that only predicts has the weights that were validated.
    model = load_adapter(load_base(tiny_model, quantization, "bfloat16"), adapter)
    assert not model.training
    assert all(p.dtype is torch.float32 for name, p in model.named_parameters() if "lora_" in name)


def test_either_folder_names_the_adapter(tiny_model, adapter, tmp_path):
    shutil.copytree(adapter, tmp_path / "lineage" / "adapter")
    receipt = adapter_receipt(tmp_path / "lineage", tiny_model)
    assert receipt["files"][ADAPTER_WEIGHTS] == sha256_file(adapter / ADAPTER_WEIGHTS)


def test_an_adapter_of_another_base_model_is_refused(adapter, tmp_path):
    other = tiny_llama.build(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match="trained on another base model"):
        adapter_receipt(adapter, other)


def test_adapters_that_cannot_be_used_are_refused(tiny_model, adapter, tmp_path):
    with pytest.raises(InputError, match="no adapter here"):
        adapter_receipt(tmp_path, tiny_model)
    broken = shutil.copytree(adapter, tmp_path / "broken")
    with open(broken / ADAPTER_WEIGHTS, "ab") as handle:
        handle.write(b" ")
    with pytest.raises(InputError, match="does not match its receipt"):
        adapter_receipt(broken, tiny_model)
    (broken / ADAPTER_WEIGHTS).rename(broken / "adapter_model.bin")
    with pytest.raises(InputError, match="only safetensors are read"):
        adapter_receipt(broken, tiny_model)


def test_an_adapter_that_does_not_fit_is_refused(tiny_model, adapter, tmp_path):
    """Named layers without weights, or weights of another shape: PEFT only warns of the first."""
    base = load_base(tiny_model, "none", "float32")
    wider = shutil.copytree(adapter, tmp_path / "wider")
    edit(wider / ADAPTER_CONFIG, target_modules=["q_proj", "v_proj", "up_proj"])
    with pytest.raises(InputError, match="no weights for some of the layers"):
        load_adapter(base, wider)
    ranks = shutil.copytree(adapter, tmp_path / "ranks")
    edit(ranks / ADAPTER_CONFIG, r=8)
    with pytest.raises(InputError, match=r"has the shape \(4, 64\), but \(8, 64\) by its configuration"):
        load_adapter(load_base(tiny_model, "none", "float32"), ranks)
    kind = shutil.copytree(adapter, tmp_path / "kind")
    edit(kind / ADAPTER_CONFIG, peft_type="PROMPT_TUNING")
    with pytest.raises(InputError, match="only LORA adapters"):
        load_adapter(base, kind)


def test_attention_code_of_a_hub_is_refused(copied):
    edit(copied / "config.json", attn_implementation="somebody/kernel")
    write_model_receipt(copied, "own", {"path": "x"})
    with pytest.raises(InputError, match="names code on a hub"):
        load_base(copied)


@pytest.fixture
def given(monkeypatch):
    """Arguments that transformers gets to load a model, under a pretended GPU; nothing is loaded."""
    from transformers import AutoModelForCausalLM

    asked = {}

    def from_pretrained(files, **arguments):
        asked.update(arguments)
        raise OSError("no GPU")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", from_pretrained)
    monkeypatch.setattr("stagewise.models.load.check_gpu", lambda: "a pretended GPU")
    return asked


@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize(
    ("capability", "dtype"), [((7, 0), "float32"), ((7, 5), "float32"), ((8, 0), "bfloat16"), ((12, 0), "bfloat16")]
)
def test_on_a_gpu_the_model_goes_there_as_a_whole(tiny_model, monkeypatch, given, capability, dtype, quantization):
    pretend_gpu(monkeypatch, capability)
    with pytest.raises(InputError, match="no GPU"):
        load_base(tiny_model, quantization, dtype)
    assert given["device_map"] == {"": torch.device("cuda", 0)}
    assert given["dtype"] is getattr(torch, dtype)
    config = given.get("quantization_config")
    assert (config is not None) == (quantization == "nf4")
    assert config is None or config.bnb_4bit_compute_dtype is getattr(torch, dtype)


@pytest.mark.parametrize("capability", [(7, 0), (7, 5)])
def test_a_gpu_older_than_ampere_refuses_bfloat16(tiny_model, monkeypatch, given, capability):
    pretend_gpu(monkeypatch, capability)
    with pytest.raises(InputError, match=r"dtype: this GPU has compute capability 7\.\d and does not"):
        load_base(tiny_model, "none", "bfloat16")
    assert not given


def test_a_gpu_whose_memory_the_weights_exceed_is_refused(tiny_model, monkeypatch, given):
    pretend_gpu(monkeypatch, memory=10_000)
    with pytest.raises(InputError, match="memory"):
        load_base(tiny_model, "none", "bfloat16")
    assert not given
