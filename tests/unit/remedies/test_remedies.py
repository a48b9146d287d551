"""Every remedy does what it says, on two small tasks that contradict each other."""

from collections import Counter

import numpy as np
import pytest
from safetensors.numpy import load_file

from stagewise.data.items import read_split
from stagewise.models.adapters import ADAPTER_WEIGHTS, read_adapter
from stagewise.provenance.files import sha256_file
from stagewise.recipe import Recipe
from stagewise.remedies import balanced, rehearsal
from tests.helpers.contradicting_tasks import AdapterFolder, task_settings, write_data


@pytest.fixture(scope="module")
def adapters(tmp_path_factory, tiny_model) -> AdapterFolder:
    """The first task learnt by ``one``, then forgotten by ``sequential``; ``two`` learnt the second task alone."""
    folder = tmp_path_factory.mktemp("remedies")
    adapters = AdapterFolder(folder, tiny_model, write_data(folder / "data"))
    adapters.train("one", "first", epochs=8)
    adapters.train("sequential", "second", "one", ["first"])
    adapters.train("two", "second")
    return adapters


def child(adapters: AdapterFolder, name: str, **remedy) -> dict:
    """A second stage with a remedy; it takes as many steps as ``sequential``."""
    summary = adapters.train(name, "second", "one", ["first"], remedies=remedy)
    assert summary["steps"] == adapters.summary("sequential")["steps"]
    return summary


def update(adapters: AdapterFolder, name: str) -> dict[str, np.ndarray]:
    """Each layer's weight update (alpha / r) B A."""
    config, factors = read_adapter(adapters.adapter(name))
    return {n: config["lora_alpha"] / config["r"] * (b @ a).numpy() for n, (a, b) in factors.items()}


def test_without_a_remedy_the_first_task_is_forgotten(adapters):
    assert adapters.accuracy("one", "first") >= 0.9
    assert adapters.accuracy("sequential", "first") < 0.3
    assert adapters.accuracy("sequential", "second") >= 0.9
    log = (adapters.adapter("sequential") / "training_log.csv").read_text()
    # The earlier task is watched from before the first step on.
    assert "\n0,0,validation,accuracy:first,1.0\n" in log
    assert log.count("validation,macro_f1:first") == log.count("validation,macro_f1,") == 5


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("rehearsal", {"rehearsal": {"share": 0.25}}),
        ("anchor", {"anchor": {"strength": 1}}),
        ("anchor-factors", {"anchor": {"strength": 1, "of": "factors"}}),
        ("ewc", {"ewc": {"strength": 3, "items": 16}}),
        ("distill-rehearsal", {"distill": {"inputs": "rehearsal", "share": 0.5, "strength": 3}}),
        ("both", {"rehearsal": {"share": 0.1}, "anchor": {"strength": 0.3}}),
    ],
)
def test_less_is_forgotten_in_as_many_steps(adapters, name, remedy):
    summary = child(adapters, name, **remedy)
    assert adapters.accuracy(name, "first") >= adapters.accuracy("sequential", "first") + 0.4
    assert adapters.accuracy(name, "second") >= 0.75
    beside = {"rehearsal", "distill"} & set(remedy)
    assert (summary["rehearsed"] > 0) == bool(beside)
    assert (summary["extra_tokens"] > 0) == bool({"ewc", "distill"} & set(remedy))


def test_distillation_on_the_stages_inputs_keeps_the_parents_label_distribution(adapters):
    child(adapters, "distill", distill={"strength": 3})
    parent, plain, distilled = (
        np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
        for scores, _ in (adapters.logprobs(name, "first") for name in ("one", "sequential", "distill"))
    )
    assert np.abs(distilled - parent).mean() < 0.5 * np.abs(plain - parent).mean()
    assert adapters.accuracy("distill", "first") > adapters.accuracy("sequential", "first")


