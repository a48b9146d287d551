"""Layers of ``all-linear`` in a plan: of the model that is here, or else as a recipe has them."""

import json

import pytest

from scripts import write_recipe
from stagewise.config.base_model import Model
from stagewise.config.step_settings import RecipeSettings
from stagewise.config.training import Lora
from stagewise.errors import InputError
from stagewise.pipeline.planned_model import PlannedModel
from stagewise.provenance.files import sha256_file
from stagewise.recipe import Recipe
from tests.helpers.decoder_families import save_decoder
from tests.helpers.toy_task import toy_task, write_toy_recipe, write_toy_split

GPT2 = {"model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_layer": 2, "vocab_size": 16, "n_positions": 8}


@pytest.fixture
def recipe(tiny_model, tmp_path):
    write_toy_recipe(tmp_path / "stage", tiny_model, write_toy_split(tmp_path / "data"), lora={})
    return tmp_path / "stage" / "recipe.json"


def planned(path) -> PlannedModel:
    return PlannedModel("own", Model(path=str(path)), sha256_file)


def test_the_model_that_is_here_decides(recipe, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.json").write_text(json.dumps(GPT2))
    lora = planned(tmp_path / "own").with_layer_names(Lora(r=4), recipe)
    assert (lora.r, lora.target_modules) == (4, ["c_attn", "c_proj", "c_fc"])


def test_without_the_model_its_recipe_does(recipe, tmp_path):
    model = planned(tmp_path / "elsewhere")
    assert model.with_layer_names(Lora(r=4), recipe).target_modules[:2] == ["q_proj", "k_proj"]
    assert model.with_layer_names(Lora(target_modules=["x"]), recipe).target_modules == ["x"]
    with pytest.raises(InputError, match=r"recipe\.json"):
        planned(tmp_path / "elsewhere").with_layer_names(Lora(), tmp_path / "none" / "recipe.json")


def test_the_step_writes_the_layers_of_its_model(tmp_path):
    data = write_toy_split(tmp_path / "data")
    settings = RecipeSettings(
        lineage="base/seed-0/toy",
        stage=1,
        learns=["toy"],
        seed=0,
        tasks={"toy": toy_task(data)},
        prompting={},
        quantization="none",
        dtype="float32",
        max_length=96,
        lora={"last_layers": 1},
        training={},
    )
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    argv = ["--settings", str(tmp_path / "settings.json"), "--model", str(save_decoder("Phi3", tmp_path / "phi"))]
    assert write_recipe.main([*argv, "--data", str(data), "--output", str(tmp_path / "recipe.json")]) == 0
    lora = Recipe.read(tmp_path / "recipe.json").lora
    assert lora.target_modules == ["o_proj", "qkv_proj", "gate_up_proj", "down_proj"]
