"""A stage's own LoRA beside its parent's, which stays as it is."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from stagewise.config.training import Lora
from stagewise.errors import InputError
from stagewise.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapted_layers, load_adapter, read_adapter
from stagewise.models.load import load_base
from stagewise.recipe import Recipe
from stagewise.training.new_lora import FrozenParent, add_new_lora
from stagewise.training.stage_data import initial_adapter
from tests.helpers.contradicting_tasks import AdapterFolder, write_data

PARENT = {"r": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"]}
NEW = {"r": 3, "alpha": 12, "dropout": 0.25, "target_modules": ["q_proj", "up_proj"], "last_layers": 1}
ALL, LAST = ("model.layers.0.", "model.layers.1."), ("model.layers.1.",)
# Inputs and outputs of the tiny model's layers.
SIZES = {"self_attn.q_proj": (64, 64), "self_attn.v_proj": (64, 32), "mlp.up_proj": (64, 128)}
IDS = [[5, 9, 30, 71, 100]]


@pytest.fixture(scope="module")
def adapters(tmp_path_factory, tiny_model) -> AdapterFolder:
    """An adapter ``one``; ``two`` is its child with a LoRA of its own, and ``three`` is trained on as usual."""
    folder = tmp_path_factory.mktemp("new-lora")
    adapters = AdapterFolder(folder, tiny_model, write_data(folder / "data", {"yes": 8, "no": 8, "maybe": 4}))
    adapters.train("one", "first", epochs=2, lora=PARENT)
    adapters.train("two", "second", "one", ["first"], epochs=1, lora=NEW, new_lora=True, weight_decay=0.5)
    adapters.train("three", "first", "two", ["second"], epochs=1, lora=PARENT)
    return adapters


def products(folder) -> dict[str, np.ndarray]:
    """Each layer's update (alpha / r) B A."""
    config, factors = read_adapter(folder)
    return {name: config["lora_alpha"] / config["r"] * (b @ a).numpy() for name, (a, b) in factors.items()}


def logits(model):
    import torch

    with torch.no_grad():
        return model.eval()(torch.tensor(IDS)).logits


def test_the_start_computes_what_the_parent_does(adapters, tmp_path):
    import torch

    base = load_base(adapters.model, "none", "float32")
    add_new_lora(adapters.adapter("one"), tmp_path, base, Lora(**NEW), seed=0)
    parent, wider = products(adapters.adapter("one")), products(tmp_path)
    expected = {f"{layer}self_attn.{kind}" for layer in ALL for kind in ("q_proj", "v_proj")}
    assert set(parent) == expected and set(wider) == expected | {"model.layers.1.mlp.up_proj"}
    for name, update in wider.items():
        np.testing.assert_allclose(update, parent.get(name, np.zeros_like(update)), atol=1e-7)
    torch.testing.assert_close(logits(load_adapter(base, tmp_path)), logits(adapters.load("one")), rtol=0, atol=1e-5)

    config, factors = read_adapter(tmp_path)
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (7, 28, 0.25)
    for name, (a, b) in factors.items():
        is_new = name in ("model.layers.1.self_attn.q_proj", "model.layers.1.mlp.up_proj")
        assert bool(a[4:].any()) == is_new and not b[:, 4:].any()
        assert a[4:].abs().max() <= 1 / np.sqrt(a.shape[1])
    base = load_base(adapters.model, "none", "float32")
    other = add_new_lora(adapters.adapter("one"), tmp_path / "other", base, Lora(**NEW), seed=1)
    name = "model.layers.1.self_attn.q_proj"
    assert not np.array_equal(read_adapter(other)[1][name][0], factors[name][0])


def test_the_parents_part_stays_and_the_new_one_learns(adapters):
    """Weight decay of 0.5 would shrink whatever is not put back."""
    one, two = (load_file(adapters.adapter(name) / ADAPTER_WEIGHTS) for name in ("one", "two"))
    config = json.loads((adapters.adapter("two") / ADAPTER_CONFIG).read_text())
    assert (config["r"], config["lora_alpha"]) == (7, 28)
    for key, factor in two.items():
        name = key.removeprefix("base_model.model.").partition(".lora_")[0]
        rows = factor if "lora_A" in key else factor.T
        parent = one.get(key)
        if parent is None:
            assert not rows[:4].any()
        else:
            # The parent's scaling is 8 / 4, the new one's 12 / 3.
            assert np.array_equal(rows[:4], parent if "lora_A" in key else parent.T / 2)
        trained = name.startswith(LAST) and not name.endswith("v_proj")
        assert rows[4:].any() == trained
    trained = sum(sum(SIZES[kind]) for kind in ("self_attn.q_proj", "mlp.up_proj"))
    assert adapters.summary("two")["trainable_parameters"] == 3 * trained


