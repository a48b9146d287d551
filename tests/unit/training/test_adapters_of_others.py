"""Training on adapters that PEFT alone has made, and on DoRA and rsLoRA of one's own."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from stagewise.config.training import Lora
from stagewise.errors import InputError
from stagewise.models.adapters import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    adapted_layers,
    factor_layers,
    load_adapter,
    read_adapter,
)
from stagewise.models.load import load_base
from stagewise.models.shared_base import SharedBase
from stagewise.remedies.anchor import Anchor
from stagewise.training.new_lora import FrozenParent, add_new_lora
from stagewise.training.stage_data import _check_trainable
from tests.helpers import peft_adapters
from tests.helpers.peft_adapters import logits
from tests.helpers.remedy_context import make_context, make_hook, move
from tests.helpers.toy_stage import Stage, interrupt
from tests.helpers.toy_task import write_toy_split

SHORT = {"epochs": 1, "learning_rate": 1e-3}
NEW = {"r": 3, "alpha": 12, "dropout": 0, "target_modules": ["q_proj", "up_proj"], "last_layers": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return peft_adapters.build_base(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_split(tmp_path_factory.mktemp("data"))


class Parents:
    """Finished first stages whose adapters PEFT has made."""

    def __init__(self, root, model, data):
        self.root, self.model, self.data, self.stages = root, model, data, {}

    def __call__(self, kind: str) -> Stage:
        if kind not in self.stages:
            stage = Stage(self.root, self.model, self.data, kind)
            peft_adapters.adopt(peft_adapters.build(stage.folder / "adapter", self.model, kind), stage, self.model)
            self.stages[kind] = stage
        return self.stages[kind]


@pytest.fixture(scope="module")
def parents(tmp_path_factory, model, data) -> Parents:
    return Parents(tmp_path_factory.mktemp("parents"), model, data)


@pytest.mark.parametrize(
    "kind", ["dora-patterns", "expression", "all-biases", "head", "embeddings", "saved-embeddings"]
)
def test_an_adapter_of_somebody_else_is_trained_on(tmp_path, model, data, parents, kind):
    parent = parents(kind)
    child = Stage(tmp_path, model, data, "child", parent=parent, training=SHORT)
    assert child.train() == 0
    before, after = (load_file(stage.file(ADAPTER_WEIGHTS)) for stage in (parent, child))
    assert {key for key in before if "base_layer.weight" not in key} == set(after)
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed == set(after), "every weight of the adapter learns"
    scored = load_adapter(load_base(model, "none", "float32"), child.folder / "adapter")
    expected = logits(peft_adapters.load(child.folder / "adapter", model))
    torch.testing.assert_close(logits(scored), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["lora-on-head", "tokens"])
def test_an_adapter_of_the_output_head_is_scored_and_not_trained_on(tmp_path, model, data, parents, capsys, kind):
    child = Stage(tmp_path, model, data, "child", parent=parents(kind), training=SHORT)
    assert child.train() == 2
    assert "adds to the weights of the output head" in capsys.readouterr().err


def test_factors_of_parameters_are_scored_and_not_trained_on(tmp_path, model):
    """PEFT adapts a parameter by its name; here a layer's weight stands for the fused experts of a mixture."""
    names = ["mlp.up_proj.weight", "mlp.down_proj.weight"]
    folder = peft_adapters.build(tmp_path, model, "plain", target_parameters=names, target_modules=["q_proj"])
    loaded = load_adapter(load_base(model, "none", "float32"), folder, trainable=True, dropout=0.0)
    torch.testing.assert_close(logits(loaded), logits(peft_adapters.load(folder, model)), rtol=0, atol=1e-5)
    with pytest.raises(InputError, match="'target_parameters' is no factor of a linear layer"):
        adapted_layers(loaded)
    with pytest.raises(InputError, match="is no factor of a linear layer"):
        read_adapter(folder)
    with pytest.raises(InputError, match="'target_parameters' can be scored, but not trained on"):
        _check_trainable(loaded, folder)


