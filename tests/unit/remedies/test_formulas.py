"""Remedies agree with their papers' formulas, computed here independently, in float64 and with full matrices."""

import math
import random
from collections import Counter
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stagewise.config.training import Lora, Training
from stagewise.models.adapters import adapted_layers, load_adapter, read_adapter, write_adapter
from stagewise.models.load import load_base, load_tokenizer
from stagewise.remedies import rehearsal
from stagewise.remedies.anchor import Anchor
from stagewise.remedies.balanced import Balanced, resample
from stagewise.remedies.base import TrainingContext
from stagewise.remedies.blend import Blend
from stagewise.remedies.ewc import Ewc, fisher_diagonal
from stagewise.remedies.orthogonal import Orthogonal
from stagewise.training.arguments import total_steps
from tests.helpers import tiny_llama

RANK, SCALING = 4, 2.0
"""Of the parent, `tiny_llama.build_adapter`."""
PROMPTS = ("Does the treatment help?", "Today was a calm day at the lake.", "I cannot sleep.")


@pytest.fixture(scope="module")
def parent(tiny_model, tmp_path_factory):
    return tiny_llama.build_adapter(tmp_path_factory.mktemp("formulas") / "parent", tiny_model)


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return load_tokenizer(tiny_model)


@pytest.fixture
def model(tiny_model, parent):
    return load_adapter(load_base(tiny_model, "none", "float32"), parent, trainable=True)


