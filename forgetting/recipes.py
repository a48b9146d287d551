"""A recipe holds everything that determines an adapter's bytes; its hash is the fingerprint."""

from pathlib import Path

from forgetting.config import SPLITS, RecipeSettings
from forgetting.errors import InputError, read_json
from forgetting.prompts import Template
from forgetting.receipts import fingerprint, sha256_file

# Keys that say where an adapter stands or what something is called, which its bytes do not depend on.
_NAMES = ("lineage", "stage", "fingerprint")


def build(settings: RecipeSettings, model: dict, data_dir, parents: list[dict], checksum=None) -> dict:
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


def base_model(receipt: dict) -> dict:
    """What a recipe says of the base model with this receipt; a folder of the user's own is nobody else's business."""
    origin = {} if "path" in receipt["origin"] else receipt["origin"]
    return {"name": receipt["model"], "fingerprint": receipt["fingerprint"], "origin": origin}


def _checksum(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path}: the split is missing; run the step that makes the splits")
    return sha256_file(path)


def recipe_fingerprint(recipe: dict) -> str:
    """Hash of what determines the bytes: names and places are left out, the order of tasks is not."""
    facts = {key: value for key, value in recipe.items() if key not in _NAMES}
    order = list(recipe["tasks"])
    facts["learns"] = [order.index(task) for task in recipe["learns"]]
    facts["tasks"] = [
        {key: value for key, value in task.items() if key != "fields"} | {"prompt": task["prompt"]["text"]}
        for task in recipe["tasks"].values()
    ]
    facts["model"] = recipe["model"]["fingerprint"]
    facts["parents"] = [parent["fingerprint"] for parent in recipe["parents"]]
    return fingerprint(facts)


def read(path) -> dict:
    """Read a recipe and check that nobody edited it."""
    recipe = read_json(path, "the recipe")
    try:
        actual = recipe_fingerprint(recipe)
    except (KeyError, TypeError, ValueError, AttributeError):
        actual = None
    if actual is None or actual != recipe.get("fingerprint"):
        raise InputError(f"{path}: the recipe does not match its fingerprint (edited?); delete it and run again")
    return recipe


def earlier(recipe: dict) -> list[str]:
    """Tasks that the adapter's ancestors learnt and its own stage does not, oldest first."""
    return [task for task in recipe["tasks"] if task not in recipe["learns"]]


def task_name(recipe: dict) -> str:
    """What the stage learns, in one word."""
    return " + ".join(recipe["learns"])
