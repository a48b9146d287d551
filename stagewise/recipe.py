"""Recipes: everything that determines an adapter's bytes, as one typed record whose hash is the fingerprint."""

from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, field_serializer

from stagewise.config.base import Name, Settings
from stagewise.config.training import Lora, Prompting, RecipeTraining
from stagewise.errors import InputError
from stagewise.provenance.files import read_json, sha256_file, write_json
from stagewise.provenance.fingerprints import fingerprint
from stagewise.remedies.registry import Remedies
from stagewise.task_kinds import TaskKind

# Keys that only name or locate an adapter; its bytes do not depend on them.
_NAMES = ("lineage", "stage", "fingerprint")


class RecipePrompt(Settings):
    """A task's prompt; the file is named for the reader, its text counts."""

    file: str
    text: str


class RecipeTask(Settings):
    """A task of the adapter's lineage."""

    kind: TaskKind = Field("classification", exclude_if=lambda value: value == "classification")
    prompt: RecipePrompt
    words: list[str]
    """Label words, in order."""
    shorten: str | None
    max_length: int | None = Field(None, exclude_if=lambda value: value is None)  # as `new_lora` below
    """Tokens of prompt and answer; None leaves the task the recipe's."""
    fields: list[str]
    no_label: str | None = Field(None, exclude_if=lambda value: value is None)
    """Answer to an item of `multi_label` without a label; None is `none`."""
    data: dict[str, str]
    """SHA-256 of each split that is learnt from or validated on."""


class RecipeModel(Settings):
    """The base model; its fingerprint alone counts."""

    name: str
    fingerprint: str
    origin: dict[str, Any]


class RecipeParent(Settings):
    """An adapter that this one starts from, or is merged from."""

    lineage: str
    fingerprint: str


class RecipeAdopted(Settings):
    """An adapter or model that a stage took from elsewhere; the files alone count."""

    kind: Literal["adapter", "model"]
    origin: dict[str, Any]
    """Where it came from, as it may be passed on."""
    files: dict[str, str]
    """SHA-256 of its files by name."""


class Recipe(Settings):
    """Everything that determines an adapter's bytes."""

    lineage: str
    stage: int
    learns: list[Name]
    """Tasks that the stage learns; the other `tasks` are its ancestors'."""
    seed: int
    tasks: dict[Name, RecipeTask]
    prompting: Prompting
    quantization: str
    dtype: Literal["auto", "float32", "bfloat16"]
    """Resolved compute type; ``auto`` appears only in recipes written before types were resolved."""
    max_length: int
    """Tokens of prompt and answer, of tasks that say no other number."""
    lora: Lora
    """Settings of the stage's LoRA."""
    new_lora: bool = Field(False, exclude_if=lambda value: not value)  # so that recipes of older versions stay current
    """True if the stage trains a LoRA of its own beside its parent's, which is frozen."""
    training: RecipeTraining | None
    """None for an adapter that is merged from others, or adopted."""
    adopted: RecipeAdopted | None = Field(None, exclude_if=lambda value: value is None)
    """The adapter or model that was taken from elsewhere, if one was."""
    remedies: Remedies
    code: dict[str, str]
    """Fingerprint of the code of each remedy from outside this package."""
    behaviour: dict[str, int] = {}
    """Behaviour versions of training and of each remedy, see `stagewise.training.behaviour_versions`."""
    model: RecipeModel
    parents: list[RecipeParent]
    fingerprint: str

    _outside: dict[str, Any] = PrivateAttr({})
    """Settings, as plain data, of remedies from outside this package whose code was not to run."""

    @field_serializer("remedies")
    def _chosen_remedies(self, remedies: Remedies) -> dict[str, dict]:
        return {name: remedy.model_dump(mode="json") for name, remedy in remedies.chosen.items()} | self._outside

    @classmethod
    def build(cls, **values) -> "Recipe":
        """Build a recipe and its fingerprint from all other values."""
        recipe = cls(**values, fingerprint="")
        return recipe.model_copy(update={"fingerprint": recipe_fingerprint(recipe.model_dump(mode="json"))})

    @classmethod
    def read(cls, path, run_code: bool = False) -> "Recipe":
        """Read a recipe and check that nobody edited it.

        A recipe may be somebody else's, and a remedy from outside this package is named by a module to import: that
        is done only with `run_code`, by the step that trains. Otherwise `remedies` lacks it.

        Raises
        ------
        InputError
            If it is missing, does not match its fingerprint, or is not a recipe of this version.
        """
        values = read_json(path, "the recipe")
        try:
            edited = recipe_fingerprint(values) != values["fingerprint"]
        except (KeyError, TypeError, ValueError, AttributeError):
            edited = True
        if edited:
            raise InputError(f"{path}: the recipe does not match its fingerprint (edited?); delete it and run again")
        try:
            outside = {} if run_code else {name: v for name, v in values["remedies"].items() if ":" in name}
            inside = {name: v for name, v in values["remedies"].items() if name not in outside}
            recipe = cls.model_validate(values | {"remedies": inside})
        except (ValidationError, LookupError, TypeError, AttributeError):
            raise InputError(f"{path}: another version wrote this recipe; delete it and run again") from None
        recipe._outside = outside
        return recipe

    def write(self, path) -> None:
        """Write the recipe as JSON."""
        write_json(path, self.model_dump(mode="json"))

    @property
    def earlier_tasks(self) -> list[str]:
        """Tasks that the adapter's ancestors learnt and its own stage does not, oldest first."""
        return [task for task in self.tasks if task not in self.learns]

    @property
    def task_name(self) -> str:
        """The tasks that the stage learns, joined."""
        return " + ".join(self.learns)


