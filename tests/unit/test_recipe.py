"""Recipes: what is in them, what their fingerprint depends on, and what is refused."""

import json

import pytest
from pydantic import ValidationError

from stagewise.config.step_settings import RecipeSettings
from stagewise.errors import InputError
from stagewise.inference.question import recipes_by_task
from stagewise.pipeline.build_recipe import build_recipe
from stagewise.recipe import Recipe, RecipeModel, check_parents_numerics, recipe_fingerprint
from stagewise.remedies.registry import Remedies
from stagewise.training import TRAINING_BEHAVIOUR
from tests.helpers.toy_task import toy_task, write_toy_split

MODEL = RecipeModel(name="tiny", fingerprint="a" * 64, origin={})


@pytest.fixture
def data(tmp_path):
    return write_toy_split(tmp_path / "data")


def build(data, model=MODEL, parents=(), **changes) -> Recipe:
    settings = {
        "lineage": "base/seed-0/toy",
        "stage": 1,
        "learns": ["toy"],
        "seed": 0,
        "tasks": {"toy": toy_task(data)},
        "prompting": {},
        "quantization": "none",
        "dtype": "float32",
        "max_length": 96,
        "lora": {"target_modules": ["q_proj"]},
        "training": {},
        "remedies": {"distill": {}, "anchor": {"strength": 0.5}},
    } | changes
    return build_recipe(RecipeSettings.model_validate(settings), model, data, list(parents))


def test_a_recipe_survives_its_file(data, tmp_path):
    recipe = build(data)
    recipe.write(tmp_path / "recipe.json")
    assert Recipe.read(tmp_path / "recipe.json") == recipe
    values = json.loads((tmp_path / "recipe.json").read_text())
    assert recipe_fingerprint(values) == values["fingerprint"] == recipe.fingerprint
    assert values["remedies"]["anchor"]["strength"] == 0.5 and "blend" not in values["remedies"]
    assert "new_lora" not in values  # of recipes that earlier versions wrote, none is stale for it
    assert values["prompting"] == {"format": "chat", "system": None, "template": {}}
    assert values["behaviour"] == {"training": TRAINING_BEHAVIOUR, "anchor": 1, "distill": 2}


def test_a_kind_of_lora_is_part_of_the_recipe_if_it_is_not_plain(data):
    """Recipes of older versions, which have no such settings, stay current."""
    layers = {"target_modules": ["q_proj"]}
    kinds = ({}, {"dora": False}, {"dora": True}, {"rslora": True})
    plain, *others = (build(data, lora=layers | kind) for kind in kinds)
    assert not {"dora", "rslora"} & set(plain.model_dump(mode="json")["lora"])
    assert others[0].fingerprint == plain.fingerprint
    assert len({recipe.fingerprint for recipe in (plain, *others[1:])}) == 3
    assert others[1].model_dump(mode="json")["lora"]["dora"] is True


def test_a_remedys_null_is_part_of_the_recipe(data):
    """Left out, it would come back as the default: another setting."""
    values = build(data).model_dump(mode="json")
    assert values["remedies"]["distill"]["share"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"quantization": "nf4"},
        {"dtype": "bfloat16"},
        {"max_length": 97},
        {"prompting": {"system": "Be brief."}},
        {"prompting": {"template": {"date_string": "26 Jul 2024"}}},
        {"lora": {"r": 4, "target_modules": ["q_proj"]}},
        {"training": {"learning_rate": 1e-3}},
        {"training": {"batch_size": 5}},
        {"training": None, "remedies": {}},
        {"remedies": {}},
        {"remedies": {"distill": {}, "anchor": {"strength": 0.6}}},
        {"model": MODEL.model_copy(update={"fingerprint": "b" * 64})},
    ],
)
def test_what_may_change_the_weights_changes_the_fingerprint(data, changes):
    assert build(data, **changes).fingerprint != build(data).fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"lineage": "base/seed-0/other"},
        {"stage": 3},
        {"model": MODEL.model_copy(update={"name": "other", "origin": {"hub": "a/b"}})},
    ],
)
def test_names_and_places_do_not(data, changes):
    assert build(data, **changes).fingerprint == build(data).fingerprint


@pytest.mark.parametrize(
    "training",
    [{"batch_size": 16, "gradient_accumulation": 1}, {"batch_size": 4, "gradient_accumulation": 4}],
)
def test_of_a_steps_split_its_items_alone_are_in_the_recipe(data, training):
    recipe = build(data, training=training | {"gradient_checkpointing": True})
    assert recipe == build(data) and recipe.training.items_per_step == 16
    assert not {"batch_size", "gradient_accumulation", "gradient_checkpointing"} & set(recipe.training.model_dump())


