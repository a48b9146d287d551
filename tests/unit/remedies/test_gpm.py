"""GPM's directions are those of the paper, and the new LoRA adds nothing to a layer's output in them."""

import numpy as np
import pytest

from stagewise.errors import InputError
from stagewise.models.adapters import adapted_layers, load_adapter
from stagewise.models.load import load_base, load_tokenizer
from stagewise.remedies.gpm import Gpm, principal_directions
from tests.helpers import tiny_llama
from tests.helpers.new_lora_learner import EARLIER, LATER, LORA, NewLoraLearner


def basis_of_the_paper(tasks: list[np.ndarray], threshold: float) -> np.ndarray:
    """GPM (arXiv:2103.09762), section 4: R has a column per sample; eq. 5 for the first task, eqs. 8 and 9 after it."""
    memory = np.zeros((tasks[0].shape[1], 0))
    for samples in tasks:
        representation = samples.T.astype(np.float64)
        projected = memory @ memory.T @ representation
        u, values, _ = np.linalg.svd(representation - projected)
        k = 0
        while (projected**2).sum() + (values[:k] ** 2).sum() < threshold * (representation**2).sum():
            k += 1
        memory = np.hstack([memory, u[:, :k]])
    return memory.T


@pytest.mark.parametrize("threshold", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("tokens", [5, 40])
def test_directions_are_the_papers(threshold, tokens):
    import torch

    draw = np.random.default_rng(0)
    scales = 0.7 ** np.arange(12)
    tasks = [
        (draw.normal(size=(tokens, 12)) * scales[order]).astype(np.float32)
        for order in (slice(None), slice(None, None, -1))
    ]
    basis = None
    for task in tasks:
        basis = principal_directions(torch.from_numpy(task), basis, threshold)
    expected = basis_of_the_paper(tasks, threshold)
    assert basis.shape == expected.shape
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-10)
    np.testing.assert_allclose(basis.T @ basis, expected.T @ expected, atol=1e-9)


def test_a_task_whose_inputs_are_in_the_memory_adds_nothing():
    import torch

    inputs = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    basis = principal_directions(inputs, None, 1)
    assert len(basis) == 6
    assert len(principal_directions(3 * inputs[:4] - inputs[2:], basis, 1)) == 6
    assert len(principal_directions(torch.zeros(4, 10), None, 1)) == 0


@pytest.fixture(scope="module")
def parent(tmp_path_factory, tiny_model):
    return tiny_llama.build_adapter(tmp_path_factory.mktemp("gpm") / "parent", tiny_model)


def parents_inputs(tiny_model, parent, texts, quantization="none") -> dict[str, np.ndarray]:
    """Inputs of every layer on some texts, read one by one with the parent's adapter, by transformers alone."""
    import torch

    tokenizer = load_tokenizer(tiny_model)
    model = load_adapter(load_base(tiny_model, quantization, "float32"), parent).get_base_model()
    inputs: dict[str, list] = {}
    for name, module in model.named_modules():
        if name.endswith("_proj"):
            module.register_forward_hook(lambda _, x, y, name=name: inputs.setdefault(name, []).append(x[0][0].numpy()))
    with torch.no_grad():
        for text in texts:
            model(torch.tensor([tokenizer(text)["input_ids"]]))
    return {name: np.concatenate(values) for name, values in inputs.items()}


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_the_update_is_zero_on_earlier_inputs_and_not_on_new_ones(tmp_path, tiny_model, parent, quantization):
    learner = NewLoraLearner(tmp_path, tiny_model, parent, Gpm(threshold=1), quantization)
    learner.learn()
    earlier = parents_inputs(tiny_model, parent, EARLIER, quantization)
    later = parents_inputs(tiny_model, parent, [LATER], quantization)
    layers = adapted_layers(learner.model)
    assert {layer.name.rpartition(".")[2] for layer in layers} == {*LORA.target_modules, "v_proj"}
    for layer in layers:
        new = layer.scaling * (layer.b[:, 4:] @ layer.a[4:]).detach().numpy()
        if layer.name.endswith("v_proj"):  # the parent's alone
            assert not new.any()
            continue
        assert np.abs(earlier[layer.name] @ new.T).max() < 1e-5
        assert np.abs(later[layer.name] @ new.T).max() > 1e-2
    assert learner.hooks[0].extra_tokens == len(earlier["model.layers.0.self_attn.q_proj"])


def test_directions_hold_the_threshold_of_the_earlier_inputs_energy(tmp_path, tiny_model, parent):
    (projected, _) = NewLoraLearner(tmp_path, tiny_model, parent, Gpm(threshold=0.8)).hooks
    inputs = parents_inputs(tiny_model, parent, EARLIER)
    assert len(projected.layers) == 8
    for layer, directions in projected.layers:
        x, basis = inputs[layer.name].astype(np.float64), directions.numpy().astype(np.float64)
        shares = [((x @ basis[:k].T) ** 2).sum() / (x**2).sum() for k in (len(basis) - 1, len(basis))]
        assert shares[0] < 0.8 <= shares[1] + 1e-6
        assert np.abs(layer.a[4:].detach().numpy() @ basis.T).max() < 1e-6  # before the first step already


def test_items_and_tokens_are_drawn_by_the_seed(tmp_path, tiny_model, parent):
    first, again = (
        NewLoraLearner(tmp_path / name, tiny_model, parent, Gpm(items=2, tokens=4, threshold=1)) for name in "ab"
    )
    lengths = sorted(len(first.tokenizer(text)["input_ids"]) for text in EARLIER)
    assert first.hooks[0].extra_tokens in {sum(lengths) - length for length in lengths}
    for (_, one), (_, other) in zip(first.hooks[0].layers, again.hooks[0].layers, strict=True):
        assert len(one) == 4 and (one == other).all()


def test_no_direction_left_is_refused(tmp_path, tiny_model, parent):
    texts = [f"{text} {number}" for text in tiny_llama.CORPUS for number in range(4)]
    sentence = (
        r"^remedies\.gpm: the earlier stages take all 64 input directions of model\.layers\.0\.self_attn\.q_proj, so "
        "that none is left to learn in; lower its threshold$"
    )
    with pytest.raises(InputError, match=sentence):
        NewLoraLearner(tmp_path, tiny_model, parent, Gpm(threshold=1), texts=texts)


def test_activations_that_are_not_finite_are_refused(tmp_path, tiny_model, parent, monkeypatch):
    load = load_base

    def poisoned(*arguments):
        base = load(*arguments)
        base.model.layers[1].input_layernorm.weight.data[3] = float("inf")
        return base

    monkeypatch.setattr("tests.helpers.new_lora_learner.load_base", poisoned)
    with pytest.raises(InputError, match="remedies.gpm: the parent's activations on first are not finite"):
        NewLoraLearner(tmp_path, tiny_model, parent, Gpm())
