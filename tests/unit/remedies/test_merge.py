"""TIES and DARE as their papers have them, on full updates in double precision; and settings that cannot be."""

import json

import numpy as np
import pytest

from stagewise.config.base import validate
from stagewise.errors import InputError
from stagewise.models.adapters import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    adapted_layers,
    load_adapter,
    read_adapter,
    write_adapter,
)
from stagewise.models.lora_updates import LoraUpdates, write_updates
from stagewise.provenance.files import sha256_file
from stagewise.remedies.blend import Blend
from stagewise.remedies.merge import Merge
from tests.helpers import tiny_llama
from tests.helpers.drawn_adapters import write_drawn

QUERY, DOWN, UP = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj", "model.layers.1.mlp.up_proj"
SHAPES = {QUERY: (24, 16), DOWN: (12, 40), UP: (40, 12)}
METHODS = ["ties", "dare_ties", "dare_linear", "magnitude_prune"]


@pytest.fixture
def folders(tmp_path):
    """Two adapters of other ranks and scalings; the first leaves the layer UP alone, the second QUERY."""
    return [
        write_drawn(tmp_path / "first", {QUERY: SHAPES[QUERY], DOWN: SHAPES[DOWN]}, rank=4, seed=1),
        write_drawn(tmp_path / "second", {DOWN: SHAPES[DOWN], UP: SHAPES[UP]}, rank=3, alpha=12, seed=2),
    ]


def updates(folder) -> dict[str, np.ndarray]:
    config, factors = read_adapter(folder)
    scale = config["lora_alpha"] / config["r"]
    given = {name: scale * (b.double() @ a.double()).numpy() for name, (a, b) in factors.items()}
    return {name: given.get(name, np.zeros(shape)) for name, shape in SHAPES.items()}


def no_base():
    raise AssertionError("the base model is loaded for nothing")


def merge(folder, folders, seed=0, remedy=Merge, **settings):
    """The merged updates by layer, and the facts about the merge."""
    facts = remedy(**settings).merge(folders, folder, no_base, seed)
    return updates(folder), facts


def trimmed(update, density):
    """TIES, section 3, step 1: the top-k % of the values by magnitude."""
    top = np.argsort(-np.abs(update), axis=None, kind="stable")[: round(density * update.size)]
    kept = np.zeros(update.size)
    kept[top] = update.ravel()[top]
    return kept.reshape(update.shape)


def elected(pruned):
    """TIES, section 3, steps 2 and 3: the sign of the summed values; the mean of those that have it."""
    pruned = np.array(pruned)
    others = (np.sign(pruned) != np.sign(pruned.sum(0))) | (pruned == 0)
    return np.ma.masked_array(pruned, others).mean(0).filled(0)


def merged_by_paper(method, sources, density, seed=0):
    """Each layer's merged update; DARE (section 3) draws masks m and has m * delta / (1 - p), p = 1 - density."""
    draw, merged = np.random.default_rng(seed), {}
    for name in sorted(sources[0]):
        arrays = [source[name] for source in sources]
        if method.startswith("dare"):
            pruned = [(draw.random(a.shape, dtype=np.float32) < density) * a / density for a in arrays]
        else:
            pruned = [trimmed(a, density) for a in arrays]
        merged[name] = elected(pruned) if "ties" in method else np.sum(pruned, 0)
    return merged


def assert_near(ours: dict, expected: dict) -> None:
    assert ours.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(ours[name], values, atol=1e-4 * np.abs(values).max(), err_msg=name)


@pytest.mark.parametrize("density", [0.3, 1])
@pytest.mark.parametrize("method", METHODS)
def test_at_full_rank_the_merge_is_that_of_full_updates(tmp_path, folders, method, density):
    ours, facts = merge(tmp_path / "x", folders, method=f"{method}_svd", density=density, rank=1000, seed=3)
    assert_near(ours, merged_by_paper(method, list(map(updates, folders)), density, seed=3))
    assert facts["kept_share"] == pytest.approx(1)
    # No layer has a higher rank.
    assert json.loads((tmp_path / "x" / ADAPTER_CONFIG).read_text())["r"] == 16