def test_distillation_starts_at_no_divergence(adapters, tiny_model):
    """Teacher and student are one model before the first step."""
    import torch

    from stagewise.models.adapters import load_adapter
    from stagewise.models.load import load_base, load_tokenizer
    from stagewise.remedies.base import Batch
    from stagewise.training import stage_data

    tasks = {task: task_settings(adapters.data, task) for task in ("first", "second")}
    adapters.recipe("start", ["one"], learns=["second"], tasks=tasks, remedies={"distill": {}})
    recipe = Recipe.read(adapters.folder / "start" / "recipe.json")
    tokenizer = load_tokenizer(tiny_model)
    stage = stage_data.load_stage_data(recipe, tokenizer, adapters.data)
    model = load_adapter(load_base(tiny_model, "none", "float32"), adapters.adapter("one"), trainable=True)
    (hook,) = stage_data.training_hooks(recipe, stage, model, tokenizer)
    model.eval()
    for row in (0, 5):
        ids = torch.tensor([stage.rows[row]["input_ids"]])
        hidden = model.get_base_model().base_model(input_ids=ids).last_hidden_state
        batch = Batch([row], torch.zeros(1), 1.0, 1.0, 1.0, hidden, model.get_output_embeddings().weight)
        assert float(hook.loss(batch).detach()) == pytest.approx(0, abs=1e-6)
        hook.targets["first"][row] = torch.tensor([0.0, 0.0, 1.0])
        assert float(hook.loss(batch).detach()) > 1e-3


def test_the_anchors_distance_on_the_product_is_that_of_the_updates():
    import torch

    from stagewise.models.adapters import Layer
    from stagewise.remedies.anchor import factor_distance, product_distance

    draw = torch.Generator().manual_seed(0)
    a, b, a0, b0 = (torch.randn(*shape, generator=draw) for shape in ((3, 9), (7, 3), (3, 9), (7, 3)))
    layer = Layer("x", a, b, 2.0)
    assert float(product_distance(layer, a0, b0)) == pytest.approx(
        float((2 * (b @ a - b0 @ a0)).square().sum()), rel=1e-5
    )
    assert float(factor_distance(layer, a0, b0)) == pytest.approx(
        float((a - a0).square().sum() + (b - b0).square().sum())
    )
    # Another factorization of the same update is no distance on the product.
    assert float(product_distance(Layer("x", 2 * a, b / 2, 2.0), a, b)) == pytest.approx(0, abs=1e-3)