@pytest.fixture
def context(model, tokenizer):
    """A stage that starts from the parent, with one earlier task."""
    answers = [
        [*tokenizer(word, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        for word in ("yes", "no", "maybe")
    ]
    earlier = [row("earlier", n % 3, prompt=tokenizer(text)["input_ids"]) for n, text in enumerate(PROMPTS)]
    return TrainingContext(model, tokenizer, [], {"earlier": earlier}, {"earlier": answers}, 0, Lora(r=RANK, alpha=8))


def row(task: str, label: int, number: int = 0, prompt=(5, 6)) -> dict:
    return {
        "input_ids": [*prompt, 90 + label, number],
        "labels": [],
        "task": task,
        "label": label,
        "prompt_tokens": len(prompt),
    }


def rows(task: str, *counts: int) -> list[dict]:
    """Rows of a task with so many of each label."""
    return [row(task, label, number) for label, count in enumerate(counts) for number in range(count)]


def trainable(model) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def move(model) -> dict[str, torch.Tensor]:
    """Move every trainable weight a little, as training does; returns where it was."""
    before = {name: p.detach().clone() for name, p in trainable(model).items()}
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return before


def a_pass(fraction: float) -> SimpleNamespace:
    """All that a penalty on the weights reads of a pass."""
    return SimpleNamespace(batch_fraction=fraction)


def as_float64(tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


# Rehearsal


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 1])
def test_rehearsal_mixes_the_share_of_each_earlier_task_into_the_stages_own_items(share):
    """Scialom et al. 2022, section 3: r of each earlier task's examples, here drawn within each label."""
    stage_rows, earlier = rows("new", 9, 9), {"old": rows("old", 60, 30, 10), "older": rows("older", 7, 40)}
    mixed = rehearsal.Rehearsal(share=share).rows(stage_rows, earlier, seed=3)
    assert mixed[: len(stage_rows)] == stage_rows
    for task, items in earlier.items():
        drawn = [r for r in mixed if r["task"] == task]
        assert all(r in items for r in drawn) and len({str(r["input_ids"]) for r in drawn}) == len(drawn)
        counts = Counter(r["label"] for r in drawn)
        for label, count in Counter(r["label"] for r in items).items():
            # No label is more than half an item from its share, and none is left out.
            exact = Fraction(str(share)) * count
            assert abs(counts[label] - exact) <= Fraction(1, 2) or (counts[label] == 1 and exact < 1)


def test_a_larger_share_contains_a_smaller_one_and_seeds_and_tasks_draw_differently():
    items = rows("old", 60, 30, 10)
    ten, quarter = (rehearsal.draw_share(items, share, seed=3) for share in (0.1, 0.25))
    assert [r for r in quarter if r in ten] == ten == rehearsal.draw_share(items, 0.1, seed=3)
    assert ten != rehearsal.draw_share(items, 0.1, seed=4) and ten != rehearsal.draw_share(items, 0.1, 3, task_number=1)


# Anchor


def penalty_and_gradients(hook, model, fraction: float) -> tuple[float, dict[str, np.ndarray]]:
    penalty = hook.loss(a_pass(fraction))
    penalty.backward()
    return float(penalty.detach()), {name: as_float64(p.grad) for name, p in trainable(model).items()}


def test_the_anchor_is_l2_sps_penalty_on_the_full_updates(context):
    """Li et al. 2018, eq. 3 without its second term: α/2 ‖w - w⁰‖², where w are the updates s B A of all layers.

    Its gradients are ∂/∂B = α s D Aᵀ and ∂/∂A = α s Bᵀ D with D = s (B A - B⁰ A⁰).
    """
    strength, fraction = 0.3, 0.25
    hook = Anchor(strength=strength).hook(context)
    start = {layer.name: as_float64(layer.b) @ as_float64(layer.a) for layer in adapted_layers(context.model)}
    assert float(hook.loss(a_pass(fraction)).detach()) == pytest.approx(0, abs=1e-4)
    move(context.model)
    penalty, gradients = penalty_and_gradients(hook, context.model, fraction)
    expected = 0.0
    for layer in adapted_layers(context.model):
        a, b = as_float64(layer.a), as_float64(layer.b)
        assert layer.scaling == SCALING
        difference = SCALING * (b @ a - start[layer.name])
        expected += fraction * strength / 2 * (difference**2).sum()
        for side, gradient in {"A": b.T @ difference, "B": difference @ a.T}.items():
            (name,) = (n for n in gradients if f"{layer.name}.lora_{side}." in n)
            np.testing.assert_allclose(gradients[name], fraction * strength * SCALING * gradient, rtol=1e-3, atol=1e-4)
    assert penalty == pytest.approx(expected, rel=1e-4)


def test_another_factorization_of_the_parents_update_is_no_distance_on_the_product(context):
    product, factors = (Anchor(of=of).hook(context) for of in ("product", "factors"))
    with torch.no_grad():
        for layer in adapted_layers(context.model):
            layer.a.mul_(2)
            layer.b.div_(2)
    assert float(product.loss(a_pass(1)).detach()) == pytest.approx(0, abs=1e-3)
    assert float(factors.loss(a_pass(1)).detach()) > 1


def test_the_anchor_on_factors_is_l2_sps_penalty_on_a_and_b(context):
    """The same equation with w = (A, B): the gradient is α (w - w⁰)."""
    strength, fraction = 0.3, 0.5
    hook = Anchor(strength=strength, of="factors").hook(context)
    start = move(context.model)
    penalty, gradients = penalty_and_gradients(hook, context.model, fraction)
    moved = {name: as_float64(p) - as_float64(start[name]) for name, p in trainable(context.model).items()}
    assert penalty == pytest.approx(fraction * strength / 2 * sum((d**2).sum() for d in moved.values()), rel=1e-5)
    for name, difference in moved.items():
        np.testing.assert_allclose(gradients[name], fraction * strength * difference, rtol=1e-3, atol=1e-7)


# EWC


def squared_gradients(model, prompt: list[int], answer: list[int]) -> dict[str, np.ndarray]:
    """Squares of the gradient of log p(answer | prompt), by the loss of transformers."""
    model.eval()
    labels = torch.tensor([[-100] * len(prompt) + answer])
    (model(input_ids=torch.tensor([prompt + answer]), labels=labels).loss * len(answer)).backward()
    squares = {name: as_float64(p.grad) ** 2 for name, p in trainable(model).items()}
    model.zero_grad()
    return squares


def test_ewc_is_kirkpatricks_penalty_with_the_mean_of_squared_gradients(context):
    """Kirkpatrick et al. 2017, eq. 3: Σᵢ λ/2 Fᵢ (θᵢ - θ*ᵢ)², F the mean over items of the squared gradient.

    F is scaled to a mean of 1 over all weights.
    """
    strength, fraction = 0.7, 0.25
    answer = context.label_token_ids["earlier"][0]
    context.label_token_ids = {"earlier": [answer]}  # with one label nothing is left to be drawn
    prompts = [r["input_ids"][: r["prompt_tokens"]] for r in context.earlier_rows["earlier"]]
    squares = [squared_gradients(context.model, prompt, answer) for prompt in prompts]
    fisher = {name: sum(square[name] for square in squares) / len(prompts) for name in squares[0]}
    mean = np.concatenate([value.ravel() for value in fisher.values()]).mean()
    hook = Ewc(strength=strength, items=len(prompts)).hook(context)
    # Each prompt is read for the labels' scores, and with its answer for the gradient.
    assert hook.extra_tokens == sum(2 * len(prompt) + len(answer) for prompt in prompts)
    start = move(context.model)
    penalty, gradients = penalty_and_gradients(hook, context.model, fraction)
    expected = 0.0
    for name, weight in trainable(context.model).items():
        difference = as_float64(weight) - as_float64(start[name])
        expected += fraction * strength / 2 * (fisher[name] / mean * difference**2).sum()
        gradient = fraction * strength * fisher[name] / mean * difference
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-3, atol=1e-6)
    assert penalty == pytest.approx(expected, rel=1e-4)


