"""What it takes to ask a model one item: from the settings, or from what an adapter remembers of its training."""

from dataclasses import dataclass

from stagewise.config.experiment import Config
from stagewise.config.step_settings import ScoringSettings
from stagewise.config.training import Prompting
from stagewise.errors import InputError
from stagewise.inference.prompts import Encoder, Template
from stagewise.models.adapters import adapter_folder
from stagewise.recipe import Recipe


@dataclass(frozen=True)
class Question:
    """One task as a model is asked about it."""

    task: str
    template: Template
    fields: list[str]
    words: list[str]
    shorten: str | None
    prompting: Prompting
    max_length: int
    quantization: str
    dtype: str
    model: str | None
    """Name of the base model, where known."""

    @classmethod
    def from_settings(cls, settings: ScoringSettings, task: str, model: str | None = None) -> "Question":
        """The task as the settings declare it.

        Raises
        ------
        InputError
            For an unknown task, or a prompt that does not fit its fields.
        """
        spec = settings.tasks.get(task)
        if spec is None:
            raise InputError(f"--task '{task}' is not one of {', '.join(settings.tasks)}")
        return cls(
            task=task,
            template=Template.read(spec.prompt, spec.fields),
            fields=list(spec.fields),
            words=spec.words,
            shorten=spec.shorten,
            prompting=settings.prompting,
            max_length=settings.max_length,
            quantization=settings.quantization,
            dtype=settings.dtype,
            model=model,
        )

    @classmethod
    def from_recipe(cls, recipe: Recipe, task: str) -> "Question":
        """A task of an adapter's lineage as it was trained; needs no other file."""
        spec = recipe.tasks[task]
        return cls(
            task=task,
            template=Template(spec.prompt.file, spec.prompt.text),
            fields=spec.fields,
            words=spec.words,
            shorten=spec.shorten,
            prompting=recipe.prompting,
            max_length=recipe.max_length,
            quantization=recipe.quantization,
            dtype=recipe.dtype,
            model=recipe.model.name,
        )

    def encoder(self, tokenizer) -> Encoder:
        return Encoder(tokenizer, self.template, self.prompting, self.words, self.max_length, self.shorten)

    def item(self, values: dict, where: str, number: int = 1) -> dict:
        """An item from a mapping of fields to text, or from a line of a split file (``{"id", "fields"}``).

        Its `number` is its id where it has none; `where` is what an error calls it.

        Raises
        ------
        InputError
            For a field that is missing, unknown or no text.
        """
        fields = values.get("fields")
        if not isinstance(fields, dict):
            fields = {key: value for key, value in values.items() if key not in ("id", "label") or key in self.fields}
        known = ", ".join(self.fields)
        if unknown := sorted(set(fields) - set(self.fields)):
            raise InputError(f"{where}: '{unknown[0]}' is not a field of {self.task}; its fields are {known}")
        for name in self.fields:
            if name not in fields:
                raise InputError(f"{where}: the field '{name}' is missing; {self.task} needs {known}")
            if not isinstance(fields[name], str) or not fields[name].strip():
                raise InputError(f"{where}: the field '{name}' holds no text; {self.task} needs {known}")
        return {"id": str(values.get("id", number)), "fields": fields}


def remembered(adapter_dir) -> dict[str, Recipe]:
    """The recipe in an adapter's folder or beside it, by task: what its stage learnt, then its ancestors' tasks."""
    folder = adapter_folder(adapter_dir).resolve()
    for place in (folder, folder.parent):
        if (place / "recipe.json").is_file():
            recipe = Recipe.read(place / "recipe.json")
            return dict.fromkeys([*recipe.learns, *reversed(recipe.earlier_tasks)], recipe)
    return {}


def every_task(config: Config) -> ScoringSettings:
    """Scoring settings with every declared task, whether an arm uses it or not."""
    tasks = {name: task for name, task in config.tasks.items() if task is not None}
    return config.scoring_settings().model_copy(update={"tasks": tasks})
