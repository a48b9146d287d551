"""Saved adapters in the hands of other tools, which find the base model by the name that the adapter gives."""

import json
from pathlib import Path

import pytest
import torch

from scripts import fetch_model
from stagewise.models.adapter_settings import base_model_settings, name_base_model
from stagewise.models.adapters import ADAPTER_CONFIG, load_adapter
from stagewise.models.load import load_base
from stagewise.training.checkpoints import CheckpointFolder
from tests.helpers.contradicting_tasks import AdapterFolder, write_data
from tests.helpers.peft_adapters import logits

KINDS = ("plain", "dora", "own", "merged")


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_model) -> AdapterFolder:
    """A project whose base model is a directory elsewhere, with adapters of all ways to make one."""
    folder = tmp_path_factory.mktemp("project")
    settings = json.dumps({"path": str(tiny_model)})
    assert (
        fetch_model.main(["--settings", settings, "--name", "tiny", "--output", str(folder / "models" / "tiny")]) == 0
    )
    adapters = AdapterFolder(folder / "out", tiny_model, write_data(folder / "data", {"yes": 4, "no": 4, "maybe": 4}))
    adapters.train("plain", "first", epochs=1)
    adapters.train("dora", "first", epochs=1, lora={"r": 2, "alpha": 8, "dora": True, "rslora": True})
    own = {"r": 3, "alpha": 3, "target_modules": ["q_proj", "up_proj"], "last_layers": 1}
    adapters.train("own", "second", "plain", ["first"], epochs=1, lora=own, new_lora=True)
    adapters.merge("merged", ["plain", "own"], blend={"alpha": 0.3})
    return adapters


@pytest.mark.parametrize("name", KINDS)
def test_peft_and_transformers_load_an_adapter_by_its_folder(project, monkeypatch, name):
    from peft import AutoPeftModelForCausalLM
    from transformers import pipeline

    monkeypatch.chdir(project.folder.parent)
    folder = Path("out") / name / "adapter"
    expected = logits(load_adapter(load_base(project.model, "none", "float32"), folder))
    model = AutoPeftModelForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(logits(model), expected, rtol=0, atol=1e-5)
    # Sums of weights are rounded to float32 once more: 1e-5 of the largest logit, which is about 10.
    rounding = 1e-5 * float(expected.abs().max())
    torch.testing.assert_close(logits(model.merge_and_unload()), expected, rtol=0, atol=rounding)
    # transformers' own loader leaves DoRA's magnitudes out, and says so in its log (docs/adapters.md).
    given = AutoPeftModelForCausalLM.from_pretrained(folder) if name == "dora" else str(folder)
    generator = pipeline("text-generation", model=given, tokenizer=str(folder))
    torch.testing.assert_close(logits(generator.model), expected, rtol=0, atol=1e-5)
    assert generator("Does it help?", max_new_tokens=1, do_sample=False)[0]["generated_text"].startswith("Does it")


@pytest.mark.parametrize("name", KINDS)
def test_the_base_model_has_a_name_without_a_folder_of_this_machine(project, name):
    config = json.loads((project.adapter(name) / ADAPTER_CONFIG).read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("models/tiny", None)
    assert (config["task_type"], config["auto_mapping"], config["inference_mode"]) == ("CAUSAL_LM", None, True)


def test_a_checkpoint_names_the_base_model_too(project):
    (cached, *_) = [path.parent for path in project.folder.glob("checkpoints/*/*/adapter")]
    config = json.loads((CheckpointFolder(cached).last().folder / ADAPTER_CONFIG).read_text())
    assert config["base_model_name_or_path"] == "models/tiny"


def test_a_model_of_the_hub_is_named_as_there_and_by_its_commit(tmp_path):
    (tmp_path / ADAPTER_CONFIG).write_text('{"base_model_name_or_path": "tiny", "r": 4}')
    name_base_model(tmp_path, "mine", {"hub": "owner/name", "revision": "a" * 40})
    expected = {"base_model_name_or_path": "owner/name", "revision": "a" * 40}
    assert json.loads((tmp_path / ADAPTER_CONFIG).read_text()) == expected | {"r": 4}
    for origin in ({}, {"package": "x==1", "member": "m"}):
        assert base_model_settings("mine", origin) == {"base_model_name_or_path": "models/mine", "revision": None}