def test_ewc_draws_free_answers_token_by_token_from_the_parent(context, monkeypatch):
    """Of a task whose answers are generated, whole answers are drawn, up to their end or the longest gold one."""
    from stagewise.inference import generation

    context.label_token_ids = {}
    rows = context.earlier_rows["earlier"]
    drawn, generate = [], generation.generate_tokens

    def generate_and_note(*given, **options):
        drawn.append(generate(*given, **options))
        return drawn[-1]

    monkeypatch.setattr(generation, "generate_tokens", generate_and_note)
    fisher, tokens = fisher_diagonal(context, len(rows))
    again, _ = fisher_diagonal(context, len(rows))
    assert drawn[0] == drawn[1] and all(torch.equal(fisher[name], again[name]) for name in fisher)
    end = context.tokenizer.eos_token_id
    answers = [answer[: answer.index(end) + 1] if end in answer else answer for answer in drawn[0]]
    most = max(len(row["input_ids"]) - row["prompt_tokens"] for row in rows)
    assert len({tuple(answer) for answer in answers}) > 1 and max(map(len, answers)) <= most
    order = random.Random(f"fisher {context.seed}").sample(rows, len(rows))
    prompts = [row["input_ids"][: row["prompt_tokens"]] for row in order]
    squares = [squared_gradients(context.model, *pair) for pair in zip(prompts, answers, strict=True)]
    for name, value in fisher.items():
        expected = sum(square[name] for square in squares) / len(rows)
        np.testing.assert_allclose(as_float64(value), expected, rtol=1e-3, atol=1e-9)
    assert tokens == sum(2 * len(prompt) + 2 * len(answer) for prompt, answer in zip(prompts, answers, strict=True))


def test_ewc_draws_among_the_options_that_an_item_has(context):
    rows = context.earlier_rows["earlier"]
    for row in rows:
        row["options"] = 1
    answers = context.label_token_ids["earlier"]
    fisher, _ = fisher_diagonal(context, len(rows))
    prompts = [row["input_ids"][: row["prompt_tokens"]] for row in rows]
    squares = [squared_gradients(context.model, prompt, answers[0]) for prompt in prompts]
    name = next(iter(fisher))
    expected = sum(square[name] for square in squares) / len(rows)
    np.testing.assert_allclose(as_float64(fisher[name]), expected, rtol=1e-3, atol=1e-9)


