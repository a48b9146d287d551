"""Distillation is the divergence over an earlier task's whole label answers, from the model's own logits."""

from weakref import WeakKeyDictionary

import pytest
import torch
from safetensors.numpy import load_file
from transformers import TrainerCallback

from stagewise.errors import InputError
from stagewise.inference import likelihood
from stagewise.remedies import distill
from stagewise.training import trainer
from tests.helpers.contradicting_tasks import AdapterFolder, write_data
from tests.helpers.model_families import FAMILIES, adapted_family
from tests.helpers.remedy_context import TEXTS, encode_words, make_batch, make_context, make_hook, move, trainable

# Two earlier tasks; answers that begin alike, within a task and between two.
TASKS = {"old": ("yes", "no", "maybe"), "older": ("no stress at all", "no", "stress"), "new": ("stress", "no stress")}


def answer_scores(model, prompt: list[int], answers: list[list[int]]):
    """Log-probabilities of whole answers, each read alone, with their gradient."""
    scores = []
    for answer in answers:
        logprobs = model(input_ids=torch.tensor([prompt + answer]), use_cache=False).logits[0].double().log_softmax(-1)
        scores.append(sum(logprobs[len(prompt) + n - 1, token] for n, token in enumerate(answer)))
    return torch.stack(scores)


def lwf_term(parent_scores, student_scores, strength: float, temperature: float):
    """Li & Hoiem 2016, equations 2 and 3 as a divergence, times T squared (Hinton et al. 2015, section 2)."""
    old = torch.stack([scores.exp() for scores in parent_scores]) ** (1 / temperature)
    new = torch.stack([scores.exp() for scores in student_scores]) ** (1 / temperature)
    old, new = old / old.sum(1, keepdim=True), new / new.sum(1, keepdim=True)
    return strength * temperature**2 * (old * (old.log() - new.log())).sum() / len(old)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_student_that_is_its_teacher_has_divergence_0(name):
    context = make_context(adapted_family(name), TASKS)
    hook, batch = make_hook("distill", context, temperature=1), make_batch(context, [0, 1, 2])
    for mode in (True, False):
        context.model.train(mode)
        assert hook.loss(batch).item() == pytest.approx(0, abs=1e-6)
    move(context.model)
    assert hook.loss(batch).item() > 1e-3


@pytest.mark.parametrize("way", ["trees", "prompts again"])
@pytest.mark.parametrize("name", FAMILIES)
def test_value_and_gradient_are_the_formulas(name, way, monkeypatch):
    if way == "prompts again":
        monkeypatch.setattr(likelihood, "longest_tree", lambda model: 0)
        monkeypatch.setattr(likelihood, "_tree_lengths", WeakKeyDictionary())
    context = make_context(adapted_family(name), TASKS)
    model, answers = context.model, context.label_token_ids
    prompts = [row["input_ids"][: row["prompt_tokens"]] for row in context.rows]
    with torch.no_grad():
        parent = {
            task: [answer_scores(model, prompt, answers[task]) for prompt in prompts] for task in ("old", "older")
        }
    hook = make_hook("distill", context, strength=0.7, temperature=3)
    move(model)
    student = {task: [answer_scores(model, prompt, answers[task]) for prompt in prompts] for task in parent}
    expected = sum(lwf_term(parent[task], student[task], 0.7, 3) for task in parent)
    term = hook.loss(make_batch(context, [0, 1, 2]))
    assert term.item() == pytest.approx(expected.item(), rel=1e-4)
    for mine, theirs in zip(
        torch.autograd.grad(term, trainable(model)), torch.autograd.grad(expected, trainable(model)), strict=True
    ):
        torch.testing.assert_close(mine, theirs.float(), rtol=1e-3, atol=1e-5)