def test_a_resumed_training_of_all_weights_ends_as_an_undisturbed_one(tmp_path, model, data, parents, monkeypatch):
    """Factors, magnitudes, and modules and biases that the adapter brings along."""
    parent = Stage(tmp_path, model, data, "parent")
    settings = {"bias": "lora_only", "modules_to_save": ["lm_head"]}
    adapter = peft_adapters.build(parent.folder / "adapter", model, "dora", **settings)
    peft_adapters.adopt(adapter, parent, model)
    whole, resumed = (
        Stage(tmp_path / name, model, data, "child", parent=parent, training={"eval_every": 3}) for name in "ab"
    )
    assert whole.train() == 0
    interrupt(resumed, monkeypatch, 5)
    assert resumed.train() == 0
    kinds = {key.rpartition(".")[2] for key in load_file(whole.file(ADAPTER_WEIGHTS))}
    assert kinds == {"weight", "bias", "lora_magnitude_vector"}
    assert whole.file(ADAPTER_WEIGHTS).read_bytes() == resumed.file(ADAPTER_WEIGHTS).read_bytes()


def test_biases_are_trained_on_a_base_model_that_others_share(model, parents):
    """Others of the process get the base model as it was, and its frozen weights are not those of plain LoRA."""
    from stagewise.training.audit import freezes_whole_base

    base = SharedBase(model, "none", "float32")
    untouched = logits(base.take())
    trained = load_adapter(base.take(), parents("all-biases").folder / "adapter", trainable=True)
    assert not freezes_whole_base(trained)
    assert torch.equal(logits(base.take()), untouched)
    assert freezes_whole_base(load_adapter(base.take(), parents("dora").folder / "adapter", trainable=True))


def test_modules_of_an_adapter_are_trained_in_the_type_of_a_bfloat16_model(tmp_path, model, data):
    parent = Stage(tmp_path, model, data, "parent", dtype="bfloat16")
    adapter = peft_adapters.build(parent.folder / "adapter", model, "bias", modules_to_save=["lm_head"])
    peft_adapters.adopt(adapter, parent, model)
    child = Stage(tmp_path, model, data, "child", parent=parent, training=SHORT, dtype="bfloat16")
    assert child.train() == 0
    types = {key.rpartition("proj.")[2]: value.dtype for key, value in load_file(child.file(ADAPTER_WEIGHTS)).items()}
    assert types["lora_A.weight"] is types["lora_B.weight"] is types["lora_B.bias"] is torch.float32
    assert types["base_layer.bias"] is types["base_model.model.lm_head.weight"] is torch.bfloat16


# Settings of one's own.


def test_dora_and_rslora_are_settings_of_a_stage(tmp_path, model, data):
    stage = Stage(tmp_path, model, data, training=SHORT, lora={"r": 4, "alpha": 8, "dora": True, "rslora": True})
    assert stage.train() == 0
    config = json.loads(stage.file(ADAPTER_CONFIG).read_text())
    assert config["use_dora"] and config["use_rslora"]
    loaded = load_adapter(load_base(model, "none", "float32"), stage.folder / "adapter")
    assert {layer.scaling for layer in factor_layers(loaded)} == {4.0}  # 8 / sqrt(4)
    assert all(layer.magnitude is not None for layer in factor_layers(loaded))
    card = stage.file("README.md").read_text()
    assert "| LoRA | DoRA, rsLoRA, r 4, alpha 8" in card


@pytest.mark.parametrize("kind", ["plain", "rslora", "patterns", "layers", "dora", "dora-patterns"])
@pytest.mark.parametrize("own", [{}, {"dora": True}, {"rslora": True}], ids="-".join)
def test_a_lora_beside_a_parent_of_any_kind_starts_as_the_parent(tmp_path, model, parents, kind, own):
    parent, base = parents(kind).folder / "adapter", load_base(model, "none", "float32")
    if kind.startswith("dora") and not own.get("dora"):
        with pytest.raises(InputError, match="a DoRA adapter, whose magnitudes are no part of a plain LoRA"):
            add_new_lora(parent, tmp_path, base, Lora(**NEW, **own), seed=0)
        return
    expected = logits(peft_adapters.load(parent, model))
    add_new_lora(parent, tmp_path, base, Lora(**NEW, **own), seed=0)
    beside = load_adapter(base, tmp_path)
    torch.testing.assert_close(logits(beside), expected, rtol=0, atol=1e-4)
    assert {layer.scaling for layer in factor_layers(beside)} == {Lora(**NEW, **own).scaling}
    assert {len(layer.a) for layer in factor_layers(beside)} == {3 + (6 if kind == "patterns" else 4)}


