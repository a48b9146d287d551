"""An adapter or a model from elsewhere in its place in the lineage: its bytes, its fit, and its scores."""

import json
import shutil

import numpy as np
import pytest

from scripts import adopt_adapter, adopt_model, train_adapter
from stagewise.config.adopted import AdoptedAdapter
from stagewise.config.step_settings import RecipeSettings
from stagewise.models.adopted import describe_adopted_adapter, fetch_adapter, lora_settings
from stagewise.models.receipts import model_receipt
from stagewise.models.tuned import scored_model
from stagewise.pipeline.build_recipe import build_recipe
from stagewise.pipeline.planned_model import describe_adopted_model
from stagewise.provenance.files import sha256_file
from stagewise.provenance.receipts import read_receipt
from stagewise.recipe import Recipe, describe_base_model
from tests.helpers import tiny_llama
from tests.helpers.adapters_from_elsewhere import save_adapter
from tests.helpers.contradicting_tasks import task_settings, write_data
from tests.helpers.refusals import check_refusal

FIRST = "base/seed-0/adopted-mine"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


class Project:
    """A base model, a fully fine-tuned one beside it, adapters of plain PEFT, and two tasks."""

    def __init__(self, folder):
        self.folder = folder
        self.base = tiny_llama.build(folder / "models" / "tiny")
        self.tuned = tiny_llama.build(folder / "models" / "tuned", name="tuned", seed=5)
        self.data = write_data(folder / "data")
        self.source = save_adapter(folder / "runs" / "mine", self.base)
        self.checkpoints = folder / "checkpoints"

    def fetch(self, source=None):
        source = source or self.source
        fetched = self.folder / "adapters" / source.name
        fetch_adapter(AdoptedAdapter(source=str(source)), fetched)
        return fetched

    def recipe(self, taken, lineage=FIRST, parents=(), **changes) -> Recipe:
        settings = {
            "lineage": lineage,
            "stage": 1,
            "learns": ["first"],
            "seed": 0,
            "tasks": {"first": task_settings(self.data, "first")},
            "prompting": {"format": "chat"},
            "quantization": "none",
            "dtype": "float32",
            "max_length": 96,
            "lora": {"r": 8, "dropout": 0.1},
            "training": None,
        } | changes
        base = describe_base_model(read_receipt(self.base, "the base model"))
        recipe = build_recipe(RecipeSettings(**settings), base, self.data, list(parents), taken=taken)
        recipe.write(self.folder / lineage / "recipe.json")
        return recipe

    def adapter_recipe(self, fetched, **changes) -> Recipe:
        adopted = AdoptedAdapter(source=str(self.folder / "runs" / fetched.name))
        taken = describe_adopted_adapter(adopted, fetched), lora_settings(fetched)
        return self.recipe(taken, adopted=adopted.model_dump(), **changes)

    def argv(self, lineage=FIRST, **more) -> list[str]:
        output = self.folder / lineage / "adapter"
        paths = {"recipe": self.folder / lineage / "recipe.json", "model": self.base, "data": self.data}
        paths |= {"checkpoints": self.checkpoints, "output": output} | more
        return [word for name, path in paths.items() for word in (f"--{name}", str(path))]

    def adopt(self, source=None, **changes) -> int:
        fetched = self.fetch(source)
        self.adapter_recipe(fetched, **changes)
        return adopt_adapter.main(self.argv(changes.get("lineage", FIRST), adapter=fetched))


def logits(model):
    import torch

    with torch.no_grad():
        return model.eval()(torch.arange(3, 40)[None]).logits.double().numpy()


