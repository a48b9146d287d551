"""Questions to a model about single items: a task as the settings or an adapter's recipe describe it."""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.step_settings import ScoringSettings
from stagewise.config.training import Prompting
from stagewise.errors import InputError
from stagewise.inference.control_tokens import describe_control_tokens
from stagewise.inference.finite import check_finite_logprobs
from stagewise.inference.prompts import Encoder, Template
from stagewise.inference.within_memory import within_memory
from stagewise.models.tuned import stage_folder
from stagewise.recipe import Recipe

DEFAULT_SETTINGS = "config.yaml"


@dataclass(frozen=True)
class Question:
    """A task, and how a model is asked about its items."""

    task: str
    template: Template
    fields: list[str]
    label_words: list[str]
    shorten: str | None
    prompting: Prompting
    max_length: int
    quantization: str
    dtype: str
    model: str | None
    """Name of the base model, if known."""

    @classmethod
    def from_config(cls, config: Config, task: str) -> "Question":
        """Describe a declared task, also if no arm uses it."""
        tasks = {name: declared for name, declared in config.tasks.items() if declared is not None}
        settings = config.scoring_settings().model_copy(update={"tasks": tasks})
        return cls.from_settings(settings, task, config.model)

    @classmethod
    def from_settings(cls, settings: ScoringSettings, task: str, model: str | None = None) -> "Question":
        """Describe a task of the settings.

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
            template=Template.read(spec.prompt, spec.variables),
            fields=spec.variables,
            label_words=spec.words,
            shorten=spec.shorten,
            prompting=settings.prompting,
            max_length=spec.max_length or settings.max_length,
            quantization=settings.quantization,
            dtype=settings.dtype,
            model=model,
        )

    @classmethod
    def from_recipe(cls, recipe: Recipe, task: str) -> "Question":
        """Describe a task of an adapter's lineage as it was trained; no other file is needed."""
        spec = recipe.tasks[task]
        return cls(
            task=task,
            template=Template(spec.prompt.file, spec.prompt.text),
            fields=spec.fields,
            label_words=spec.words,
            shorten=spec.shorten,
            prompting=recipe.prompting,
            max_length=spec.max_length or recipe.max_length,
            quantization=recipe.quantization,
            dtype=recipe.dtype,
            model=recipe.model.name,
        )

    def encoder(self, tokenizer) -> Encoder:
        """Build the task's encoder."""
        return Encoder(
            tokenizer, self.template, self.prompting, self.label_words, self.max_length, self.shorten, self.task
        )

    def check_item(self, values: dict, source: str, number: int = 1) -> dict:
        """Check an item: a mapping of fields to text, or a line of a split file (``{"id", "fields"}``).

        Parameters
        ----------
        source
            Name of the item's origin in an error.
        number
            Its id if it has none.

        Raises
        ------
        InputError
            For a field that is missing, unknown or no text.
        """
        fields = values.get("fields")
        if not isinstance(fields, dict):
            fields = {key: value for key, value in values.items() if key not in ("id", "label") or key in self.fields}
        names = ", ".join(self.fields)
        if unknown := sorted(set(fields) - set(self.fields)):
            raise InputError(f"{source}: '{unknown[0]}' is not a field of {self.task}; its fields are {names}")
        for name in self.fields:
            if name not in fields:
                raise InputError(f"{source}: the field '{name}' is missing; {self.task} needs {names}")
            if not isinstance(fields[name], str) or not fields[name].strip():
                raise InputError(f"{source}: the field '{name}' holds no text; {self.task} needs {names}")
        return {"id": str(values.get("id", number)), "fields": fields}


def find_question(adapter_dir, task: str | None, settings: list[str] | None, parse_settings) -> Question:
    """Find the task to ask about: in the settings if given, else in the adapter's recipe, else in ``config.yaml``.

    Parameters
    ----------
    adapter_dir
        Folder of the adapter; None asks the base model.
    task
        Name of the task; the adapter's own if None.
    settings
        Settings as the command line has them.
    parse_settings
        Function that reads them as `Config` or `ScoringSettings`.
    """
    recipes = recipes_by_task(adapter_dir) if adapter_dir else {}
    task = task or next(iter(recipes), None)
    if task is None:
        raise InputError("--task: name the task to ask about")
    if settings is None and task in recipes:
        return Question.from_recipe(recipes[task], task)
    if settings is None and not Path(DEFAULT_SETTINGS).is_file():
        remembers = f"the adapter remembers {', '.join(recipes)} and " if recipes else ""
        raise InputError(f"--task '{task}': {remembers}there is no {DEFAULT_SETTINGS} here; name it with --settings")
    parsed = parse_settings(settings or [DEFAULT_SETTINGS])
    return (Question.from_config if isinstance(parsed, Config) else Question.from_settings)(parsed, task)


def recipes_by_task(adapter_dir) -> dict[str, Recipe]:
    """Read the recipe in an adapter's folder or beside it, by task: its stage's own tasks, then its ancestors'."""
    folder = stage_folder(adapter_dir).resolve()
    for candidate in (folder / "recipe.json", folder.parent / "recipe.json"):
        if candidate.is_file():
            recipe = Recipe.read(candidate)
            return dict.fromkeys([*recipe.learns, *reversed(recipe.earlier_tasks)], recipe)
    return {}


def find_model(folder: str | None, question: Question) -> str:
    """Find the base model's folder: the one given, or ``models/NAME``."""
    if folder:
        return folder
    if question.model is None:
        raise InputError("--model: name the folder of the base model")
    path = Path("models") / question.model
    if not (path / "receipt.json").is_file():
        raise InputError(f"{path}: the base model is not there; fetch it (scripts.fetch_model) or name it with --model")
    return str(path)


def ask_model(question: Question, items: list[dict], model_dir, adapter_dir, tokens_per_batch: int) -> list[dict]:
    """Label each item.

    Returns
    -------
    ``{"id", "label", "probabilities"}`` per item; probabilities are renormalized over the task's labels.
    """
    from stagewise.models.torch_environment import import_libraries

    import_libraries("peft" if adapter_dir else "transformers.modeling_utils", quantization=question.quantization)
    from stagewise.inference import likelihood
    from stagewise.models.adapters import load_adapter
    from stagewise.models.load import load_base, load_tokenizer

    tokenizer = load_tokenizer(model_dir)
    encoder = question.encoder(tokenizer)
    prompts = encoder.encode_prompts(items)
    if prompts.control_tokens:
        print(describe_control_tokens(prompts.control_tokens), file=sys.stderr)
    if prompts.shortened:
        shortened = f"{prompts.shortened} of {len(items)} items were shortened"
        print(f"{shortened} to {question.max_length} tokens", file=sys.stderr)
    model = load_base(model_dir, question.quantization, question.dtype)
    if adapter_dir:
        model = load_adapter(model, adapter_dir)
    progress = question.task if len(items) > 1 else None
    scores, _ = within_memory(
        lambda tokens: likelihood.score(model, tokenizer, prompts.ids, encoder.label_token_ids, tokens, progress),
        tokens_per_batch,
        longest=max(map(len, prompts.ids), default=0),
    )
    check_finite_logprobs(scores, question.task, model_dir, adapter_dir, question.dtype)
    answers = []
    for item, row in zip(items, scores, strict=True):
        weights = [math.exp(value - max(row)) for value in row]
        probabilities = {
            word: weight / sum(weights) for word, weight in zip(question.label_words, weights, strict=True)
        }
        answers.append({"id": item["id"], "label": question.label_words[row.argmax()], "probabilities": probabilities})
    return answers