def describe_base_model(receipt: dict) -> RecipeModel:
    """Describe the base model with this receipt; local paths are left out, they are private and machine-specific."""
    origin = {} if "path" in receipt["origin"] else receipt["origin"]
    return RecipeModel(name=receipt["model"], fingerprint=receipt["fingerprint"], origin=origin)


def check_parents_numerics(settings, parents: list[Recipe]) -> None:
    """Refuse parents that were trained in another compute type or quantization: their scores are another model's.

    Parameters
    ----------
    settings
        A recipe, or the settings of one.
    parents
        Recipes of the adapters it is made from; one of an older version does not say its type (``auto``).

    Raises
    ------
    InputError
        For the first parent that differs.
    """
    for parent in parents:
        for key in ("dtype", "quantization"):
            theirs, value = getattr(parent, key), getattr(settings, key)
            if theirs not in (value, "auto"):
                raise InputError(
                    f"{settings.lineage}: {key} is {value}, and its parent {parent.lineage} was made with {theirs}; "
                    f"set {key} to {theirs}, or make the parent again"
                )


def recipe_fingerprint(values: dict) -> str:
    """Hash the facts of a recipe, as plain JSON data, that determine the bytes.

    Names and places are left out; the order of the tasks counts. It is computed from the data as written, so that a
    recipe of an older version still matches.
    """
    facts = {key: value for key, value in values.items() if key not in _NAMES}
    order = list(values["tasks"])
    facts["learns"] = [order.index(task) for task in values["learns"]]
    facts["tasks"] = [
        {key: value for key, value in task.items() if key != "fields"} | {"prompt": task["prompt"]["text"]}
        for task in values["tasks"].values()
    ]
    facts["model"] = values["model"]["fingerprint"]
    if adopted := values.get("adopted"):
        facts["adopted"] = {key: value for key, value in adopted.items() if key != "origin"}
        del facts["seed"]  # nothing is drawn, so one adapter in several runs is scored once
    facts["parents"] = [parent["fingerprint"] for parent in values["parents"]]
    return fingerprint(facts)


def code_fingerprints(remedies: Remedies, checksum=sha256_file) -> dict[str, str]:
    """Fingerprint the code of each remedy from outside this package: its module and the helper modules it imports."""
    return {
        name: fingerprint({module: checksum(path) for module, path in modules.items()})
        for name, modules in remedies.modules.items()
    }