def test_an_adopted_adapter_keeps_its_weights_and_computes_what_peft_does(project):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from stagewise.models.adapters import load_adapter
    from stagewise.models.load import load_base

    assert project.adopt() == 0
    folder = project.folder / FIRST / "adapter"
    weights = "adapter_model.safetensors"
    assert sha256_file(folder / weights) == sha256_file(project.source / weights)
    names = {"README.md", "recipe.json", "training.json", "training_log.csv", "tokenizer.json", "adapter_config.json"}
    assert {*names, weights} <= read_receipt(folder, "the adapter")["files"].keys()
    summary = json.loads((folder / "training.json").read_text())
    assert "steps" not in summary and "tokens" not in summary  # not known
    ours = load_adapter(load_base(project.base, "none", "float32"), folder)
    base = AutoModelForCausalLM.from_pretrained(project.base, dtype=torch.float32)
    untuned = logits(base)
    theirs = logits(PeftModel.from_pretrained(base, project.source))
    assert np.abs(logits(ours) - theirs).max() < 1e-5 < np.abs(theirs - untuned).max()


def test_one_adapter_in_two_runs_is_one_adapter(project):
    fetched = project.fetch()
    first, second = (
        project.adapter_recipe(fetched, lineage=f"base/seed-{seed}/adopted-mine", seed=seed) for seed in (0, 1)
    )
    assert first.fingerprint == second.fingerprint  # so that it is scored once
    assert Recipe.read(project.folder / "base/seed-1/adopted-mine" / "recipe.json").seed == 1
    other = project.fetch(save_adapter(project.folder / "runs" / "other", project.base, seed=1))
    assert project.adapter_recipe(other).fingerprint != first.fingerprint


