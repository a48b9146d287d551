"""The divergence from the parent's next-token distributions at the answers of the stage's own items."""

import pytest
import torch

from stagewise.errors import InputError
from stagewise.remedies import kl
from stagewise.remedies.kl import Kl
from tests.helpers.model_families import FAMILIES, adapted_family
from tests.helpers.remedy_context import make_batch, make_context, make_hook, move, trainable


def answer_distributions(model, row: dict):
    """Log-probabilities of the next token at the positions that predict a row's answer, (positions, vocabulary)."""
    ids = torch.tensor([row["input_ids"]])
    return model(input_ids=ids, use_cache=False).logits[0, row["prompt_tokens"] - 1 : -1].double().log_softmax(-1)


def divergence(parent, student, direction: str):
    """The sum over tokens of p log(p / q) at each position: p is the parent's distribution, or the student's."""
    p, q = (parent, student) if direction == "forward" else (student, parent)
    return (p.exp() * (p - q)).sum(-1)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_student_that_is_its_parent_has_divergence_0(name):
    context = make_context(adapted_family(name))
    hook = make_hook("kl", context)
    assert hook.loss(make_batch(context, [2, 0, 1])).item() == pytest.approx(0, abs=1e-6)
    move(context.model)
    assert hook.loss(make_batch(context, [2, 0, 1])).item() > 1e-3


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("name", FAMILIES)
def test_value_and_gradient_are_the_formulas(name, direction):
    """A mean over each row's answer tokens, and over the rows of the step."""
    context = make_context(adapted_family(name))
    model, rows = context.model, context.rows
    with torch.no_grad():
        parent = [answer_distributions(model, row) for row in rows]
    hook = make_hook("kl", context, strength=0.3, direction=direction)
    move(model)
    student = [answer_distributions(model, row) for row in rows]
    assert len({len(positions) for positions in student}) > 1, "answers of other lengths"
    expected = 0.3 * sum(divergence(*both, direction).mean() for both in zip(parent, student, strict=True)) / 3
    term = hook.loss(make_batch(context, [1, 2, 0]))
    assert term.item() == pytest.approx(expected.item(), rel=1e-4)
    for mine, theirs in zip(
        torch.autograd.grad(term, trainable(model)), torch.autograd.grad(expected, trainable(model)), strict=True
    ):
        torch.testing.assert_close(mine, theirs.float(), rtol=1e-3, atol=1e-5)


def test_the_term_does_not_depend_on_passes(monkeypatch):
    context = make_context(adapted_family("Cohere"))
    one = make_hook("kl", context)
    monkeypatch.setattr(kl, "_TOKENS_PER_BATCH", 1)
    other = make_hook("kl", context)
    move(context.model)
    expected = one.loss(make_batch(context, [0, 1, 2])).item()
    parts = [one.loss(make_batch(context, numbers, step_rows=3)).item() for numbers in ([0, 2], [1])]
    assert sum(parts) == pytest.approx(expected, rel=1e-5)
    assert other.loss(make_batch(context, [0, 1, 2])).item() == pytest.approx(expected, rel=1e-5)


def test_rows_of_earlier_tasks_are_left_out():
    context = make_context(adapted_family("Llama"))
    context.rows = [context.rows[0], *context.earlier_rows["old"], context.rows[1]]
    hook = make_hook("kl", context)
    assert hook.extra_tokens == sum(len(context.rows[n]["input_ids"]) - 1 for n in (0, 4))
    move(context.model)
    assert hook.loss(make_batch(context, [1, 2])) is None
    mixed = hook.loss(make_batch(context, [1, 4, 2, 0])).item()
    assert mixed == pytest.approx(hook.loss(make_batch(context, [0, 4], step_rows=4)).item(), rel=1e-5)


def test_a_parent_without_numbers_is_refused():
    model = adapted_family("Llama")
    trainable(model)[0].data[:] = float("nan")
    with pytest.raises(InputError, match=r"remedies\.kl: a hidden state is not finite"):
        make_hook("kl", make_context(model))


def test_the_models_mode_is_kept():
    model = adapted_family("Llama", dropout=0.5).train()
    hook, again = make_hook("kl", make_context(model)), make_hook("kl", make_context(model))
    assert model.training
    assert all(torch.equal(states, again.states[number]) for number, states in hook.states.items()), "without dropout"


def test_folders_are_named_after_strength_and_direction():
    assert (Kl().label, Kl(strength=2, direction="reverse").label) == ("kl-0.1", "kl-reverse-2")