def test_the_fisher_estimate_is_the_mean_squared_gradient(adapters, tiny_model):
    """With one possible label nothing is drawn, and transformers' own loss gives the gradient."""
    import torch

    from stagewise.config.training import Lora
    from stagewise.models.adapters import load_adapter
    from stagewise.models.load import load_base, load_tokenizer
    from stagewise.remedies.base import TrainingContext
    from stagewise.remedies.ewc import fisher_diagonal

    model = load_adapter(load_base(tiny_model, "none", "float32"), adapters.adapter("one"), trainable=True)
    tokenizer = load_tokenizer(tiny_model)
    answer = [*tokenizer("yes", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    prompts = [tokenizer(text)["input_ids"] for text in ("Does the treatment help?", "Today was a calm day.")]
    rows = [{"input_ids": p + answer, "labels": [], "task": "t", "label": 0, "prompt_tokens": len(p)} for p in prompts]
    fisher, tokens = fisher_diagonal(TrainingContext(model, tokenizer, [], {"t": rows}, {"t": [answer]}, 0, Lora()), 2)
    assert tokens > 0
    expected = {name: torch.zeros_like(p) for name, p in model.named_parameters() if p.requires_grad}
    model.eval()
    for prompt in prompts:
        labels = torch.tensor([[-100] * len(prompt) + answer])
        (model(input_ids=torch.tensor([prompt + answer]), labels=labels).loss * len(answer)).backward()
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                expected[name] += parameter.grad**2 / 2
                parameter.grad = None
    for name, value in expected.items():
        assert torch.allclose(fisher[name], value, rtol=1e-3, atol=1e-10), name


def test_new_directions_are_orthogonal_to_all_earlier_ones(adapters):
    child(adapters, "orthogonal", orthogonal={})
    adapters.train("orthogonal-again", "first", "orthogonal", ["second"], remedies={"orthogonal": {}})
    before, middle, after = (
        load_file(adapters.adapter(n) / ADAPTER_WEIGHTS) for n in ("one", "orthogonal", "orthogonal-again")
    )
    for name, parent in before.items():
        rank = 4
        if "lora_A" in name:
            assert np.array_equal(middle[name][:rank], parent) and np.array_equal(after[name][: 2 * rank], middle[name])
            for old, new in ((parent, middle[name][rank:]), (middle[name], after[name][2 * rank :])):
                assert np.abs(new @ old.T).max() < 1e-5
                assert np.linalg.matrix_rank(new) == rank
        else:
            assert np.array_equal(middle[name][:, :rank], parent)
            assert np.abs(middle[name][:, rank:]).max() > 0
    assert adapters.accuracy("orthogonal", "second") >= 0.9


def test_an_interrupted_orthogonal_stage_resumes_to_the_same_bytes(adapters, monkeypatch):
    from transformers import TrainerCallback

    from stagewise.training import trainer

    class Interrupt(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            if state.global_step == 13:
                raise KeyboardInterrupt

    original = trainer.StageTrainer.__init__

    def interrupted(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.add_callback(Interrupt())

    settings = {"remedies": {"orthogonal": {}, "rehearsal": {}}, "eval_every": 4}
    adapters.train("whole", "second", "one", ["first"], seed=1, **settings)
    cut = AdapterFolder(adapters.folder / "cut", adapters.model, adapters.data)
    (adapters.folder / "cut" / "one").parent.mkdir()
    (adapters.folder / "cut" / "one").symlink_to(adapters.folder / "one")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer.StageTrainer, "__init__", interrupted)
        cut.train("whole", "second", "one", ["first"], seed=1, **settings)
    assert cut.train("whole", "second", "one", ["first"], seed=1, **settings)["resumed_from_step"] == 12
    assert cut.summary("whole")["tokens"] == adapters.summary("whole")["tokens"]
    assert sha256_file(cut.adapter("whole") / ADAPTER_WEIGHTS) == sha256_file(
        adapters.adapter("whole") / ADAPTER_WEIGHTS
    )


def test_blending_runs_from_parent_to_child(adapters):
    for name, alpha in {"blend-0": 0, "blend-0.25": 0.25, "blend-1": 1}.items():
        summary = adapters.merge(name, ["one", "sequential"], blend={"alpha": alpha})
        assert summary["steps"] == summary["tokens"] == 0
    for end, name in {"one": "blend-0", "sequential": "blend-1"}.items():
        assert sha256_file(adapters.adapter(name) / ADAPTER_WEIGHTS) == sha256_file(
            adapters.adapter(end) / ADAPTER_WEIGHTS
        )
    parent, kid, blend = update(adapters, "one"), update(adapters, "sequential"), update(adapters, "blend-0.25")
    for name, blended in blend.items():
        np.testing.assert_allclose(blended, 0.75 * parent[name] + 0.25 * kid[name], atol=1e-6)
    assert adapters.accuracy("blend-0.25", "first") > adapters.accuracy("sequential", "first")


@pytest.mark.parametrize("method", ["ties_svd", "magnitude_prune_svd", "ties", "magnitude_prune"])
def test_merging_is_pefts_where_nothing_is_drawn(adapters, tiny_model, monkeypatch, method):
    """And is done on the files alone: no base model is loaded, which takes minutes for a large one."""
    import torch
    from peft import PeftModel

    from stagewise.models import load

    base = load.load_base(tiny_model, "none", "float32")
    with monkeypatch.context() as patch:
        patch.delattr(load, "load_base")
        summary = adapters.merge(f"merge-{method}", ["one", "two"], merge={"method": method, "density": 0.75})
    assert ("kept_share" in summary) == method.endswith("_svd")
    card = (adapters.adapter(f"merge-{method}") / "README.md").read_text()
    assert ("squared norm that the rank keeps" in card) == method.endswith("_svd")
    assert f"| LoRA | r {8 if method.endswith('_svd') else 4}, alpha" in card
    model = PeftModel.from_pretrained(base, adapters.adapter("one"), "a")
    model.load_adapter(adapters.adapter("two"), "b")
    given = {"combination_type": method, "density": 0.75, "svd_rank": 8}
    model.add_weighted_adapter(["a", "b"], [1.0, 1.0], "merged", **given)
    model.set_adapter("merged")
    ids = torch.tensor([[5, 9, 30, 71, 100]])
    with torch.no_grad():
        expected, merged = model.eval()(ids).logits, adapters.load(f"merge-{method}")(ids).logits
    torch.testing.assert_close(merged, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(merged, adapters.load("one")(ids).logits, atol=1e-2)


def test_remedies_act_together_on_a_quantized_model(tmp_path, tiny_model):
    adapters = AdapterFolder(tmp_path, tiny_model, write_data(tmp_path / "data"), quantization="nf4")
    adapters.train("one", "first", epochs=1)
    together = {"rehearsal": {}, "anchor": {}, "ewc": {"items": 2}, "distill": {}, "balanced": {"by": "weights"}}
    summary = adapters.train("two", "second", "one", ["first"], epochs=1, remedies=together | {"orthogonal": {}})
    assert summary["steps"] == 8 and summary["rehearsed"] > 0 and summary["extra_tokens"] > 0
    for name, factor in load_file(adapters.adapter("two") / ADAPTER_WEIGHTS).items():
        assert factor.shape[0 if "lora_A" in name else 1] == 8 and np.isfinite(factor).all()


def rows(**counts) -> list[dict]:
    """Rows of one task with so many of each label."""
    made = [(label, n) for label, count in enumerate(counts.values()) for n in range(count)]
    return [
        {"task": "t", "label": label, "input_ids": [label, n], "labels": [], "prompt_tokens": 1} for label, n in made
    ]


def test_rehearsal_keeps_label_shares_and_larger_shares_contain_smaller_ones():
    items = rows(yes=60, no=30, maybe=10)
    ten, quarter = (rehearsal.draw_share(items, share, seed=3) for share in (0.1, 0.25))
    assert Counter(row["label"] for row in ten) == {0: 6, 1: 3, 2: 1}
    assert [row for row in quarter if row in ten] == ten
    assert rehearsal.draw_share(items, 0.1, seed=3) == ten != rehearsal.draw_share(items, 0.1, seed=4)
    assert Counter(r["label"] for r in rehearsal.draw_share(items, 0.01, 0)) == {0: 1, 1: 1, 2: 1}


def test_rehearsal_trains_on_training_items_alone(adapters):
    """Validation and test hold other numbers of items, and only train.jsonl's texts may be met."""
    from stagewise.models.load import load_tokenizer
    from stagewise.training import stage_data

    child(adapters, "all", rehearsal={"share": 1})
    recipe = Recipe.read(adapters.folder / "all" / "recipe.json")
    tokenizer = load_tokenizer(adapters.model)
    stage = stage_data.load_stage_data(recipe, tokenizer, adapters.data)
    train = read_split(adapters.data / "first" / "train.jsonl", recipe.tasks["first"].words)
    met = [tokenizer.decode(row["input_ids"]) for row in stage.rows if row["task"] == "first"]
    assert len(met) == len(train)
    assert all(item["fields"]["text"] in text for item, text in zip(train, met, strict=True))


def test_balanced_sampling_and_weights_give_every_label_the_same_weight():
    from sklearn.utils.class_weight import compute_sample_weight

    skewed = rows(yes=14, no=6, maybe=1)
    drawn = balanced.resample(skewed, seed=0)
    assert Counter(row["label"] for row in drawn) == {0: 7, 1: 7, 2: 7}
    # No row of a label comes twice more often than another.
    times = Counter(tuple(row["input_ids"]) for row in drawn)
    assert max(times[1, n] for n in range(6)) - min(times[1, n] for n in range(6)) <= 1
    expected = compute_sample_weight("balanced", [row["label"] for row in skewed])
    np.testing.assert_allclose(balanced.class_weights(skewed), expected)


def test_a_multitask_stage_takes_as_many_steps_as_its_tasks_one_after_the_other(adapters):
    both = adapters.train("both", ["first", "second"], epochs=6)
    assert both["steps"] == 6 * 32 // 4 + 6 * 32 // 4
    assert min(adapters.accuracy("both", task) for task in ("first", "second")) >= 0.8


@pytest.mark.parametrize("by", ["sampling", "weights"])
def test_a_rare_label_is_learnt_sooner_when_balanced(tmp_path, tiny_model, by):
    adapters = AdapterFolder(tmp_path, tiny_model, write_data(tmp_path / "data", {"yes": 28, "no": 28, "maybe": 4}))
    for seed in (0, 1):
        share = {}
        for name, settings in {"plain": {}, "balanced": {"balanced": {"by": by}}}.items():
            adapters.train(f"{name}-{seed}", "first", seed=seed, epochs=3, remedies=settings)
            scores, gold = adapters.logprobs(f"{name}-{seed}", "first", "train")
            probabilities = np.exp(scores - np.logaddexp.reduce(scores, 1, keepdims=True))
            share[name] = probabilities[np.array(gold) == 2, 2].mean()
        assert share["balanced"] > share["plain"] + 0.05
