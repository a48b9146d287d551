"""What is stale after a change, over a finished experiment of stubs: every step's own verdict, without a run."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.pretended import pretend
from stagewise.config.load_config import check
from stagewise.config.yaml_files import merge, read_yaml
from stagewise.lineage import lineage_tree
from stagewise.pipeline.artifacts import Experiment
from stagewise.pipeline.freshness import STALE, settle
from stagewise.provenance.receipts import write_receipt
from tests.helpers.project_copy import Workspace

BASE, FIRST = Path("results/base"), Path("results/base/seed-0/pubmedqa")
SECOND, REHEARSED = FIRST / "dreaddit", FIRST / "dreaddit+rehearsal-25"
ADAPTERS = {FIRST, SECOND, REHEARSED}
MODEL = Path("models/smollm2-135m-instruct")


def config(**changes):
    values = merge(read_yaml("config.yaml"), changes)
    return check(values, ["config.yaml"])


@pytest.fixture(autouse=True)
def finished(tmp_path, monkeypatch):
    """The default experiment, finished."""
    monkeypatch.chdir(Workspace(tmp_path / "project").path)
    pretend(config())


def stale(image=None, **changes) -> set[str]:
    """Steps whose outputs a plan finds stale: the folder or file that says so."""
    changed = config(**changes)
    settle(Experiment(changed, lineage_tree(changed), MODEL, image).outputs())
    receipts = [*Path("results").rglob("receipt.json"), *Path("results").rglob("recipe.json"), MODEL / "receipt.json"]
    receipts += [Path("results/data/summary.json"), Path("results/report_metrics.json")]
    found = [path for path in receipts if path.is_file() and "checkpoints" not in path.parts]
    return {
        str(path.parent if path.name == "receipt.json" else path) for path in found if path.stat().st_mtime == STALE
    }


def all_of(*folders: Path) -> set[str]:
    """Recipe, adapter and predictions of lineages."""
    return {str(folder / part) for folder in folders for part in ("recipe.json", "adapter", "predictions")}


END = {"results/report_metrics.json", "results/figures"}


def test_a_finished_experiment_is_current():
    assert stale() == set()
    shutil.rmtree("results/checkpoints")
    assert stale() == set()
    kept = {path.parent.name for path in Path("results/checkpoints").rglob("receipt.json")}
    assert "adapter" in kept and len(list(Path("results/checkpoints/predictions").iterdir())) == 4


def test_another_machine_or_the_type_named_makes_no_training_stale(monkeypatch):
    """Finished adapters keep the compute type that they have."""
    finished = json.loads((FIRST / "recipe.json").read_text())["dtype"]
    other = {"float32": "bfloat16", "bfloat16": "float32"}[finished]
    monkeypatch.setattr("stagewise.models.compute_type.resolve", lambda name: other)
    assert stale() == set()
    metrics = {"results/report_metrics.json"}
    assert stale(dtype=finished) == metrics, "the page shows what the configuration says"
    trained = {str(folder / part) for folder in ADAPTERS for part in ("recipe.json", "adapter", "predictions")}
    assert stale(dtype=other) == trained | {"results/base/predictions"} | metrics


def test_a_hyperparameter_makes_its_trainings_stale():
    """What is made from them is not judged by itself: Snakemake makes it again after them."""
    found = stale(training={"learning_rate": 0.5})
    assert {str(folder / part) for folder in ADAPTERS for part in ("recipe.json", "adapter")} <= found
    assert not any(name.startswith(("results/data", str(BASE / "predictions"))) for name in found)
    assert stale() == set()


def test_one_stages_setting_leaves_the_others_alone():
    arms = {
        "rehearsal": {
            "stages": [
                {"task": "pubmedqa"},
                {"task": "dreaddit", "remedies": {"rehearsal": {"share": 0.25}}, "training": {"epochs": 9}},
            ]
        }
    }
    found = stale(arms=arms)
    assert {str(REHEARSED / "recipe.json"), str(REHEARSED / "adapter")} <= found
    assert found <= all_of(REHEARSED) | END


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"limit": {"test": 40}}, {"results/data/summary.json"} | END),
        ({"prompting": {"system": "Be brief."}}, all_of(*ADAPTERS) | {str(BASE / "predictions")} | END),
        ({"evaluation": {"method": "generation"}}, {str(f / "predictions") for f in ADAPTERS | {BASE}} | END),
        ({"statistics": {"seed": 1}}, {"results/report_metrics.json"}),
    ],
    ids=["limit", "prompting", "evaluation", "statistics"],
)
def test_a_change_reaches_what_it_concerns(changes, expected):
    found = stale(**changes)
    assert found and found <= expected
    assert "results/report_metrics.json" in found  # its settings are the whole configuration
    if "prompting" in changes:
        assert all(str(folder / "recipe.json") in found for folder in ADAPTERS)


def test_a_base_model_that_is_not_here_is_known_by_its_origin():
    shutil.rmtree(MODEL)
    assert stale() == set()
    other = {"smollm2-135m-instruct": {"sha256": "0" * 64}}
    assert all_of(*ADAPTERS) - {str(f / "predictions") for f in ADAPTERS} <= stale(models=other)


def test_another_base_model_under_the_same_name_is_fetched_again():
    other = {"smollm2-135m-instruct": {"sha256": "0" * 64}}
    assert {str(MODEL), *(str(folder / "recipe.json") for folder in ADAPTERS)} <= stale(models=other)


def test_an_image_takes_only_what_was_made_in_it():
    everything = {str(f / part) for f in ADAPTERS for part in ("adapter", "predictions")}
    everything |= {str(BASE / "predictions"), "results/data/summary.json"} | END
    assert everything <= stale(image="1" * 64)
    assert stale() == set()


def test_splits_and_texts_may_be_elsewhere():
    shutil.rmtree("results/data/dreaddit")
    Path("results/items.html").unlink()
    assert stale() == set()


def test_changed_texts_prompts_and_damage_are_seen():
    prompt = Path("prompts/dreaddit.txt")
    text = prompt.read_text()
    prompt.write_text(text + "Think.\n")
    found = stale()
    assert str(SECOND / "recipe.json") in found and str(FIRST / "recipe.json") not in found
    prompt.write_text(text)
    sample = Path("data/sample/pubmedqa.json")
    sample.write_text(json.dumps(json.loads(sample.read_text()), indent=7))
    assert stale() == {"results/data/summary.json"}


def test_an_adapter_of_other_parent_weights_is_stale():
    weights = FIRST / "adapter" / "adapter_model.safetensors"
    weights.write_text("another training of the same recipe")
    facts = json.loads((FIRST / "adapter" / "receipt.json").read_text())
    facts.pop("files")
    (FIRST / "adapter" / "receipt.json").unlink()
    write_receipt(FIRST / "adapter", facts)
    found = stale()
    assert {str(SECOND / "adapter"), str(REHEARSED / "adapter"), str(FIRST / "predictions")} <= found
    assert str(FIRST / "adapter") not in found
