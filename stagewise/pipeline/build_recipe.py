"""Build the recipe of an adapter from the configuration, the data and its parents."""

from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.step_settings import RecipeSettings, TaskSettings
from stagewise.config.tasks import SPLITS
from stagewise.errors import InputError
from stagewise.inference.prompts import Template
from stagewise.lineage import Adapter
from stagewise.provenance.files import sha256_file
from stagewise.recipe import recipe_fingerprint


def recipe_settings(config: Config, adapter: Adapter) -> RecipeSettings:
    """The part of the configuration that determines one adapter."""
    tasks = {name: config.active_tasks[name] for name in adapter.known}
    return RecipeSettings(
        lineage=adapter.lineage,
        stage=adapter.stage,
        learns=adapter.tasks,
        seed=adapter.seed,
        tasks={
            name: TaskSettings(prompt=task.prompt, words=task.words, shorten=task.shorten, fields=list(task.fields))
            for name, task in tasks.items()
        },
        prompting=config.prompting,
        quantization=config.quantization,
        dtype=config.dtype,
        max_length=(adapter.training or config.training).max_length,
        lora=config.lora,
        training=adapter.training,
        remedies=adapter.remedies,
    )


def build_recipe(settings: RecipeSettings, model: dict, data_dir, parents: list[dict], checksum=None) -> dict:
    """The recipe of one adapter.

    Parameters
    ----------
    settings
        What the configuration says about the adapter.
    model
        The base model's name, fingerprint and origin (`base_model`).
    data_dir
        Folder of the splits; their checksums go into the recipe.
    parents
        Recipes of the adapters it is made from: none for a first stage, one for a later one, more for a merged one.
    checksum
        SHA-256 of a file where it is known without reading it, as in a plan of many recipes.
    """
    tasks = {}
    for name, task in settings.tasks.items():
        template = Template.read(task.prompt, task.fields)
        tasks[name] = task.model_dump() | {
            "prompt": {"file": task.prompt, "text": template.text},
            "data": {split: (checksum or _checksum)(Path(data_dir) / name / f"{split}.jsonl") for split in SPLITS[:2]},
        }
    recipe = settings.model_dump(exclude={"remedies"}) | {
        "tasks": tasks,
        "remedies": settings.remedies.model_dump(exclude_none=True),
        # What a remedy from outside the project does is known by its code alone.
        "code": {name: (checksum or sha256_file)(path) for name, path in settings.remedies.files.items()},
        "model": model,
        "parents": [{"lineage": parent["lineage"], "fingerprint": parent["fingerprint"]} for parent in parents],
    }
    return recipe | {"fingerprint": recipe_fingerprint(recipe)}


def _checksum(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path}: the split is missing; run the step that makes the splits")
    return sha256_file(path)