@pytest.mark.parametrize(("rank", "expected_rank"), [(2, 2), (None, 7)])
@pytest.mark.parametrize("method", METHODS)
def test_a_smaller_rank_gives_the_best_approximation_and_says_what_it_keeps(
    tmp_path, folders, method, rank, expected_rank
):
    ours, facts = merge(tmp_path / "x", folders, method=f"{method}_svd", rank=rank)
    full, best, kept = merged_by_paper(method, list(map(updates, folders)), 0.5), {}, 0
    for name, update in full.items():
        left, values, right = np.linalg.svd(update, full_matrices=False)
        best[name] = (left[:, :expected_rank] * values[:expected_rank]) @ right[:expected_rank]
        kept += (values[:expected_rank] ** 2).sum()
    assert_near(ours, best)
    assert facts["kept_share"] == pytest.approx(kept / sum((update**2).sum() for update in full.values()), abs=1e-5)
    assert 0.2 < facts["kept_share"] < 0.999


@pytest.mark.parametrize("method", METHODS)
def test_methods_without_svd_merge_each_factor_by_itself(tmp_path, method):
    """As PEFT: the root of weight and scaling on A and on B; with DARE not what the paper drops from."""
    folders = [write_drawn(tmp_path / str(n), {DOWN: SHAPES[DOWN]}, rank=4, alpha=6, seed=n) for n in (0, 1)]
    _, facts = merge(tmp_path / "x", folders, method=method, weights=[0.5, 0.5])
    sides = [read_adapter(folder)[1][DOWN] for folder in folders]
    scaled = [{"0": (0.75**0.5 * a).double().numpy(), "1": (0.75**0.5 * b).double().numpy()} for a, b in sides]
    expected = merged_by_paper(method, scaled, 0.5)
    config, factors = read_adapter(tmp_path / "x")
    assert facts is None and config["r"] == config["lora_alpha"] == 4
    for side, factor in zip(("0", "1"), factors[DOWN], strict=True):
        np.testing.assert_allclose(factor, expected[side], atol=1e-6)


@pytest.mark.parametrize(
    ("method", "cosine", "by_factors"), [("ties", 0.89, 0.75), ("dare_ties", 0.7, 0.4), ("dare_linear", 0.74, 0.45)]
)
def test_merged_updates_are_nearer_to_the_method_than_merged_factors(tmp_path, method, cosine, by_factors):
    """Two adapters of rank 16 on 576 x 576 that share A's start; the rank takes from the norm and never adds to it."""
    rng, folders = np.random.default_rng(0), []
    start = rng.uniform(-1, 1, (16, 576))
    for name in ("first", "second"):
        folder = write_drawn(tmp_path / name, {"q": (576, 576)}, rank=16)
        config, factors = read_adapter(folder)
        a = start + 0.1 * rng.normal(size=start.shape)
        b = 0.01 * rng.normal(size=(576, 16))
        write_updates(folder, [LoraUpdates.read(folder)], 16, {"q": (a.astype(np.float32), b.astype(np.float32))})
        folders.append(folder)

    def compare(name):
        Merge(method=name).merge(folders, tmp_path / name, no_base, 0)
        a, b = (factor.numpy() for factor in read_adapter(tmp_path / name)[1]["q"])
        merged, norm = b @ a, np.linalg.norm(full)
        return (merged * full).sum() / np.linalg.norm(merged) / norm, np.linalg.norm(merged) / norm

    sources = [(b.double() @ a.double()).numpy() for a, b in (read_adapter(folder)[1]["q"] for folder in folders)]
    full = merged_by_paper(method, [{"q": source} for source in sources], 0.5)["q"]
    of_updates, of_factors = compare(f"{method}_svd"), compare(method)
    assert of_updates[0] > cosine and cosine < of_updates[1] <= 1
    assert of_factors[0] < by_factors


def test_weights_scale_updates_before_signs_are_elected(tmp_path, folders):
    """The same number for all is the papers' lambda; an adapter of weight 0 neither votes nor counts."""
    one, _ = merge(tmp_path / "one", folders, rank=16)
    scaled, _ = merge(tmp_path / "scaled", folders, rank=16, weights=[0.4, 0.4])
    assert_near(scaled, {name: 0.4 * update for name, update in one.items()})
    first, _ = merge(tmp_path / "first alone", folders, rank=16, weights=[-1, 0])
    assert_near(first, {name: -trimmed(update, 0.5) for name, update in updates(folders[0]).items()})