def test_behaviour_versions_change_the_fingerprint(data, monkeypatch):
    before = build(data)
    monkeypatch.setattr("stagewise.training.TRAINING_BEHAVIOUR", 99)
    trained = build(data)
    assert trained.behaviour["training"] == 99 and trained.fingerprint != before.fingerprint
    monkeypatch.undo()
    anchor = type(Remedies(anchor={}).anchor)
    monkeypatch.setattr(anchor, "behaviour", 2)
    assert build(data).behaviour == before.behaviour | {"anchor": 2}
    assert build(data).fingerprint != before.fingerprint


def test_a_merged_adapter_has_its_remedys_version_alone(data):
    assert build(data, training=None, remedies={"blend": {}}).behaviour == {"blend": 1}


def test_an_unresolved_compute_type_never_gets_into_a_recipe(data):
    with pytest.raises(ValueError, match="resolved compute type"):
        build(data, dtype="auto")


def test_a_parent_of_another_type_or_quantization_is_refused(data):
    parent = build(data)
    for changes in ({"dtype": "bfloat16"}, {"quantization": "nf4"}):
        (key, value), *_ = changes.items()
        child = build(data, parents=[parent], **changes)
        with pytest.raises(InputError, match=f"{key} is {value}, and its parent base/seed-0/toy was made with"):
            check_parents_numerics(child, [parent])
    check_parents_numerics(build(data, parents=[parent]), [parent, parent.model_copy(update={"dtype": "auto"})])


@pytest.mark.parametrize("change", [{"seed": 7}, {"dtype": "bfloat16"}, {"fingerprint": "0" * 64}, {"tasks": None}])
def test_an_edited_recipe_is_refused(data, tmp_path, change):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(build(data).model_dump(mode="json") | change))
    with pytest.raises(InputError, match="does not match its fingerprint"):
        Recipe.read(path)


def test_a_recipe_of_an_older_version_is_still_read(data, tmp_path):
    """Adapters that were trained with it can still be asked."""
    values = build(data, remedies={}).model_dump(mode="json") | {"dtype": "auto"}
    del values["behaviour"], values["prompting"]["template"], values["training"]["items_per_step"]
    values["training"] |= {"batch_size": 8, "gradient_accumulation": 2, "gradient_checkpointing": False}
    values["fingerprint"] = recipe_fingerprint(values)
    (tmp_path / "recipe.json").write_text(json.dumps(values))
    recipe = Recipe.read(tmp_path / "recipe.json")
    assert (recipe.dtype, recipe.behaviour, recipe.prompting.template) == ("auto", {}, {})
    assert recipe.training.items_per_step == 16
    assert recipe.fingerprint == values["fingerprint"]


def test_a_recipe_of_a_newer_version_is_refused(data, tmp_path):
    values = build(data).model_dump(mode="json") | {"unheard_of": 1}
    values["fingerprint"] = recipe_fingerprint(values)
    (tmp_path / "recipe.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="another version wrote this recipe"):
        Recipe.read(tmp_path / "recipe.json")


def test_a_recipe_cannot_be_changed(data):
    with pytest.raises(ValidationError):
        build(data).seed = 2


def test_tasks_are_told_apart_by_who_learnt_them(data):
    for task in ("a", "b"):
        write_toy_split(data, task)
    parent = build(data)
    recipe = build(data, tasks={"toy": toy_task(data), "a": toy_task(data), "b": toy_task(data)}, learns=["b", "a"])
    assert (recipe.earlier_tasks, recipe.task_name) == (["toy"], "b + a")
    assert (parent.earlier_tasks, parent.task_name) == ([], "toy")


def test_an_adapter_from_somebody_else_runs_no_code_when_it_is_read(data, tmp_path, monkeypatch):
    """Its recipe names a module to import; asking the adapter or planning on it must not do that."""
    (tmp_path / "evil.py").write_text(
        "from pathlib import Path\n"
        "from stagewise.remedies.base import Remedy\n"
        f"Path({str(tmp_path / 'ran')!r}).touch()\n"
        "class Evil(Remedy):\n    strength: float = 1.0\n"
    )
    values = build(data).model_dump(mode="json")
    values["remedies"]["evil:Evil"] = {"strength": 2.0}
    values["fingerprint"] = recipe_fingerprint(values)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/adapter_config.json").write_text("{}")
    (tmp_path / "adapter/adapter_model.safetensors").touch()
    path = tmp_path / "adapter/recipe.json"
    path.write_text(json.dumps(values))
    monkeypatch.syspath_prepend(tmp_path)
    recipe = Recipe.read(path)
    assert recipe.model_dump(mode="json") == values
    assert recipes_by_task(tmp_path / "adapter")["toy"] == recipe
    assert not (tmp_path / "ran").exists()
    assert Recipe.read(path, run_code=True).remedies.chosen["evil:Evil"].strength == 2.0
    assert (tmp_path / "ran").exists()
