"""A recipe holds everything that determines an adapter's bytes; its hash is the fingerprint."""

from stagewise.errors import InputError
from stagewise.provenance.files import read_json
from stagewise.provenance.fingerprints import fingerprint

# Keys that say where an adapter stands or what something is called, which its bytes do not depend on.
_NAMES = ("lineage", "stage", "fingerprint")


def describe_base_model(receipt: dict) -> dict:
    """What a recipe says of the base model with this receipt; a folder of the user's own is nobody else's business."""
    origin = {} if "path" in receipt["origin"] else receipt["origin"]
    return {"name": receipt["model"], "fingerprint": receipt["fingerprint"], "origin": origin}


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


def read_recipe(path) -> dict:
    """Read a recipe and check that nobody edited it."""
    recipe = read_json(path, "the recipe")
    try:
        actual = recipe_fingerprint(recipe)
    except (KeyError, TypeError, ValueError, AttributeError):
        actual = None
    if actual is None or actual != recipe.get("fingerprint"):
        raise InputError(f"{path}: the recipe does not match its fingerprint (edited?); delete it and run again")
    return recipe


def earlier_tasks(recipe: dict) -> list[str]:
    """Tasks that the adapter's ancestors learnt and its own stage does not, oldest first."""
    return [task for task in recipe["tasks"] if task not in recipe["learns"]]


def task_name(recipe: dict) -> str:
    """What the stage learns, in one word."""
    return " + ".join(recipe["learns"])
