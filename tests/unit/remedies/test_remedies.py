"""Stages with remedies: steps, tokens, files and distributions; formulas and effects have tests of their own."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from stagewise.data.items import read_split
from stagewise.models.adapters import ADAPTER_WEIGHTS, read_adapter
from stagewise.provenance.files import sha256_file
from stagewise.recipe import Recipe
from tests.helpers.contradicting_tasks import AdapterFolder, write_data


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
        ("ewc", {"ewc": {"strength": 3, "items": 16}}),
        ("gpm", {"gpm": {"threshold": 0.8}}),
        ("distill-rehearsal", {"distill": {"inputs": "rehearsal", "share": 0.5, "strength": 3}}),
        ("kl", {"kl": {"strength": 0.5}}),
    ],
)
def test_a_remedy_adds_no_steps_and_counts_what_it_reads_beside_them(adapters, name, remedy):
    summary = child(adapters, name, **remedy)
    assert (summary["rehearsed"] > 0) == bool({"rehearsal", "distill"} & set(remedy))
    assert (summary["extra_tokens"] > 0) == bool({"ewc", "gpm", "distill", "kl"} & set(remedy))


def test_distillation_on_the_stages_inputs_keeps_the_parents_label_distribution(adapters):
    child(adapters, "distill", distill={"strength": 3})
    parent, plain, distilled = (
        np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
        for scores, _ in (adapters.logprobs(name, "first") for name in ("one", "sequential", "distill"))
    )
    assert np.abs(distilled - parent).mean() < 0.5 * np.abs(plain - parent).mean()
    assert adapters.accuracy("distill", "first") > adapters.accuracy("sequential", "first")


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


@pytest.mark.parametrize("remedy", ["orthogonal", "gpm", "minor"])
def test_an_interrupted_stage_with_a_new_lora_resumes_to_the_same_bytes(adapters, monkeypatch, remedy):
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

    settings = {"remedies": {remedy: {}, "rehearsal": {}}, "eval_every": 4, "epochs": 2, "weight_decay": 0.1}
    name = f"{remedy}-interrupted"
    adapters.train(name, "second", "one", ["first"], seed=1, **settings)
    cut = AdapterFolder(adapters.folder / "cut" / remedy, adapters.model, adapters.data)
    cut.folder.mkdir(parents=True)
    (cut.folder / "one").symlink_to(adapters.folder / "one")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer.StageTrainer, "__init__", interrupted)
        cut.train(name, "second", "one", ["first"], seed=1, **settings)
    assert cut.train(name, "second", "one", ["first"], seed=1, **settings)["resumed_from_step"] == 12
    assert cut.summary(name)["tokens"] == adapters.summary(name)["tokens"]
    assert sha256_file(cut.adapter(name) / ADAPTER_WEIGHTS) == sha256_file(adapters.adapter(name) / ADAPTER_WEIGHTS)


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
    together = {
        "rehearsal": {},
        "anchor": {},
        "ewc": {"items": 2},
        "distill": {},
        "kl": {},
        "balanced": {"by": "weights"},
    }
    summary = adapters.train("two", "second", "one", ["first"], epochs=1, remedies=together | {"orthogonal": {}})
    assert summary["steps"] == 8 and summary["rehearsed"] > 0 and summary["extra_tokens"] > 0
    for name, factor in load_file(adapters.adapter("two") / ADAPTER_WEIGHTS).items():
        assert factor.shape[0 if "lora_A" in name else 1] == 8 and np.isfinite(factor).all()


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


def test_a_multitask_stage_takes_as_many_steps_as_its_tasks_one_after_the_other(adapters):
    both = adapters.train("both", ["first", "second"], epochs=6)
    assert both["steps"] == 6 * 32 // 4 + 6 * 32 // 4
    assert min(adapters.accuracy("both", task) for task in ("first", "second")) >= 0.8