def test_the_term_does_not_depend_on_passes(monkeypatch):
    context = make_context(adapted_family("Granite"), TASKS)
    hook = make_hook("distill", context)
    move(context.model)

    def term_and_gradient(passes):
        terms = [hook.loss(make_batch(context, numbers, step_rows=3)) for numbers in passes]
        return sum(term.item() for term in terms), torch.autograd.grad(sum(terms), trainable(context.model))

    value, gradient = term_and_gradient([[0, 1, 2]])
    for passes, tokens in (([[0], [1], [2]], 4096), ([[2, 0], [1]], 4096), ([[0, 1, 2]], 1)):
        monkeypatch.setattr(distill, "_TOKENS_PER_BATCH", tokens)
        other, others = term_and_gradient(passes)
        assert other == pytest.approx(value, rel=1e-5)
        for one, two in zip(gradient, others, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def learn_beside_distillation(of_answers: slice) -> tuple[float, float]:
    """Learn ``no stress`` after a parent with .55 yes, .35 no, .10 maybe; return its probability and the divergence.

    The parent's distribution is over a part of the tokens of each answer.
    """
    context = make_context(adapted_family("Llama"), texts=TEXTS[:1])
    model, answers = context.model, context.label_token_ids
    model.get_output_embeddings().weight *= 3  # or so small a model could not be sure of anything
    prompt, gold = context.rows[0]["input_ids"][: context.rows[0]["prompt_tokens"]], answers["new"][1]
    answers["old"] = [answer[of_answers] for answer in answers["old"]]
    hook, batch = make_hook("distill", context, temperature=1), make_batch(context, [0])
    hook.targets["old"][0] = torch.tensor([0.55, 0.35, 0.10])
    optimizer = torch.optim.Adam(trainable(model), lr=2e-2)
    for _ in range(50):
        optimizer.zero_grad()
        (hook.loss(batch) - answer_scores(model, prompt, [gold])[0]).backward()
        optimizer.step()
    return answer_scores(model, prompt, [gold])[0].exp().item(), hook.loss(batch).item()


def test_the_stages_own_answer_is_free():
    """``no stress`` is learnt while the ratios of ``yes``, ``no`` and ``maybe`` stay as they were.

    A distribution over first tokens gives "no" back what the parent gave it: -log q + KL is least at q = (1 + .35) / 2.
    """
    gold, divergence = learn_beside_distillation(slice(None))
    assert gold > 0.97 and divergence < 0.02
    gold, divergence = learn_beside_distillation(slice(1))
    assert gold < 0.7 and divergence > 0.1


def test_what_could_not_act_is_refused():
    model = adapted_family("Llama")
    context = make_context(model, {"old": ("yes",), "new": ("yes", "no")})
    with pytest.raises(InputError, match=r"remedies\.distill: old has one label answer alone"):
        make_hook("distill", context)
    context = make_context(model, {"new": ("yes", "no")})
    with pytest.raises(InputError, match=r"remedies\.distill: the stage has no earlier task"):
        make_hook("distill", context)
    with pytest.raises(InputError, match=r"remedies\.distill: no training row is left"):
        make_hook("distill", make_context(model), inputs="rehearsal")  # whose rows another remedy has taken out
    trainable(model)[0].data[:] = float("nan")
    with pytest.raises(InputError, match=r"remedies\.distill: a label's log-probability is not finite"):
        make_hook("distill", make_context(model))


@pytest.fixture(scope="module")
def adapters(tmp_path_factory, tiny_model) -> AdapterFolder:
    folder = tmp_path_factory.mktemp("distill")
    adapters = AdapterFolder(folder, tiny_model, write_data(folder / "data", {"yes": 4, "no": 4, "maybe": 2}))
    adapters.train("one", "first", epochs=1)
    return adapters


class InterruptLate(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == 7:
            raise KeyboardInterrupt


def test_an_interrupted_training_counts_all_tokens_and_ends_in_the_same_bytes(adapters, monkeypatch):
    settings = {"remedies": {"distill": {}, "kl": {}}, "eval_every": 4, "epochs": 1, "batch_size": 4}
    adapters.train("entire", "second", "one", ["first"], **settings)
    read = []
    original, scored = trainer.StageTrainer.__init__, distill.DistillationLoss.loss
    cut = AdapterFolder(adapters.folder / "cut", adapters.model, adapters.data)
    cut.folder.mkdir()
    (cut.folder / "one").symlink_to(adapters.folder / "one")

    def interrupted(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.add_callback(InterruptLate())

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer.StageTrainer, "__init__", interrupted)
        cut.train("entire", "second", "one", ["first"], **settings)

    def recorded(self, batch):
        read.extend(self.extra_tokens_of_row[number] for number in batch.row_numbers)
        return scored(self, batch)

    monkeypatch.setattr(distill.DistillationLoss, "loss", recorded)
    summary = cut.train("entire", "second", "one", ["first"], **settings)
    assert summary["resumed_from_step"] == 4 and len(read) == 16
    assert summary["extra_tokens"] == adapters.summary("entire")["extra_tokens"] > 2 * sum(read)
    one, two = (load_file(folder.adapter("entire") / "adapter_model.safetensors") for folder in (adapters, cut))
    assert all((one[name] == two[name]).all() for name in one)


def test_tokens_are_those_of_prompts_and_answers():
    """The parent reads each row once, the student at every step: a prompt and the answers' nodes."""
    context = make_context(adapted_family("Llama"))
    hook = make_hook("distill", context)
    answers = encode_words(("yes", "no", "maybe"))
    nodes = len({tuple(answer[:end]) for answer in answers for end in range(1, len(answer))})
    read = [row["prompt_tokens"] + nodes for row in context.rows]
    assert hook.extra_tokens_of_row == read and hook.extra_tokens == sum(read)