@pytest.mark.parametrize("remedy", [Merge(), Merge(method="dare_ties_svd"), Blend(alpha=0.25)])
def test_the_same_seed_gives_the_same_bytes(tmp_path, folders, remedy):
    sums = []
    for name, seed in {"one": 0, "again": 0, "other": 1}.items():
        (tmp_path / name).mkdir()
        remedy.merge(folders, tmp_path / name, no_base, seed)
        sums.append(sha256_file(tmp_path / name / ADAPTER_WEIGHTS))
    assert sums[0] == sums[1]
    assert (sums[0] == sums[2]) == ("dare" not in remedy.label)


def test_a_blend_takes_a_layer_that_only_one_adapter_has_as_an_update_of_zeros_in_the_other(tmp_path, folders):
    ours, _ = merge(tmp_path / "x", folders, remedy=Blend, alpha=0.25)
    parent, child = map(updates, folders)
    assert_near(ours, {name: 0.75 * parent[name] + 0.25 * child[name] for name in SHAPES})
    assert json.loads((tmp_path / "x" / ADAPTER_CONFIG).read_text())["target_modules"] == sorted(SHAPES)


@pytest.mark.parametrize("remedy", [Merge(), Merge(method="dare_ties"), Blend()])
def test_merged_adapters_of_other_layers_load_with_the_layers_of_both(tmp_path, tiny_model, remedy):
    """A list of modules and numbers of layers cannot say such layers, which PEFT then takes by their names."""
    from stagewise.models.load import load_base

    config, factors = read_adapter(tiny_llama.build_adapter(tmp_path / "all", tiny_model))
    names = sorted(factors)
    parts = {"early": names[:3], "late": names[-4:]}
    for part, layers in parts.items():
        write_adapter(tmp_path / part, config | {"target_modules": layers}, {name: factors[name] for name in layers})
    (tmp_path / "merged").mkdir()
    remedy.merge([tmp_path / part for part in parts], tmp_path / "merged", no_base, 0)
    model = load_adapter(load_base(tiny_model, "none", "float32"), tmp_path / "merged")
    assert sorted(layer.name for layer in adapted_layers(model)) == sorted({*names[:3], *names[-4:]})


def test_adapters_of_other_ranks_have_no_merge_of_factors(tmp_path, folders):
    with pytest.raises(InputError) as error:
        merge(tmp_path / "x", folders, method="dare_linear")
    assert str(error.value) == (
        f"{folders[1]}: has rank 3 and {folders[0]} rank 4, but 'dare_linear' merges factors of one rank; "
        "choose the method dare_linear_svd"
    )


def test_updates_that_overflow_are_refused(tmp_path):
    folders = [write_drawn(tmp_path / name, {DOWN: SHAPES[DOWN]}, alpha=1_000_000, seed=3) for name in "ab"]
    for folder in folders:
        config = json.loads((folder / ADAPTER_CONFIG).read_text()) | {"lora_alpha": 1e38}
        (folder / ADAPTER_CONFIG).write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"layers.1.mlp.down_proj.*not finite.*merge\.weights"):
        merge(tmp_path / "x", folders, weights=[1000, 1000])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"method": "ties", "rank": 4}, "'rank' is of the methods that end in _svd; 'ties' keeps the rank"),
        ({"rank": 0}, "greater than or equal to 1"),
        ({"weights": [1]}, "so two or more"),
        ({"method": "svd"}, "'ties_svd'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, says):
    with pytest.raises(InputError) as error:
        validate(Merge, settings, "config.yaml")
    assert says in str(error.value)


def test_labels_name_what_differs():
    """Merges of one trained adapter lie side by side in its folder, as a sweep of weights makes them."""
    labels = {
        "ties-svd-0.5": {},
        "ties-0.5": {"method": "ties"},
        "dare-ties-svd-0.25": {"method": "dare_ties_svd", "density": 0.25},
        "ties-svd-0.5-w0.3": {"weights": [0.3, 0.3]},
        "ties-svd-0.5-w1-0.3-r8": {"weights": [1, 0.3], "rank": 8},
    }
    assert {Merge(**settings).label: settings for settings in labels.values()} == labels
