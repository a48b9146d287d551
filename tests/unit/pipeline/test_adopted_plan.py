"""Stages from elsewhere in a plan: what is stale when their sources change, and what they do without."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.stub_experiment import write_stubs
from stagewise.config.load_config import check
from stagewise.config.yaml_files import merge, read_yaml
from stagewise.errors import InputError
from stagewise.pipeline.artifacts import declared_artifacts
from stagewise.pipeline.dvc_stages import stages
from stagewise.pipeline.experiment import Experiment
from stagewise.pipeline.freshness import settle
from stagewise.provenance.checksums import ChecksumMemory
from stagewise.provenance.code import ProjectCode
from stagewise.recipe import Recipe
from tests.helpers.project_copy import ProjectCopy

MINE = "base/seed-0/adopted-mine"
STUDY = {
    "model": "own",
    "models": {"own": {"path": "my-model"}, "tuned": {"path": "my-tuned"}},
    "dtype": "float32",
    "tasks": {"pubmedqa": {"split": "published"}},
    "arms": {
        "sequential": None,
        "rehearsal": None,
        "mine": {"stages": [{"adapter": "runs/mine", "learnt": "pubmedqa"}, {"task": "dreaddit"}]},
        "whole": {"stages": [{"model": "tuned"}]},
    },
}
SETTINGS = {"peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": ["q_proj"]}


def study(changes: dict | None = None):
    return check(merge(merge(read_yaml("config.yaml"), STUDY), changes or {}), ["config.yaml"])


def write_model(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}\n')
    for name in ("tokenizer.json", "model.safetensors"):
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    path = ProjectCopy(tmp_path_factory.mktemp("finished") / "project").path
    write_model(path / "my-model", "{}\n")
    write_model(path / "my-tuned", "{} \n")
    (path / "runs" / "mine").mkdir(parents=True)
    (path / "runs" / "mine" / "adapter_config.json").write_text(json.dumps(SETTINGS))
    save_file({"lora_A": np.zeros((3, 4), "float32")}, path / "runs" / "mine" / "adapter_model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        code = ProjectCode(root=Path())
        write_stubs(study(), code)
        code.save()
    return path.rename(path.with_name("kept"))


@pytest.fixture
def copy(finished, monkeypatch) -> Path:
    path = finished.with_name("project")
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(finished, path)
    monkeypatch.chdir(path)
    return path


def experiment_now(changes=None) -> Experiment:
    checksums = ChecksumMemory()
    return Experiment(study(changes), checksum=checksums, code=ProjectCode(checksums, root=Path()))


def stale(changes=None) -> dict[str, list[str]]:
    """Reasons by output that is stale by its own content."""
    experiment, reasons = experiment_now(changes), {}
    for verdict in settle(declared_artifacts(experiment), experiment.checksum.set_time):
        if verdict.reasons:
            reasons.setdefault(verdict.artifact.label, []).extend(verdict.reasons)
    return reasons


def fetched() -> Path:
    (folder,) = Path("adapters").iterdir()
    return folder


def test_finished_results_are_current_without_the_users_folders(copy):
    assert stale() == {}
    shutil.rmtree("runs")
    shutil.rmtree("my-tuned")
    assert stale() == {}
    shutil.rmtree("adapters")  # as in a clone that has the results alone
    assert stale() == {}


def test_recipes_say_what_was_taken(copy):
    mine = Recipe.read(f"results/{MINE}/recipe.json")
    assert mine.adopted.kind == "adapter" and mine.adopted.origin == {"path": "runs/mine"}
    assert (mine.lora.r, mine.training, mine.parents) == (3, None, [])
    child = Recipe.read(f"results/{MINE}/dreaddit/recipe.json")
    assert child.lora.r == 3 and child.lora.dropout == study().lora.dropout and child.adopted is None
    whole = Recipe.read("results/base/seed-0/tuned-tuned/recipe.json")
    assert whole.adopted.kind == "model" and set(whole.adopted.files) == {
        "config.json",
        "tokenizer.json",
        "model.safetensors",
    }
    assert whole.learns == [] and whole.tasks == {}


def test_an_adapter_that_was_trained_on_is_named_with_its_file(copy):
    Path("runs/mine/adapter_model.safetensors").write_text("more weights")
    reasons = stale()
    assert reasons[str(fetched())] == ["adapter file adapter_model.safetensors changed"]
    assert any("adopted.files" in reason for reason in reasons[MINE])
    assert not any(label.startswith("base/seed-0/tuned") for label in reasons)


def test_a_fetched_file_that_was_edited_is_not_believed(copy):
    (fetched() / "adapter_model.safetensors").write_text("others")
    assert stale() == {str(fetched()): ["damaged: adapter_model.safetensors"]}


def test_a_tuned_model_that_was_changed_is_stale_alone(copy):
    Path("my-tuned/model.safetensors").write_text("more")
    reasons = stale()
    assert reasons["models/tuned"] == ["model file model.safetensors changed"]
    assert set(reasons) == {"models/tuned", "base/seed-0/tuned-tuned"}


def test_other_lora_settings_change_nothing_of_what_was_taken(copy):
    reasons = stale({"lora": {"r": 64, "alpha": 8, "target_modules": ["v_proj"]}})
    assert not {MINE, f"{MINE}/dreaddit", "base/seed-0/tuned-tuned"} & set(reasons)
    assert f"{MINE}/dreaddit" in stale({"lora": {"dropout": 0.3}})


def test_an_adapter_in_another_folder_is_another_fetch_and_the_same_adapter(copy):
    shutil.copytree("runs/mine", "runs/moved")
    stage = {"adapter": "runs/moved", "name": "mine", "learnt": "pubmedqa"}
    changes = {"arms": {"mine": {"stages": [stage, {"task": "dreaddit"}]}}}
    assert not [label for label in stale(changes) if label.startswith("base/")]


def test_what_nothing_knows_is_refused(copy):
    shutil.rmtree("adapters")
    shutil.rmtree("runs")
    Path(f"results/{MINE}/recipe.json").unlink()
    with pytest.raises(InputError, match="the adapter is not here, and .*recipe.json does not name it"):
        experiment_now().expected_recipe(MINE)


def test_dvc_tracks_what_is_fetched(copy):
    document = stages(study(), {"config.yaml": read_yaml("config.yaml")})["stages"]
    fetch, first = document["fetch"], document["stage-1"]
    assert "arms" in next(iter(fetch["params"][0].values()))
    tracked = {path for out in fetch["outs"] for path in out}
    assert {str(fetched()), "models/own/receipt.json", "models/tuned/receipt.json"} <= tracked
    private = {path for out in fetch["outs"] + first["outs"] for path, how in out.items() if how.get("push") is False}
    assert {str(fetched()), f"results/{MINE}/adapter"} <= private  # their licence is somebody else's
    assert "results/base/seed-0/tuned-tuned/adapter" not in private  # it holds no weights
