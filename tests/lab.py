"""Small purpose-made inputs for tests of training and scoring."""

import json
from pathlib import Path

from forgetting import recipes
from forgetting.config import RecipeSettings
from forgetting.receipts import write_json

WORDS = ["stress", "no stress"]
_TEXTS = {
    "stress": "I cannot sleep and I worry about everything.",
    "no stress": "Today was a calm day at the lake.",
}


def write_toy_split(folder: Path, task: str = "toy", train: int = 16, validation: int = 6) -> Path:
    """Write ``folder/task/{train,validation,test}.jsonl`` of two alternating texts; return `folder`."""
    (folder / task).mkdir(parents=True, exist_ok=True)
    for split, count in {"train": train, "validation": validation, "test": validation}.items():
        items = [
            {"id": f"{split}-{i}", "label": WORDS[i % 2], "fields": {"text": f"{i} {_TEXTS[WORDS[i % 2]]}"}}
            for i in range(count)
        ]
        lines = "".join(json.dumps(item) + "\n" for item in items)
        (folder / task / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def write_toy_recipe(folder: Path, model: Path, data: Path, parent: dict | None = None, **changes) -> dict:
    """Write ``folder/recipe.json`` for the toy task; `changes` replace settings, ``training`` is merged."""
    folder.mkdir(parents=True, exist_ok=True)
    prompt = data / "prompt.txt"
    prompt.write_text("{text} Stress or no stress?\n", encoding="utf-8")
    training = {
        "epochs": 2,
        "batch_size": 4,
        "gradient_accumulation": 1,
        "learning_rate": 1e-2,
        "max_length": 96,
    } | changes.pop("training", {})
    settings = {
        "lineage": "base/seed-0/toy",
        "stage": 1,
        "task": "toy",
        "seed": 0,
        "prompt": str(prompt),
        "words": WORDS,
        "shorten": "text",
        "fields": ["text"],
        "prompting": {"format": "chat"},
        "quantization": "none",
        "dtype": "float32",
        "lora": {"r": 4, "alpha": 8},
        "training": training,
    } | changes
    recipe = recipes.build(RecipeSettings.model_validate(settings), model, data, parent)
    write_json(folder / "recipe.json", recipe)
    return recipe