def test_labels_of_the_fisher_estimate_are_drawn_from_the_models_own_distribution(context):
    """F = E over labels y ~ p(y | x) of the squared gradient: an item's estimate is a mixture with such weights."""
    items, answers = 150, context.label_token_ids["earlier"]
    item = context.earlier_rows["earlier"][0]
    context.earlier_rows = {"earlier": [item] * items}
    prompt = item["input_ids"][: item["prompt_tokens"]]
    with torch.no_grad():
        logits = [context.model(input_ids=torch.tensor([prompt + answer])).logits[0].double() for answer in answers]
    logprobs = [
        sum(float(values[len(prompt) - 1 + n].log_softmax(-1)[token]) for n, token in enumerate(answer))
        for values, answer in zip(logits, answers, strict=True)
    ]
    distribution = np.exp(np.array(logprobs) - np.logaddexp.reduce(logprobs))
    tolerance = 4 * math.sqrt(distribution.max() * (1 - distribution.max()) / items)  # standard errors of the draws
    assert distribution.max() + tolerance < 1  # or always taking the likeliest label would pass
    squares = [squared_gradients(context.model, prompt, answer) for answer in answers]
    fisher, _ = fisher_diagonal(context, items)
    columns = np.stack([np.concatenate([square[name].ravel() for name in fisher]) for square in squares], 1)
    estimate = np.concatenate([as_float64(value).ravel() for value in fisher.values()])
    weights, *_ = np.linalg.lstsq(columns, estimate, rcond=None)
    np.testing.assert_allclose(columns @ weights, estimate, rtol=1e-3, atol=1e-5 * estimate.max())
    assert weights.sum() == pytest.approx(1, abs=1e-3)
    assert np.abs(weights - distribution).max() < tolerance


# O-LoRA


def test_o_lora_keeps_the_new_directions_out_of_the_span_of_the_earlier_ones(tiny_model, parent, tokenizer, tmp_path):
    """Wang et al. 2023, the condition that its penalty on the overlap aims at: A_earlier A_newᵀ = 0.

    After a step A_new has lost its part in the rows of A_earlier, which least squares gives.
    """
    config, factors = read_adapter(parent)
    grown, generator = {}, torch.Generator().manual_seed(1)
    for name, (a, b) in factors.items():
        new = torch.randn(3, a.shape[1], generator=generator), torch.randn(len(b), 3, generator=generator)
        grown[name] = torch.cat([a, new[0]]), torch.cat([b, new[1]], 1)
    rank = RANK + 3
    write_adapter(tmp_path, config | {"r": rank, "lora_alpha": SCALING * rank}, grown)
    model = load_adapter(load_base(tiny_model, "none", "float32"), tmp_path, trainable=True)
    Orthogonal().hook(TrainingContext(model, tokenizer, [], {}, {}, 0, Lora(r=3, alpha=6))).after_step()
    for layer in adapted_layers(model):
        a, new = as_float64(factors[layer.name][0]), as_float64(grown[layer.name][0][RANK:])
        inside = np.linalg.lstsq(a.T, new.T, rcond=None)[0].T @ a
        assert np.abs(inside).max() > 0.1
        np.testing.assert_allclose(as_float64(layer.a)[RANK:], new - inside, atol=1e-5)
        assert np.abs(a @ as_float64(layer.a)[RANK:].T).max() < 1e-5
        np.testing.assert_array_equal(as_float64(layer.a)[:RANK], a)
        np.testing.assert_array_equal(as_float64(layer.b), as_float64(grown[layer.name][1]))


# WiSE-FT


