"""Folders of an experiment, and facts that several of its outputs share."""

import os
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.step_settings import RecipeSettings, ScoringSettings
from stagewise.config.tasks import SPLITS
from stagewise.config.training import Lora
from stagewise.data.raw_files import RAW
from stagewise.inference.prompts import Template
from stagewise.lineage import Adapter, data_folders, lineage_tree, untuned_lineages
from stagewise.pipeline import inputs
from stagewise.pipeline.build_recipe import build_recipe, recipe_settings
from stagewise.pipeline.planned_adapter import PlannedAdapter
from stagewise.pipeline.planned_model import PlannedModel
from stagewise.predictions.fingerprint import adapter_group, data_checksums, prediction_inputs
from stagewise.provenance.code import ProjectCode
from stagewise.provenance.files import read_json, sha256_file
from stagewise.provenance.receipts import RECEIPT, damaged_files
from stagewise.provenance.sealed_json import CHECKSUM, is_sealed
from stagewise.recipe import Recipe, RecipeAdopted, RecipeModel

DEFINITION = Path("Snakefile")
"""Input of steps that have no other, or none that is sure to have a date."""


class Experiment:
    """Context of every declaration of artifacts.

    Parameters
    ----------
    config
        The experiment, its compute type resolved.
    declared
        The experiment as the user wrote it; the report shows this one.
    image
        SHA-256 of the container image that this run uses, if it uses one.
    definition
        File that steps without any input depend on: with none, Snakemake would never fetch again.
    checksum
        SHA-256 of a file: `sha256_file`, or remembered checksums.
    code
        The project's code.
    raw
        Folder of the fetched raw files.
    """

    def __init__(
        self,
        config: Config,
        declared: Config | None = None,
        image: str | None = None,
        definition: Path = DEFINITION,
        checksum: inputs.Checksum = sha256_file,
        code: ProjectCode | None = None,
        raw: str = RAW,
    ):
        self.config, self.declared = config, declared or config
        self.image, self.definition, self.raw = image, definition, raw
        self.checksum, self.code = checksum, code or ProjectCode()
        self.adapters: dict[str, Adapter] = lineage_tree(config)
        self.results = Path(config.results)
        self.models = {name: PlannedModel(name, model, checksum) for name, model in config.used_models.items()}
        self.untuned = untuned_lineages(config)
        sources = {adapter.adopted.folder: adapter.adopted for adapter in self.adapters.values() if adapter.adopted}
        self.adopted_adapters = {name: PlannedAdapter(source, checksum) for name, source in sources.items()}
        self.checkpoints = self.results / "checkpoints"
        self.data_folders = data_folders(config)
        self._recipes: dict[str, Recipe] = {}
        self._summaries: dict[str, dict] = {}
        self._scored: dict[tuple[str, str], dict] = {}
        self._base_models: dict[str, RecipeModel] = {}

    def checksum_if_there(self, path) -> str | None:
        """SHA-256 of an input; None if it is not made yet, or lost."""
        return inputs.checksum_if_there(path, self.checksum)

    def summary(self, folder: str) -> dict:
        """Read the summary of a folder of splits, once."""
        if folder not in self._summaries:
            self._summaries[folder] = read_json(self.results / folder / "summary.json", "the data's summary")
        return self._summaries[folder]

    def split_files(self, folder: str, tasks, splits=SPLITS) -> list[Path]:
        return [self.results / folder / task / f"{split}.jsonl" for task in tasks for split in splits]

    def split_checksum(self, path) -> str:
        """SHA-256 of a split as its folder's summary has it (the split itself may be elsewhere); of others as read."""
        path = Path(path)
        if path.suffix != ".jsonl":
            return self.checksum(path)
        folder = path.parent.parent.relative_to(self.results).as_posix()
        return self.summary(folder)["tasks"][path.parent.name]["splits"][path.stem]["sha256"]

    def base_of(self, lineage: str) -> str:
        """Lineage of the untuned base model of an adapter; of an untuned model itself."""
        return self.adapters[lineage].base if lineage in self.adapters else lineage

    def model_receipt(self, lineage: str) -> Path:
        """Receipt of a lineage's base model."""
        return self.models[self.untuned[self.base_of(lineage)]].folder / RECEIPT

    def base_model(self, lineage: str) -> RecipeModel:
        """Describe a lineage's base model: as it is here, or else as the recipes have it."""
        base = self.base_of(lineage)
        if base not in self._base_models:
            recipes = (self.results / name / "recipe.json" for name, a in self.adapters.items() if a.base == base)
            self._base_models[base] = self.models[self.untuned[base]].as_base(recipes)
        return self._base_models[base]

    def taken_from(self, adapter: Adapter) -> list[Path]:
        """Receipts of what a stage takes from elsewhere."""
        if adapter.adopted:
            return [self.adopted_adapters[adapter.adopted.folder].folder / RECEIPT]
        return [self.models[adapter.tuned_model].folder / RECEIPT] if adapter.tuned_model else []

    def _adopted(self, adapter: Adapter) -> tuple[RecipeAdopted, Lora | None] | None:
        """Describe what a stage takes from elsewhere, and the adapter's LoRA; None if it takes nothing."""
        recipe = self.results / adapter.lineage / "recipe.json"
        if adapter.adopted:
            return self.adopted_adapters[adapter.adopted.folder].as_adopted(recipe)
        return (self.models[adapter.tuned_model].as_adopted(recipe), None) if adapter.tuned_model else None

    def expected_recipe(self, lineage: str) -> Recipe:
        """Build the recipe that an adapter should have."""
        if lineage not in self._recipes:
            adapter = self.adapters[lineage]
            self._recipes[lineage] = build_recipe(
                self._recipe_settings(adapter),
                self.base_model(lineage),
                self.results / adapter.data,
                [self.expected_recipe(parent) for parent in adapter.parents],
                self.split_checksum,
                self._adopted(adapter),
            )
        return self._recipes[lineage]

    def _recipe_settings(self, adapter: Adapter) -> RecipeSettings:
        """Select the settings of an adapter's recipe; the layers of a LoRA that it makes are named."""
        settings = recipe_settings(self.config, adapter)
        if adapter.adopted or adapter.tuned_model or adapter.lora_of_parent:
            return settings
        recipe = self.results / adapter.lineage / "recipe.json"
        lora = self.models[self.untuned[adapter.base]].with_layer_names(settings.lora, recipe)
        return settings.model_copy(update={"lora": lora})

    @cached_property
    def _scoring(self) -> tuple[ScoringSettings, dict[str, Template]]:
        settings = self.config.scoring_settings()
        return settings, {name: Template.read(task.prompt, task.variables) for name, task in settings.tasks.items()}

    def prediction_inputs(self, lineage: str, folder: str, adapter: Path | None) -> dict:
        """Record what a lineage's predictions on a folder of splits are made from; `adapter` is its receipt's path."""
        settings, templates = self._scoring
        receipt, key = read_json(adapter, "an adapter's receipt") if adapter else None, (self.base_of(lineage), folder)
        if key not in self._scored:
            data = data_checksums(self.results / folder, settings, self.split_checksum)
            model = self.base_model(lineage).fingerprint
            self._scored[key] = prediction_inputs(settings, templates, model, data)
        return self._scored[key] | adapter_group(receipt)

    def differences(self, recorded: dict, expected: dict) -> list[str]:
        """Phrase what differs between an output's inputs record and what it should be."""
        prompts = {name: task.prompt for name, task in self.config.active_tasks.items()}
        return inputs.reasons(recorded, expected, prompts)

    def record_reasons(self, record: Path, expected: Callable[[], dict], optional: Iterable[Path] = ()) -> list[str]:
        """Compare an output's inputs record, its image and its files with what they should be."""
        values = read_json(record, "the receipt")
        if CHECKSUM not in values:
            return ["written by another version"]
        if not is_sealed(values):
            return [f"damaged: {record.name}"]
        reasons = [] if self.image in (None, values.get("image")) else ["another image"]
        reasons += self.differences(values["inputs"], expected())
        names = [os.path.relpath(path, record.parent) for path in optional]
        return reasons + [
            f"damaged: {name}" for name in damaged_files(record.parent, values, self.checksum, optional=names)
        ]
