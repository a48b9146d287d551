"""Build the recipe of an adapter from the configuration, the data and its parents."""

from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.shareable import shareable_file
from stagewise.config.step_settings import RecipeSettings, TaskSettings
from stagewise.config.tasks import SPLITS
from stagewise.config.training import ALL_LINEAR, Lora
from stagewise.errors import InputError
from stagewise.inference.prompts import Template
from stagewise.lineage import Adapter
from stagewise.models.target_modules import LLAMA_LAYERS
from stagewise.provenance.files import sha256_file
from stagewise.recipe import Recipe, RecipeAdopted, RecipeModel, code_fingerprints
from stagewise.training import behaviour_versions


def recipe_settings(config: Config, adapter: Adapter) -> RecipeSettings:
    """Select the part of the configuration that determines one adapter; `config.dtype` is resolved already."""
    tasks = {name: config.active_tasks[name] for name in adapter.learnt_tasks}
    return RecipeSettings(
        lineage=adapter.lineage,
        stage=adapter.stage,
        learns=adapter.tasks,
        seed=adapter.seed,
        tasks={
            name: TaskSettings(
                kind=task.kind,
                prompt=task.prompt,
                words=task.words,
                shorten=task.shorten,
                max_length=task.max_length,
                fields=task.variables,
                no_label=task.no_label,
            )
            for name, task in tasks.items()
        },
        prompting=config.prompting,
        quantization=config.quantization,
        dtype=config.dtype,
        max_length=(adapter.training or config.training).max_length,
        lora=adapter.lora,
        new_lora=adapter.new_lora,
        training=adapter.training,
        remedies=adapter.remedies,
        adopted=adapter.adopted,
        tuned_model=adapter.tuned_model,
        lora_of_parent=adapter.lora_of_parent,
    )


def build_recipe(
    settings: RecipeSettings,
    model: RecipeModel,
    data_dir,
    parents: list[Recipe],
    checksum=None,
    taken: tuple[RecipeAdopted, Lora | None] | None = None,
) -> Recipe:
    """Build the recipe of one adapter.

    Parameters
    ----------
    settings
        Settings of the adapter, from the configuration (`recipe_settings`); those of its LoRA name the layers
        (`target_modules.with_layer_names`).
    model
        The base model (`describe_base_model`).
    data_dir
        Folder of the splits; their checksums go into the recipe.
    parents
        Recipes of the adapters it is made from: none for a first stage, one for a later one, more for a merged one.
    checksum
        Function that returns a file's SHA-256, for a plan that has remembered it; reads the file if not given.
    taken
        What the stage takes from elsewhere, and the LoRA of an adapter; None if it is made here.
    """
    if settings.dtype == "auto":
        raise ValueError("a recipe holds the resolved compute type, see stagewise.models.compute_type")
    tasks = {}
    for name, task in settings.tasks.items():
        template = Template.read(task.prompt, task.fields)
        tasks[name] = task.model_dump() | {
            "prompt": {"file": shareable_file(task.prompt), "text": template.text},
            "data": {split: (checksum or _checksum)(Path(data_dir) / name / f"{split}.jsonl") for split in SPLITS[:2]},
        }
    return Recipe.build(
        **settings.model_dump(exclude={"tasks", "remedies", "lora", "adopted", "tuned_model", "lora_of_parent"}),
        lora=_lora(settings, parents, taken),
        adopted=taken[0] if taken else None,
        tasks=tasks,
        remedies=settings.remedies,
        code=code_fingerprints(settings.remedies, checksum or sha256_file),
        behaviour=behaviour_versions(settings),
        model=model,
        parents=[{"lineage": parent.lineage, "fingerprint": parent.fingerprint} for parent in parents],
    )


def _lora(settings: RecipeSettings, parents: list[Recipe], taken: tuple[RecipeAdopted, Lora | None] | None) -> Lora:
    """LoRA of the adapter: an adopted one's, what went on from one has its shape, or else as the settings say."""
    if taken:
        # A fully fine-tuned model has none; recipes of older versions hold these layers.
        return taken[1] or Lora(target_modules=LLAMA_LAYERS)
    if settings.lora_of_parent:
        return parents[0].lora.model_copy(update={"dropout": settings.lora.dropout})
    if settings.lora.target_modules == ALL_LINEAR:
        raise ValueError("a recipe holds the names of the layers, see stagewise.models.target_modules")
    return settings.lora


def _checksum(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path}: the split is missing; run the step that makes the splits")
    return sha256_file(path)