def test_a_blend_is_wise_fts_interpolation_of_the_updates(tiny_model, parent, tmp_path):
    """Wortsman et al. 2022, section 3: θ = (1 - α) θ₀ + α θ₁; base weights are common, so updates are interpolated.

    The child has another rank and another scaling.
    """
    config, factors = read_adapter(parent)
    generator = torch.Generator().manual_seed(3)
    child = {
        name: (torch.randn(6, a.shape[1], generator=generator), torch.randn(len(b), 6, generator=generator))
        for name, (a, b) in factors.items()
    }
    write_adapter(tmp_path / "child", config | {"r": 6, "lora_alpha": 3}, child)
    (tmp_path / "blend").mkdir()
    Blend(alpha=0.3).merge([parent, tmp_path / "child"], tmp_path / "blend", None, 0)
    blend_config, blended = read_adapter(tmp_path / "blend")
    assert blended.keys() == factors.keys()
    for name, (a, b) in blended.items():
        update = blend_config["lora_alpha"] / blend_config["r"] * as_float64(b) @ as_float64(a)
        first = SCALING * as_float64(factors[name][1]) @ as_float64(factors[name][0])
        second = 3 / 6 * as_float64(child[name][1]) @ as_float64(child[name][0])
        np.testing.assert_allclose(update, 0.7 * first + 0.3 * second, rtol=1e-4, atol=1e-5)


# Balanced


def king_zeng_weights(labels: list[int]) -> np.ndarray:
    """King & Zeng 2001, weighted log-likelihood: w = τ / ȳ for a label's items, here with one τ = 1 / K for each."""
    shares = Counter(labels)
    return np.array([(1 / len(shares)) / (shares[label] / len(labels)) for label in labels])


@pytest.mark.parametrize("passes", [1, 3, 12])
def test_balanced_weights_make_the_loss_king_and_zengs_weighted_mean(passes):
    """Σ wᵢ nllᵢ / tokens over a step, however it is split, in place of the trainer's Σ nllᵢ / tokens."""
    stage = rows("one", 8, 3, 1)
    context = SimpleNamespace(rows=stage)
    hook = Balanced(by="weights").hook(context)
    nll = torch.linspace(0.2, 3, 12, dtype=torch.float64, requires_grad=True)
    tokens = 30.0
    total = nll.sum() / tokens
    for numbers in np.split(np.random.default_rng(0).permutation(12), passes):
        total = total + hook.loss(SimpleNamespace(row_numbers=numbers.tolist(), nll=nll[numbers], loss_tokens=tokens))
    weights = king_zeng_weights([r["label"] for r in stage])
    total.backward()
    assert float(total.detach()) == pytest.approx(float(weights @ as_float64(nll)) / tokens)
    np.testing.assert_allclose(nll.grad.numpy(), weights / tokens, rtol=1e-6)


def test_balanced_weights_are_those_of_each_task_and_leave_its_part_of_the_loss():
    stage = rows("one", 8, 3, 1) + rows("two", 2, 6)
    weights = np.array(Balanced(by="weights").hook(SimpleNamespace(rows=stage)).weights)
    np.testing.assert_allclose(weights[:12], king_zeng_weights([r["label"] for r in stage[:12]]))
    np.testing.assert_allclose(weights[12:], king_zeng_weights([r["label"] for r in stage[12:]]))
    assert weights[:12].sum() == pytest.approx(12) and weights[12:].sum() == pytest.approx(8)


def test_balanced_sampling_draws_each_label_as_often_as_its_weight_says():
    """A label's n_k items are drawn w n_k = n / K times together, each as often as another, give or take one."""
    stage = rows("one", 14, 6, 1)
    drawn = Counter(str(r["input_ids"]) for r in resample(stage, seed=0))
    for label in range(3):
        times = [drawn[str(r["input_ids"])] for r in stage if r["label"] == label]
        assert sum(times) == 7 and max(times) - min(times) <= 1


# Multitask


@pytest.mark.parametrize(("items", "epochs"), [([32, 40], 3), ([33, 1], 2.5), ([7], 1)])
def test_a_multitask_stage_takes_the_steps_of_its_tasks_one_after_the_other(items, epochs):
    training = Training(batch_size=4, gradient_accumulation=2, epochs=epochs)
    one_by_one = sum(math.ceil(Fraction(epochs) * len(range(0, count, 8))) for count in items)
    assert total_steps(training, items) == one_by_one
    assert total_steps(training, items) == sum(total_steps(training, [count]) for count in items)
