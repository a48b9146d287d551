"""What one stage is trained on and from: rows, validation items, the adapter it starts from, its remedies."""

from dataclasses import dataclass, field
from pathlib import Path

from stagewise.data.items import read_split
from stagewise.errors import InputError
from stagewise.inference.prompts import Encoder, Template
from stagewise.recipe import Recipe
from stagewise.remedies.base import Effect, Row, Scene
from stagewise.training.arguments import check_target_modules
from stagewise.training.trainer import Questions


@dataclass
class Material:
    """One stage's data as token ids."""

    rows: list[Row]
    """What is trained on."""
    items: list[int]
    """Training items of each task that the stage learns; they decide its number of steps."""
    rehearsed: int
    """Rows of earlier tasks among `rows`."""
    shortened: int
    """Prompts among the stage's own that had to be shortened."""
    earlier: dict[str, list[Row]]
    """Training rows of earlier tasks, where a remedy needs them."""
    answers: dict[str, list[list[int]]]
    validation_rows: list[Row]
    validation: list[Questions] = field(default_factory=list)
    watched: list[Questions] = field(default_factory=list)


def prepare(recipe: Recipe, tokenizer, data_dir) -> Material:
    """Encode what the stage trains on and is watched by, with every remedy's say in it."""
    own, validation, shortened, questions, answers = [], [], 0, {}, {}
    items, earlier = [], {}
    remedies = recipe.remedies.in_training
    needed = any(remedy.needs_earlier for remedy in remedies.values())
    for task, facts in recipe.tasks.items():
        encoder = Encoder(
            tokenizer,
            Template(facts.prompt.file, facts.prompt.text),
            recipe.prompting,
            facts.words,
            recipe.max_length,
            facts.shorten,
        )
        answers[task] = encoder.answers
        folder, learns = Path(data_dir) / task, task in recipe.learns
        if learns or needed:
            read = read_split(folder / "train.jsonl", facts.words)
            rows, cut = encode_items(task, read, encoder, recipe.training.loss_on)
            if learns:
                own, shortened, items = own + rows, shortened + cut, [*items, len(rows)]
            else:
                earlier[task] = rows
        read = read_split(folder / "validation.jsonl", facts.words)
        rows, _ = encode_items(task, read, encoder, recipe.training.loss_on)
        if learns:
            validation += rows
        prompts = [row["input_ids"][: row["prompt_tokens"]] for row in rows]
        questions[task] = Questions(task, prompts, encoder.answers, [row["label"] for row in rows])
    rows = own
    for remedy in remedies.values():
        rows = remedy.rows(rows, earlier, recipe.seed)
    return Material(
        rows=rows,
        items=items,
        rehearsed=sum(row["task"] not in recipe.learns for row in rows),
        shortened=shortened,
        earlier=earlier,
        answers=answers,
        validation_rows=validation,
        validation=[questions[task] for task in recipe.learns],
        watched=[questions[task] for task in recipe.earlier_tasks],
    )


def start(recipe: Recipe, base, parent, store: Path) -> tuple:
    """The model to train and, where the adapter is new, its PEFT configuration."""
    from peft import LoraConfig

    from stagewise.models.adapters import load_adapter

    folder = Path(parent) if parent else None
    for name, remedy in recipe.remedies.in_training.items():
        folder = remedy.start(folder, store / f"start-{name}", recipe.lora.model_dump(), recipe.seed)
    if folder:
        return load_adapter(base, folder, trainable=True), None
    check_target_modules(base, recipe.lora.target_modules)
    last = recipe.lora.last_layers
    count = base.config.get_text_config().num_hidden_layers
    if last is not None and last > count:
        raise InputError(f"config: lora.last_layers is {last}, but the base model has {count} layers")
    return base, LoraConfig(
        layers_to_transform=None if last is None else list(range(count - last, count)),
        r=recipe.lora.r,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=recipe.lora.target_modules,
        bias="none",
        task_type="CAUSAL_LM",
    )


def effects(recipe: Recipe, material: Material, model, tokenizer) -> list[Effect]:
    """What the stage's remedies do during training."""
    found = []
    for remedy in recipe.remedies.in_training.values():
        scene = Scene(
            model=model,
            tokenizer=tokenizer,
            rows=material.rows,
            earlier=material.earlier if remedy.needs_earlier else {},
            answers=material.answers,
            seed=recipe.seed,
            lora=recipe.lora.model_dump(),
        )
        if effect := remedy.effect(scene):
            found.append(effect)
    return found


def encode_items(task: str, items: list[dict], encoder: Encoder, loss_on: str) -> tuple[list[Row], int]:
    """Token ids and labels (-100 where the loss does not count) of every item.

    Returns
    -------
    rows, shortened
        One row per item, and how many prompts were shortened to fit.

    Raises
    ------
    InputError
        Where an item does not fit; nothing is ever dropped silently.
    """
    rows, shortened = [], 0
    for item in items:
        prompt, cut = encoder.prompt(item)
        answer = encoder.answer(item["label"])
        ignored = [-100] * len(prompt) if loss_on == "answer" else prompt
        rows.append(
            Row(
                input_ids=prompt + answer,
                labels=ignored + answer,
                task=task,
                label=encoder.words.index(item["label"]),
                prompt_tokens=len(prompt),
            )
        )
        shortened += cut
    return rows, shortened