def test_the_next_stage_trains_all_of_it(adapters):
    two, three = (load_file(adapters.adapter(name) / ADAPTER_WEIGHTS) for name in ("two", "three"))
    assert two.keys() == three.keys()
    for key, factor in three.items():
        assert factor.shape == two[key].shape and 7 in factor.shape
        if "up_proj" not in key:  # where the parent's part is zero, it has no gradient
            assert not np.array_equal(*(f[:4] if "lora_A" in key else f[:, :4] for f in (factor, two[key])))
    trained = sum(7 * sum(SIZES[name.partition(".")[2]]) for name in ("0.self_attn.q_proj", "0.self_attn.v_proj"))
    assert adapters.summary("three")["trainable_parameters"] == 2 * trained + 7 * sum(SIZES["mlp.up_proj"])


def test_gradients_are_the_new_loras_alone(adapters, tmp_path):
    """So clipping measures what is trained, and the optimizer's state stays zero elsewhere."""
    import torch

    base = load_base(adapters.model, "none", "float32")
    add_new_lora(adapters.adapter("one"), tmp_path, base, Lora(**NEW), seed=0)
    model = load_adapter(base, tmp_path, trainable=True).eval()
    for layer in adapted_layers(model):
        layer.b.data[:, 4:] = 0.1 * (layer.a[4:].abs().sum(1) > 0)
    ids = torch.tensor(IDS)

    def gradients() -> list:
        model.zero_grad()
        model(ids, labels=ids).loss.backward()
        return [(layer.name, layer.a.grad.clone(), layer.b.grad.T.clone()) for layer in adapted_layers(model)]

    before = gradients()
    hook = FrozenParent(model, 3)
    for (name, *all_rows), (_, *kept) in zip(before, gradients(), strict=True):
        trained = name.startswith(LAST) and not name.endswith("v_proj")
        for full, masked in zip(all_rows, kept, strict=True):
            assert full[:4].any() or name.endswith("up_proj")
            assert not masked[:4].any() and torch.equal(
                masked[4:], full[4:] if trained else torch.zeros(3, masked.shape[1])
            )
    assert all(layer.b.grad.is_contiguous() for layer in adapted_layers(model))
    everything = sum(layer.a.numel() + layer.b.numel() for layer in adapted_layers(model))
    assert everything - hook.frozen_parameters == adapters.summary("two")["trainable_parameters"]


def test_a_stage_that_goes_on_takes_its_own_dropout(adapters, tmp_path):
    lora = PARENT | {"dropout": 0.5}
    recipe = adapters.plan("dropout", "second", "one", ["first"], lora=lora)
    model, config = initial_adapter(
        recipe, load_base(adapters.model, "none", "float32"), adapters.adapter("one"), tmp_path
    )
    assert config is None
    rates = {module.lora_dropout["default"].p for module in model.modules() if hasattr(module, "lora_dropout")}
    assert rates == {0.5} and model.peft_config["default"].lora_dropout == 0.5
    assert json.loads((adapters.adapter("one") / ADAPTER_CONFIG).read_text())["lora_dropout"] == 0.05


def test_settings_that_do_not_fit_the_model_are_refused(adapters, tmp_path):
    base = load_base(adapters.model, "none", "float32")
    with pytest.raises(InputError, match="last_layers is 3, but the base model has 2 layers"):
        add_new_lora(adapters.adapter("one"), tmp_path, base, Lora(last_layers=3), seed=0)


def test_a_new_lora_is_part_of_the_recipe(adapters):
    plain = adapters.plan("plain", "second", "one", ["first"], lora=NEW)
    assert plain.fingerprint != Recipe.read(adapters.folder / "two" / "recipe.json").fingerprint
    new = adapters.plan("new", "second", "one", ["first"], lora=NEW, new_lora=True)
    assert new.fingerprint != plain.fingerprint
    assert "the parent's part is frozen" in (adapters.adapter("two") / "README.md").read_text()
    assert "frozen" not in (adapters.adapter("three") / "README.md").read_text()
