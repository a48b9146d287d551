"""Updates of adapters in files: best approximations, scaling, and layers that only some adapters have."""

import json

import numpy as np
import pytest

from stagewise.models.adapters import ADAPTER_CONFIG, read_adapter
from stagewise.models.lora_updates import LoraUpdates, best_approximation, layer_shapes, write_updates
from tests.helpers.drawn_adapters import write_drawn


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (40, 40)])
@pytest.mark.parametrize("rank", [1, 7, 29])
def test_the_approximation_is_the_singular_value_decompositions(shape, rank):
    """Eckart and Young 1936: no matrix of this rank is nearer."""
    update = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    a, b, kept = best_approximation(update, rank)
    left, values, right = np.linalg.svd(update.astype(float))
    np.testing.assert_allclose(b @ a, (left[:, :rank] * values[:rank]) @ right[:rank], atol=1e-5)
    np.testing.assert_allclose(a @ a.T, np.eye(rank), atol=1e-5)
    assert kept == pytest.approx((values[:rank] ** 2).sum() / (values**2).sum())


def test_a_rank_above_a_layers_own_leaves_zeros_and_loses_nothing():
    update = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
    a, b, kept = best_approximation(update, 6)
    assert (a.shape, b.shape) == ((6, 9), (4, 6)) and kept == pytest.approx(1)
    assert not a[4:].any() and not b[:, 4:].any()
    np.testing.assert_allclose(b @ a, update, atol=1e-5)


def test_an_update_of_zeros_is_kept_whole():
    a, b, kept = best_approximation(np.zeros((5, 3), np.float32), 2)
    assert kept == 1 and not (b @ a).any() and np.isfinite(a).all()


def test_updates_are_scaled_as_peft_scales_them(tmp_path):
    """alpha / r, or alpha over the root of r (rank-stabilized LoRA, Kalajdzievski 2023, arXiv:2312.03732)."""
    for name, root in {"plain": False, "stabilized": True}.items():
        folder = write_drawn(tmp_path / name, {"q": (6, 5)}, rank=4, alpha=12, use_rslora=root)
        (a, b), adapter = read_adapter(folder)[1]["q"], LoraUpdates.read(folder)
        expected = 12 / (2 if root else 4) * (b.double() @ a.double()).numpy()
        np.testing.assert_allclose(adapter.update("q", (6, 5)), expected, rtol=1e-5)


def test_layers_that_one_adapter_leaves_alone_are_zeros(tmp_path):
    """The written adapter names the layers one by one, because names of modules and numbers cannot."""
    shapes = {"model.layers.0.q": (6, 5), "model.layers.1.v": (3, 5)}
    first, second = (
        LoraUpdates.read(write_drawn(tmp_path / name, {name: shape}, rank=2)) for name, shape in shapes.items()
    )
    assert layer_shapes([second, first]) == shapes
    assert first.update("model.layers.1.v", (3, 5)).tolist() == np.zeros((3, 5)).tolist()
    factors = {name: first.factors_of(name, shape) for name, shape in shapes.items()}
    write_updates(tmp_path / "both", [first, second], 2, factors)
    config = json.loads((tmp_path / "both" / ADAPTER_CONFIG).read_text())
    assert (config["r"], config["lora_alpha"]) == (2, 2)
    assert (config["target_modules"], config["layers_to_transform"]) == (list(shapes), None)
    write_updates(tmp_path / "one", [second, first], 2, {"model.layers.0.q": factors["model.layers.0.q"]})
    assert json.loads((tmp_path / "one" / ADAPTER_CONFIG).read_text())["target_modules"] == ["q"]
