"""Questions to a model about single items: a task as the settings or an adapter's recipe describe it."""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.inheritance import DEFAULT_FILE
from stagewise.config.step_settings import ScoringSettings
from stagewise.config.training import Prompting
from stagewise.data.options import ItemOptions
from stagewise.errors import InputError
from stagewise.inference.control_tokens import describe_control_tokens
from stagewise.inference.finite import check_finite_logprobs
from stagewise.inference.generated_answers import MOST_TOKENS, generate_answers, with_answer_limit
from stagewise.inference.label_sets import read_label_set
from stagewise.inference.prompts import Encoder
from stagewise.inference.template import Template
from stagewise.inference.within_memory import within_memory
from stagewise.models.tuned import stage_folder
from stagewise.recipe import Recipe
from stagewise.task_kinds import TaskKind


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
    kind: TaskKind = "classification"
    no_label: str | None = None
    stop: tuple[str, ...] = ()
    """Texts at which a generated answer ends; an adapter's recipe knows of none."""
    max_new_tokens: int | None = None
    """Tokens of a generated answer; None is a quarter of `max_length`, at most `MOST_TOKENS`."""

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
            kind=spec.kind,
            no_label=spec.no_label,
            stop=tuple(spec.stop),
            max_new_tokens=spec.max_new_tokens,
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
            kind=spec.kind,
            no_label=spec.no_label,
        )

    def encoder(self, tokenizer) -> Encoder:
        """Build the task's encoder."""
        encoder = Encoder(
            tokenizer,
            self.template,
            self.prompting,
            self.label_words,
            self.max_length,
            self.shorten,
            self.task,
            self.kind,
            self.no_label,
        )
        most = self.max_new_tokens
        if self.kind == "generation" and most is None:
            most = min(MOST_TOKENS, self.max_length // 4)
        return with_answer_limit(encoder, [], most)

    def check_item(self, values: dict, source: str, number: int = 1) -> dict:
        """Check an item: a mapping of fields to text, or a line of a split file (``{"id", "fields"}``).

        The options of multiple choice are a list, or a text with a line for each.

        Parameters
        ----------
        source
            Name of the item's origin in an error.
        number
            Its id if it has none.

        Raises
        ------
        InputError
            For a field that is missing, unknown or no text, or options that are too few or too many.
        """
        fields = values.get("fields")
        if not isinstance(fields, dict):
            fields = {key: value for key, value in values.items() if key not in ("id", "label") or key in self.fields}
        item = {"id": str(values.get("id", number))}
        if self.kind == "multiple_choice" and "options" in fields:
            options = self._options(fields["options"], source)
            item["options"], fields = len(options.raw), fields | {"options": options.lines}
        names = ", ".join(self.fields)
        if unknown := sorted(set(fields) - set(self.fields)):
            raise InputError(f"{source}: '{unknown[0]}' is not a field of {self.task}; its fields are {names}")
        for name in self.fields:
            if name not in fields:
                raise InputError(f"{source}: the field '{name}' is missing; {self.task} needs {names}")
            if not isinstance(fields[name], str) or not fields[name].strip():
                raise InputError(f"{source}: the field '{name}' holds no text; {self.task} needs {names}")
        return item | {"fields": fields}

    def _options(self, value, source: str) -> ItemOptions:
        """Read the options of an item."""
        options = value.splitlines() if isinstance(value, str) else value
        if not isinstance(options, list) or not all(isinstance(text, str) for text in options):
            raise InputError(f"{source}: 'options' is neither a list of texts nor a text with a line for each option")
        options = [text for text in options if text.strip()]
        if not 2 <= len(options) <= len(self.label_words):
            raise InputError(
                f"{source}: {len(options)} options, and an item of {self.task} has from 2 to {len(self.label_words)}"
            )
        return ItemOptions(options, [])


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
    if settings is None and not Path(DEFAULT_FILE).is_file():
        remembers = f"the adapter remembers {', '.join(recipes)} and " if recipes else ""
        raise InputError(f"--task '{task}': {remembers}there is no {DEFAULT_FILE} here; name it with --settings")
    parsed = parse_settings(settings or [DEFAULT_FILE])
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
    """Answer each item.

    Returns
    -------
    For an answer of one label ``{"id", "label", "probabilities"}`` per item, the probabilities renormalized over the
    labels that the item has; for a set of labels ``{"id", "labels", "text"}``, with None if the text is no set of
    labels; for free text ``{"id", "text"}``.
    """
    from stagewise.models.torch_environment import import_libraries

    import_libraries("peft" if adapter_dir else "transformers.modeling_utils", quantization=question.quantization)
    from stagewise.models.adapters import load_adapter
    from stagewise.models.load import load_base, load_tokenizer

    encoder = question.encoder(load_tokenizer(model_dir))
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
    if not encoder.has_labels:
        texts, _ = within_memory(
            lambda tokens: generate_answers(model, encoder, prompts.ids, question.stop, tokens, progress),
            tokens_per_batch,
            longest=max(map(len, prompts.ids), default=0) + encoder.max_new_tokens,
        )
        return [{"id": item["id"]} | _read_text(encoder, text) for item, text in zip(items, texts, strict=True)]
    logprobs = _score_labels(model, encoder, prompts.ids, tokens_per_batch, progress)
    check_finite_logprobs(logprobs, question.task, model_dir, adapter_dir, question.dtype)
    return [
        {"id": item["id"]} | _most_probable(encoder.label_words[: item.get("options")], row)
        for item, row in zip(items, logprobs, strict=True)
    ]


def _score_labels(model, encoder: Encoder, prompts, tokens_per_batch: int, progress):
    from stagewise.inference import likelihood

    tokenizer, answers = encoder.tokenizer, encoder.label_token_ids
    logprobs, _ = within_memory(
        lambda tokens: likelihood.score(model, tokenizer, prompts, answers, tokens, progress),
        tokens_per_batch,
        longest=max(map(len, prompts), default=0),
    )
    return logprobs


def _most_probable(words: list[str], logprobs) -> dict:
    """Choose among the first labels, which an item has, by their log-probabilities."""
    values = [float(value) for value in logprobs[: len(words)]]
    weights = [math.exp(value - max(values)) for value in values]
    probabilities = {word: weight / sum(weights) for word, weight in zip(words, weights, strict=True)}
    return {"label": words[values.index(max(values))], "probabilities": probabilities}


def _read_text(encoder: Encoder, text: str) -> dict:
    if encoder.kind == "generation":
        return {"text": text}
    return {"labels": read_label_set(text, encoder.label_words, encoder.answer_without_label), "text": text}


def describe_answer(answer: dict) -> str:
    """Write an answer of `ask_model` in one line, a generated text as it is."""
    if "probabilities" in answer:
        probabilities = ", ".join(f"{word} {share:.3f}" for word, share in answer["probabilities"].items())
        return f"{answer['label']}  ({probabilities})"
    if answer.get("labels") is None:
        return answer["text"] + ("  (no set of labels)" if "labels" in answer else "")
    return ", ".join(answer["labels"]) or "no label"