def test_magnitudes_of_layers_that_a_stage_leaves_alone_stay(tmp_path, model, parents):
    base = load_base(model, "none", "float32")
    add_new_lora(parents("dora").folder / "adapter", tmp_path, base, Lora(**NEW, dora=True), seed=0)
    student = load_adapter(base, tmp_path, trainable=True)
    before = {layer.name: layer.magnitude.detach().clone() for layer in factor_layers(student)}
    hook = FrozenParent(student, NEW["r"])
    optimizer = torch.optim.AdamW(
        [weight for weight in student.parameters() if weight.requires_grad], lr=0.1, weight_decay=0.5
    )
    student(torch.arange(3, 40)[None]).logits.square().mean().backward()
    optimizer.step()
    hook.after_step()
    moved = {layer.name for layer in factor_layers(student) if not torch.equal(layer.magnitude, before[layer.name])}
    assert moved == {"model.layers.1.self_attn.q_proj", "model.layers.1.mlp.up_proj"}
    kept = [layer for layer in factor_layers(student) if layer.name not in moved]
    assert len(kept) == 3 and all(not layer.magnitude.grad.any() for layer in kept)
    with pytest.raises(InputError, match="is no factor"):
        adapted_layers(student)


def test_the_anchor_on_factors_holds_all_that_is_trained_and_that_on_products_refuses(model, parents):
    student = load_adapter(
        load_base(model, "none", "float32"), parents("dora-patterns").folder / "adapter", trainable=True
    )
    with pytest.raises(InputError, match=r"lora_magnitude_vector.*is no factor"):
        Anchor().hook(make_context(student))
    hook = Anchor(strength=0.5, of="factors").hook(make_context(student))
    start = {name: weight.detach().clone() for name, weight in student.named_parameters() if weight.requires_grad}
    move(student)
    distance = sum(
        float((weight.detach() - start[n]).square().sum()) for n, weight in student.named_parameters() if n in start
    )

    class Pass:
        batch_fraction = 0.25

    assert float(hook.loss(Pass())) == pytest.approx(0.25 * 0.5 / 2 * distance, rel=1e-5)
    assert any("magnitude" in name for name in start)


def test_kl_needs_the_parents_own_head(model, parents):
    """Its distributions follow from hidden states and a head that stays; that of an adapter would be the student's."""
    for kind in ("head", "saved-embeddings"):
        student = load_adapter(load_base(model, "none", "float32"), parents(kind).folder / "adapter", trainable=True)
        with pytest.raises(InputError, match=r"remedies.kl: the parent adapter brings an output head"):
            make_hook("kl", make_context(student))
    student = load_adapter(load_base(model, "none", "float32"), parents("dora").folder / "adapter", trainable=True)
    assert make_hook("kl", make_context(student)).states


def test_checkpoints_of_one_run_of_transformers_trainer_are_adapters(tmp_path, model):
    """As a plain script leaves them: three checkpoints, each with its optimizer and states beside the adapter."""
    folders = peft_adapters.train(tmp_path, model, steps=3)
    assert [folder.name for folder in folders] == ["checkpoint-1", "checkpoint-2", "checkpoint-3"]
    values = []
    for folder in folders:
        loaded = load_adapter(load_base(model, "none", "float32"), folder)
        values.append(logits(loaded))
        torch.testing.assert_close(values[-1], logits(peft_adapters.load(folder, model)), rtol=0, atol=1e-5)
    assert not torch.equal(values[0], values[1]) and not torch.equal(values[1], values[2])
    pickled = shutil.copytree(folders[0], tmp_path / "pickled")
    (pickled / ADAPTER_WEIGHTS).rename(pickled / "adapter_model.bin")
    with pytest.raises(InputError, match="only safetensors are read"):
        load_adapter(load_base(model, "none", "float32"), pickled)
