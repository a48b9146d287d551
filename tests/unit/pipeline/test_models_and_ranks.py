"""Two base models and two ranks through two stages in one experiment, from raw data to the report."""

import json
from collections import Counter
from pathlib import Path

import pytest

import stagewise
from stagewise.config.base import validate
from stagewise.config.experiment import Config
from stagewise.pipeline.artifacts import declared_artifacts
from stagewise.pipeline.experiment import Experiment
from stagewise.pipeline.export_report import Reported
from stagewise.provenance.files import read_json
from stagewise.recipe import Recipe
from tests.helpers.experiment_steps import ExperimentSteps
from tests.helpers.records import find
from tests.helpers.tiny_llama import build
from tests.workflow.conftest import colour_task, write_colours

pytestmark = pytest.mark.slow

ARMS = ("sequential", "r2", "other", "other-r2")
LABELS = {"colours": ["red", "green"], "warmth": ["warm", "cold"]}


def settings(models: dict[str, Path]) -> Config:
    stages = [{"task": "colours"}, {"task": "warmth"}]
    arms = {
        "sequential": {"stages": stages},
        "r2": {"lora": {"r": 2}, "stages": stages},
        "other": {"model": "other", "stages": stages},
        "other-r2": {"model": "other", "lora": {"r": 2}, "stages": stages},
    }
    tasks = {name: colour_task(f"{name}.jsonl", labels) | {"prompt": "prompt.txt"} for name, labels in LABELS.items()}
    values = {
        "experiment": "models-and-ranks",
        "results": "out",
        "model": "tiny",
        "models": {name: {"path": str(path)} for name, path in models.items()},
        "dtype": "float32",
        "tasks": tasks,
        "arms": arms,
        "lora": {"r": 4, "alpha": 8, "dropout": 0},
        "training": {
            "epochs": 2,
            "batch_size": 4,
            "gradient_accumulation": 1,
            "max_length": 96,
            "learning_rate": 0.01,
            "best_metric": "last",
        },
        "probes": {"texts": {"plain": {"path": "text.txt", "segment_tokens": 24}}},
        "evaluation": {"splits": ["test"]},
        "statistics": {"bootstrap_samples": 100},
    }
    return validate(Config, values, "models-and-ranks.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_model):
    """The configuration and the results folder."""
    folder = tmp_path_factory.mktemp("models-and-ranks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, labels in LABELS.items():
            write_colours(folder / f"{name}.jsonl", labels, count=24)
        Path("prompt.txt").write_text("{note}\nWhich one?\n", encoding="utf-8")
        Path("text.txt").write_text("".join(f"{n} days at the lake, and no stress.\n" for n in range(30)), "utf-8")
        config = settings({"tiny": tiny_model, "other": build(folder / "second", "other", seed=5)})
        ExperimentSteps(config).run()
        yield config, folder / "out"


def test_every_output_is_what_a_plan_expects(finished):
    config, _ = finished
    artifacts = [a for a in declared_artifacts(Experiment(config)) if a.rule not in ("fetch_data", "fetch_model")]
    assert Counter(a.rule for a in artifacts) == {
        "make_splits": 1, "write_recipe": 8, "train_adapter": 8, "predict": 10, "probe": 10, "metrics": 1, "report": 1,
    }  # fmt: skip
    assert {artifact.label: artifact.reasons() for artifact in artifacts if artifact.reasons()} == {}


def test_every_adapter_has_the_rank_and_the_model_of_its_arm(finished):
    _, out = finished
    for base, model in (("base", "tiny"), ("base-other", "other")):
        for end, rank in (("", 4), ("_r-2", 2)):
            for lineage in (f"{base}/seed-0/colours{end}", f"{base}/seed-0/colours{end}/warmth"):
                recipe = Recipe.read(out / lineage / "recipe.json")
                assert (recipe.model.name, recipe.lora.r, recipe.new_lora) == (model, rank, False)
                assert read_json(out / lineage / "adapter/adapter_config.json", "")["r"] == rank
    fingerprints = {Recipe.read(path).fingerprint for path in out.glob("base*/**/recipe.json")}
    assert len(fingerprints) == 8


def test_an_arm_is_compared_with_its_own_untuned_model(finished):
    _, out = finished
    metrics = json.loads((out / "report_metrics.json").read_text())
    (other,) = metrics["experiment"]["other_models"]
    assert (other["lineage"], other["model"]) == ("base-other", "other")
    against = {(arm, *c["against_lineages"]) for c in metrics["claims"] if c["against"] == "base" for arm in c["arms"]}
    assert against == {(arm, "base-other" if "other" in arm else "base") for arm in ARMS}
    kinds = Counter(c["kind"] for c in metrics["claims"] if c["against"] == "base")
    assert kinds == {"learnt": 8, "retained": 4, "probe": 4}
    # The other arms answer the same items as the reference arm, whatever their model.
    assert {c["arms"][0] for c in metrics["claims"] if c["kind"] == "arms"} == set(ARMS[1:])
    changes = [c for c in metrics["probe_changes"] if c["against"] == "base" and c["stage"] == 2]
    assert {c["arms"][0]: c["against_lineages"] for c in changes} == {
        arm: ["base-other" if "other" in arm else "base"] for arm in ARMS
    }
    first = {record["parent"] for record in metrics["drifts"] if record["task"] == "colours"}
    assert first == {"base", "base-other"}


def test_forward_transfer_and_learning_are_from_the_arms_own_untuned_model(finished):
    _, out = finished
    results = stagewise.load(out)
    scores = results.scores.query("measure == 'accuracy' and split == 'test' and rule == 'argmax'")
    value = {(row.lineage, row.task): row.value for row in scores.itertuples()}
    assert value["base", "warmth"] != value["base-other", "warmth"]  # or the test would show nothing
    for arm in ARMS:
        base = "base-other" if "other" in arm else "base"
        first = f"{base}/seed-0/colours{'_r-2' if 'r2' in arm else ''}"
        summary = find(results.metrics.arm_summaries, arm=arm, rule="argmax")
        expected = value[first, "warmth"] - value[base, "warmth"]
        assert summary.forward_transfer["accuracy"].value == pytest.approx(expected)
        learnt = find(results.metrics.learning, lineage=first, task="colours", against="base")
        assert learnt.changes["accuracy"].value == pytest.approx(value[first, "colours"] - value[base, "colours"])
    assert set(results.lineages[:2]) == {"base", "base-other"}
    assert len(results.predictions("base-other", "warmth")) == len(results.predictions(task="warmth"))


def test_costs_are_those_of_each_arm(finished):
    _, out = finished
    costs = {c["arm"]: c for c in json.loads((out / "report_metrics.json").read_text())["costs"]}
    assert {c["trainings"] for c in costs.values()} == {2} and {c["steps_over_reference"] for c in costs.values()} == {
        1
    }
    assert costs["r2"]["bytes"] == costs["other-r2"]["bytes"] < 0.7 * costs["sequential"]["bytes"]


def test_the_report_names_models_and_ranks(finished):
    _, out = finished
    page, html = (out / "report.md").read_text(), (out / "report.html").read_text()
    assert "| Base model of arms other, other-r2 | other" in page
    for arm, own in zip(ARMS, ("tiny; LoRA r 4", "tiny; LoRA r 2", "other; LoRA r 4", "other; LoRA r 2"), strict=True):
        assert f"| Arm {arm} | colours → warmth ({own}) |" in page
    assert "- other: stage 0, untuned\n  - colours: stage 1" in page
    assert "| untuned other (stage 0) |" in page and "| untuned tiny (stage 0) |" in page
    assert "other → colours_r-2 → warmth" in page and '<p class="sub">tiny, other: ' in html


def test_a_card_has_the_scores_of_the_adapters_own_untuned_model(finished):
    _, out = finished
    metrics, lineage = stagewise.load(out).metrics, "base-other/seed-0/colours"
    reported = Reported(metrics, Recipe.read(out / lineage / "recipe.json"))
    score, _, beside = next(each for each in reported.scores() if each[0].task == "warmth")
    assert score.lineages == [lineage] and beside["base"].lineages == ["base-other"]
