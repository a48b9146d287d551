"""Small purpose-made inputs for tests of training and scoring."""

from pathlib import Path

from stagewise.config.step_settings import RecipeSettings
from stagewise.models.target_modules import with_layer_names
from stagewise.pipeline.build_recipe import build_recipe
from stagewise.provenance.receipts import read_receipt
from stagewise.recipe import Recipe, describe_base_model
from tests.helpers.tiny_data import make_items, write_split

WORDS = ["stress", "no stress"]
_TEXTS = {
    "stress": "I cannot sleep and I worry about everything.",
    "no stress": "Today was a calm day at the lake.",
}


def write_toy_split(folder: Path, task: str = "toy", train: int = 16, validation: int = 6) -> Path:
    """Write ``folder/task/{train,validation,test}.jsonl`` of two alternating texts; return `folder`."""
    for split, count in {"train": train, "validation": validation, "test": validation}.items():
        labels = [WORDS[i % 2] for i in range(count)]
        items = make_items(labels, lambda i, label: {"text": f"{i} {_TEXTS[label]}"}, split + "-{}")
        write_split(folder, task, split, items)
    return folder


def toy_task(data: Path) -> dict:
    """Settings of the toy task in a recipe; its prompt is written beside the data."""
    prompt = data / "prompt.txt"
    prompt.write_text("{text} Stress or no stress?\n", encoding="utf-8")
    return {"prompt": str(prompt), "words": WORDS, "shorten": "text", "fields": ["text"]}


def write_toy_recipe(folder: Path, model: Path, data: Path, parents: list[Recipe] = (), **changes) -> Recipe:
    """Write ``folder/recipe.json`` for the toy task; `changes` replace settings; ``training`` is merged, or None."""
    folder.mkdir(parents=True, exist_ok=True)
    given = changes.pop("training", {})
    training = {
        "epochs": 2,
        "batch_size": 4,
        "gradient_accumulation": 1,
        "learning_rate": 1e-2,
        "max_length": 96,
    } | (given or {})
    settings = {
        "lineage": "base/seed-0/toy",
        "stage": 1,
        "learns": ["toy"],
        "seed": 0,
        "tasks": {"toy": toy_task(data)},
        "prompting": {"format": "chat"},
        "quantization": "none",
        "dtype": "float32",
        "max_length": training["max_length"],
        "lora": {"r": 4, "alpha": 8},
        "training": None if given is None else training,
    } | changes
    base = describe_base_model(read_receipt(model, "the base model"))
    valid = RecipeSettings.model_validate(settings)
    valid = valid.model_copy(update={"lora": with_layer_names(valid.lora, model)})
    recipe = build_recipe(valid, base, data, list(parents))
    recipe.write(folder / "recipe.json")
    return recipe