def test_a_stage_goes_on_from_its_weights_with_its_shape(project):
    from safetensors.numpy import load_file

    fetched = project.fetch()
    parent = project.adapter_recipe(fetched)
    assert (parent.lora.r, parent.lora.dropout) == (3, 0.0)
    assert adopt_adapter.main(project.argv(adapter=fetched)) == 0
    lineage = f"{FIRST}/second"
    training = {"epochs": 1, "batch_size": 4, "gradient_accumulation": 1, "learning_rate": 1e-3, "max_length": 96}
    tasks = {task: task_settings(project.data, task) for task in ("first", "second")}
    changes = {"learns": ["second"], "tasks": tasks, "training": training, "lora_of_parent": True, "stage": 2}
    recipe = project.recipe(None, lineage, [parent], **changes)
    assert (recipe.lora.r, recipe.lora.target_modules, recipe.lora.dropout) == (3, ["q_proj", "v_proj"], 0.1)
    argv = [*project.argv(lineage, parent=project.folder / FIRST / "adapter"), "--report-to", "--batch-size", "4"]
    assert train_adapter.main(argv) == 0
    before, after = (
        load_file(project.folder / name / "adapter" / "adapter_model.safetensors") for name in (FIRST, lineage)
    )
    assert before.keys() == after.keys()
    moved = max(np.abs(before[key] - after[key]).max() for key in before)
    assert 0 < moved < 0.2 < max(np.abs(value).max() for value in before.values())
    config = json.loads((project.folder / lineage / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_dropout"]) == (3, 0.1)


def edited(source, folder, change):
    """Copy an adapter with other tensors."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(source, folder)
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda tensors: {key.replace("layers.1", "layers.7"): value for key, value in tensors.items()},
            "layer 'model.layers.7.self_attn.q_proj', which tiny does not have; name the base model that it was",
        ),
        (
            lambda tensors: {
                key: np.ones((len(value), 96), value.dtype) if key.endswith("lora_A.weight") else value
                for key, value in tensors.items()
            },
            "'model.layers.0.self_attn.q_proj' has 96 inputs, and that of tiny 64",
        ),
    ],
)
def test_an_adapter_of_another_model_is_refused_at_the_first_layer(project, tmp_path, change, says, capsys):
    source = edited(project.source, project.folder / "runs" / tmp_path.name, change)
    check_refusal(project.adopt(source, lineage=f"base/seed-0/adopted-{tmp_path.name}"), capsys.readouterr().err, says)


def test_another_base_model_of_the_adapters_own_is_said_once(project, capsys):
    source = save_adapter(project.folder / "runs" / "named", project.base, name="owner/other-base")
    assert project.adopt(source, lineage="base/seed-0/adopted-named") == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "owner/other-base" in line]
    config = json.loads((project.folder / "base/seed-0/adopted-named/adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "models/tiny"
    assert said == [
        "base/seed-0/adopted-named: the adapter names owner/other-base as its base model and is scored on models/tiny"
    ]


def test_a_fetched_adapter_that_was_changed_is_refused(project, capsys):
    fetched = project.fetch(save_adapter(project.folder / "runs" / "edited", project.base, seed=3))
    lineage = "base/seed-0/adopted-edited"
    project.adapter_recipe(fetched, lineage=lineage)
    with open(fetched / "adapter_config.json", "a") as file:
        file.write("\n")
    code = adopt_adapter.main(project.argv(lineage, adapter=fetched))
    check_refusal(code, capsys.readouterr().err, "adapter_config.json: not the file that")
    shutil.rmtree(fetched)


def test_a_fully_fine_tuned_model_stands_in_the_place_of_an_adapter(project, capsys):
    lineage = "base/seed-0/tuned-tuned"
    taken = describe_adopted_model(model_receipt(project.tuned)), None
    recipe = project.recipe(taken, lineage, tuned_model="tuned")
    assert recipe.adopted.kind == "model" and recipe.adopted.files == model_receipt(project.tuned)["files"]
    assert adopt_model.main(project.argv(lineage, tuned=project.tuned)) == 0
    folder = project.folder / lineage / "adapter"
    assert not list(folder.glob("*.safetensors")) and (folder / "README.md").is_file()
    scored = scored_model(project.base, project.folder / lineage)
    assert (scored.model_dir, scored.adapter_dir) == (project.tuned, None)

    other = tiny_llama.build(project.folder / "elsewhere" / "tuned", name="tuned", seed=6)
    code = adopt_model.main(project.argv(lineage, tuned=other))
    check_refusal(code, capsys.readouterr().err, "not the model that", "write the recipe again")


def test_predictions_in_its_place_are_that_models_own(tmp_path, project):
    from tests.helpers.prediction_step import PredictionStep

    lineage = "base/seed-0/tuned-scored"
    project.recipe((describe_adopted_model(model_receipt(project.tuned)), None), lineage, tuned_model="tuned")
    assert adopt_model.main(project.argv(lineage, tuned=project.tuned)) == 0
    step = PredictionStep(tmp_path, project.base)
    assert step.run(adapter=project.folder / lineage / "adapter") == 0
    inputs = read_receipt(step.output, "the predictions")["inputs"]
    in_its_place = step.table("trial.test")
    assert inputs["model"] == model_receipt(project.base)["fingerprint"]
    assert inputs["adapter"]["weights"] == sha256_file(project.folder / lineage / "adapter" / "model.json")
    shutil.rmtree(step.output)
    step.model = project.tuned
    assert step.run() == 0
    assert in_its_place.equals(step.table("trial.test"))


def test_probes_in_its_place_are_that_models_own(tmp_path, project):
    from tests.helpers.probe_step import ProbeStep

    lineage = "base/seed-0/tuned-probed"
    project.recipe((describe_adopted_model(model_receipt(project.tuned)), None), lineage, tuned_model="tuned")
    assert adopt_model.main(project.argv(lineage, tuned=project.tuned)) == 0
    step = ProbeStep(tmp_path, project.base)
    assert step.run(adapter=project.folder / lineage / "adapter") == 0
    in_its_place, inputs = step.table(), step.receipt()["inputs"]
    assert inputs["model"] == model_receipt(project.base)["fingerprint"]
    assert inputs["adapter"]["weights"] == sha256_file(project.folder / lineage / "adapter" / "model.json")
    step.run()
    assert not in_its_place.equals(step.table())
    step.model = project.tuned
    step.run()
    assert in_its_place.equals(step.table())


def test_an_adapter_without_a_receipt_is_refused_with_the_way_out(tmp_path, project, capsys):
    from tests.helpers.prediction_step import PredictionStep

    code = PredictionStep(tmp_path, project.base).run(adapter=project.source)
    check_refusal(code, capsys.readouterr().err, "a stage with 'adapter' takes it in", "scripts.forgot")
