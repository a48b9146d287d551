"""Data of one stage as token ids, the adapter that it starts from, and its remedies' hooks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stagewise.data.items import read_split
from stagewise.errors import InputError
from stagewise.inference.prompts import EncodedPrompts, Encoder
from stagewise.inference.template import Template
from stagewise.recipe import Recipe
from stagewise.remedies.base import Remedy, Row, StartContext, TrainingContext, TrainingHook
from stagewise.task_kinds import TaskKind
from stagewise.training.new_lora import FrozenParent, add_new_lora, lora_config, trains_new_lora
from stagewise.training.pseudo_items import StoredItems

if TYPE_CHECKING:
    from stagewise.models.frozen_layers import FrozenLayers


@dataclass(frozen=True)
class ValidationPrompts:
    """Validation items of one task, for label scoring."""

    task: str
    prompts: list[list[int]]
    label_token_ids: list[list[int]]
    gold: list[int]
    """Codes of the gold labels."""
    kind: TaskKind = "classification"
    options: list[int] | None = None
    """Number of each item's options, of a multiple-choice task."""


@dataclass
class StageData:
    """Rows to train on, and items to validate on."""

    rows: list[Row] = field(default_factory=list)
    """Training rows, as all remedies have left them."""
    items: list[int] = field(default_factory=list)
    """Training items of each task that the stage learns; they decide its number of steps."""
    shortened: int = 0
    """Training prompts of the stage's own tasks that had to be shortened."""
    control_tokens: dict[str, int] = field(default_factory=dict)
    """Items by `task.split` whose text held control tokens of the model, which are encoded as plain text."""
    rehearsed: int = 0
    """Rows of earlier tasks among `rows`."""
    earlier_rows: dict[str, list[Row]] = field(default_factory=dict)
    """Training rows of earlier tasks, if a remedy needs them."""
    pseudo_items: dict[str, StoredItems] = field(default_factory=dict)
    """Items that the parent has made, by remedy."""
    pseudo_rows: dict[str, dict[str, list[Row]]] = field(default_factory=dict)
    """Rows of these items by remedy and earlier task."""
    label_token_ids: dict[str, list[list[int]]] = field(default_factory=dict)
    """Token ids of every label's answer, of tasks that are answered with one label."""
    validation_rows: list[Row] = field(default_factory=list)
    """Rows of the validation loss: those of the stage's own tasks."""
    validation: list[ValidationPrompts] = field(default_factory=list)
    """The same items for label scoring, by task; not those of tasks whose answers are generated."""
    earlier_validation: list[ValidationPrompts] = field(default_factory=list)
    """Validation items of earlier tasks that are answered with one label."""

    def earlier_rows_for(self, name: str, remedy: Remedy) -> dict[str, list[Row]]:
        """Rows of earlier tasks that a remedy gets: its pseudo-items, or training items if it needs them."""
        return self.pseudo_rows.get(name, self.earlier_rows if remedy.needs_earlier else {})


def load_stage_data(
    recipe: Recipe, tokenizer, data_dir, pseudo_items: dict[str, StoredItems] | None = None
) -> StageData:
    """Read and encode a stage's items, and let its remedies choose the training rows.

    Parameters
    ----------
    pseudo_items
        Items that the parent has made, by remedy.
    """
    data = StageData(pseudo_items=pseudo_items or {})
    remedies = recipe.remedies.in_training
    needs_earlier = any(remedy.needs_earlier for remedy in remedies.values())
    for task, spec in recipe.tasks.items():
        encoder = build_encoder(recipe, tokenizer, task)
        if encoder.has_labels:
            data.label_token_ids[task] = encoder.label_token_ids

        def encode_split(split: str, task=task, spec=spec, encoder=encoder) -> tuple[list[Row], int]:
            items = read_split(Path(data_dir) / task / f"{split}.jsonl", spec.words)
            rows, prompts = encode_items(task, items, encoder, recipe.training.loss_on)
            data.control_tokens[f"{task}.{split}"] = prompts.control_tokens
            return rows, prompts.shortened

        validation_rows, _ = encode_split("validation")
        if task in recipe.learns:
            rows, shortened = encode_split("train")
            data.rows += rows
            data.items.append(len(rows))
            data.shortened += shortened
            data.validation_rows += validation_rows
        elif needs_earlier:
            data.earlier_rows[task], _ = encode_split("train")
        if encoder.has_labels:
            prompts = _validation_prompts(task, validation_rows, encoder)
            (data.validation if task in recipe.learns else data.earlier_validation).append(prompts)
        for name, stored in data.pseudo_items.items():
            if task in stored.items:
                rows, _ = encode_items(task, stored.items[task], encoder, recipe.training.loss_on)
                data.pseudo_rows.setdefault(name, {})[task] = rows
    for name, remedy in remedies.items():
        data.rows = remedy.rows(data.rows, data.earlier_rows_for(name, remedy), recipe.seed)
    data.rehearsed = sum(row["task"] not in recipe.learns for row in data.rows)
    return data


