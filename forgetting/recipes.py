"""A recipe holds everything that determines an adapter's bytes; its hash is the fingerprint."""

from pathlib import Path

from forgetting.config import RecipeSettings
from forgetting.errors import InputError, read_json
from forgetting.prompts import Template
from forgetting.receipts import fingerprint, read_receipt, sha256_file

# Keys that say where an adapter stands or what a file is called, which its bytes do not depend on.
_NAMES = ("lineage", "stage", "task", "fields", "fingerprint")


def build(settings: RecipeSettings, model_dir, data_dir, parent: dict | None) -> dict:
    """The recipe of one adapter.

    Parameters
    ----------
    settings
        What the configuration says about the adapter.
    model_dir, data_dir
        Folders of the base model and of the splits; their checksums go into the recipe.
    parent
        The parent adapter's recipe; None for a first stage.
    """
    model = read_receipt(model_dir, "the base model", verify=False)
    template = Template.read(settings.prompt, settings.fields)
    data = {}
    for split in ("train", "validation"):
        path = Path(data_dir) / settings.task / f"{split}.jsonl"
        if not path.is_file():
            raise InputError(f"{path}: the split is missing; run the step that makes the splits")
        data[split] = sha256_file(path)
    recipe = settings.model_dump() | {
        "model": {"name": model["model"], "fingerprint": model["fingerprint"]},
        "data": data,
        "prompt": {"file": settings.prompt, "text": template.text},
        "parent": parent and {"lineage": parent["lineage"], "fingerprint": parent["fingerprint"]},
    }
    return recipe | {"fingerprint": recipe_fingerprint(recipe)}


def recipe_fingerprint(recipe: dict) -> str:
    """Hash of what determines the bytes: names and places are left out."""
    facts = {key: value for key, value in recipe.items() if key not in _NAMES}
    facts["model"] = recipe["model"]["fingerprint"]
    facts["prompt"] = recipe["prompt"]["text"]
    facts["parent"] = recipe["parent"] and recipe["parent"]["fingerprint"]
    return fingerprint(facts)


def read(path) -> dict:
    """Read a recipe and check that nobody edited it."""
    recipe = read_json(path, "the recipe")
    try:
        actual = recipe_fingerprint(recipe)
    except (KeyError, TypeError):
        actual = None
    if actual is None or actual != recipe.get("fingerprint"):
        raise InputError(f"{path}: the recipe does not match its fingerprint (edited?); delete it and run again")
    return recipe