def build_encoder(recipe: Recipe, tokenizer, task: str) -> Encoder:
    """Build the encoder of a task's items."""
    spec = recipe.tasks[task]
    template = Template(spec.prompt.file, spec.prompt.text)
    return Encoder.of_task(tokenizer, template, recipe.prompting, spec, recipe.max_length, task)


def _validation_prompts(task: str, rows: list[Row], encoder: Encoder) -> ValidationPrompts:
    prompts = [row["input_ids"][: row["prompt_tokens"]] for row in rows]
    options = [row["options"] for row in rows] if encoder.kind == "multiple_choice" else None
    gold = [row["label"] for row in rows]
    return ValidationPrompts(task, prompts, encoder.label_token_ids, gold, encoder.kind, options)


def encode_items(task: str, items: list[dict], encoder: Encoder, loss_on: str) -> tuple[list[Row], EncodedPrompts]:
    """Encode items with their answers; labels are -100 where the loss does not count.

    Returns
    -------
    rows, prompts
        One row per item, and the prompts with what was done to their texts.

    Raises
    ------
    InputError
        If an item does not fit; nothing is ever dropped silently.
    """
    rows, prompts = [], encoder.encode_prompts(items)
    for item, prompt in zip(items, prompts.ids, strict=True):
        answer = encoder.encode_own_answer(item)
        prompt_labels = [-100] * len(prompt) if loss_on == "answer" else prompt
        row = Row(
            input_ids=prompt + answer,
            labels=prompt_labels + answer,
            task=task,
            label=encoder.label_words.index(item["label"]) if encoder.has_labels else None,
            prompt_tokens=len(prompt),
        )
        if "options" in item:
            row["options"] = item["options"]
        rows.append(row)
    return rows, prompts


def initial_adapter(recipe: Recipe, base, parent_dir, scratch: Path) -> tuple:
    """Put the adapter that the stage starts from on the base model.

    Parameters
    ----------
    parent_dir
        Folder of the parent; None for a first stage.
    scratch
        Folder for adapters that remedies make.

    Returns
    -------
    model, lora_config
        The model to train, and the PEFT configuration of a new adapter that the trainer adds; None if the model has
        its adapter.
    """
    from stagewise.models.adapters import load_adapter
    from stagewise.models.module_tree import ModuleTree
    from stagewise.models.target_modules import adapted_modules

    lora = recipe.lora
    start = Path(parent_dir) if parent_dir else None
    if trains_new_lora(recipe):
        start = add_new_lora(start, scratch / "new-lora", base, lora, recipe.seed)
    for name, remedy in recipe.remedies.in_training.items():
        start = remedy.start(StartContext(start, scratch / f"start-{name}", base, lora, recipe.seed))
    if start:
        model = load_adapter(base, start, trainable=True, dropout=lora.dropout)
        _check_trainable(model, start)
        return model, None
    tree = ModuleTree.of(base)
    adapted_modules(tree, lora)  # refuses what PEFT would ignore
    return base, lora_config(tree, lora)


def _check_trainable(model, folder: Path) -> None:
    """Refuse to train on an adapter of the output head's weights, of which trl's loss reads the head's own alone.

    An adapter of parameters that are no layers, such as fused experts, is refused too: no test has trained one.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import TrainableTokensWrapper

    if model.peft_config["default"].target_parameters:
        raise InputError(f"{folder}: 'target_parameters' can be scored, but not trained on")
    if isinstance(model.get_base_model().get_output_embeddings(), BaseTunerLayer | TrainableTokensWrapper):
        raise InputError(
            f"{folder}: this adapter adds to the weights of the output head, or of embeddings that the head shares; it "
            "can be scored, but not trained on"
        )


def training_hooks(
    recipe: Recipe, data: StageData, model, tokenizer, steps: int = 0, frozen_layers: "FrozenLayers | None" = None
) -> list[TrainingHook]:
    """Build the hooks of the stage's remedies; the model has the starting weights, and `steps` are to come."""
    hooks = []
    # What chooses directions comes first, and the parent's part is frozen once all have seen its gradients.
    for name, remedy in sorted(recipe.remedies.in_training.items(), key=lambda entry: not entry[1].new_lora):
        context = TrainingContext(
            model=model,
            tokenizer=tokenizer,
            rows=data.rows,
            earlier_rows=data.earlier_rows_for(name, remedy),
            label_token_ids=data.label_token_ids,
            seed=recipe.seed,
            lora=recipe.lora,
            learns=tuple(recipe.learns),
            frozen_layers=frozen_layers,
            steps=steps,
        )
        if hook := remedy.hook(context):
            hooks.append(hook)
    if trains_new_lora(recipe):
        hooks.append(FrozenParent(model, recipe.lora.r))
    return hooks
