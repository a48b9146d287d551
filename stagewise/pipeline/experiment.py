"""Folders of an experiment, and facts that several of its outputs share."""

import os
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.shareable import LOCAL, shareable
from stagewise.config.step_settings import ScoringSettings
from stagewise.config.tasks import SPLITS
from stagewise.data.raw_files import RAW
from stagewise.errors import InputError
from stagewise.inference.prompts import Template
from stagewise.lineage import Adapter, data_folders, lineage_tree
from stagewise.models.receipts import changed_model_files, current_fingerprint, holds_model, located, write_location
from stagewise.pipeline import inputs
from stagewise.pipeline.build_recipe import build_recipe, recipe_settings
from stagewise.predictions.fingerprint import adapter_group, data_checksums, prediction_inputs
from stagewise.provenance.code import ProjectCode
from stagewise.provenance.files import read_json, sha256_file
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.receipts import RECEIPT, damaged_files
from stagewise.provenance.sealed_json import CHECKSUM, is_sealed
from stagewise.recipe import Recipe, RecipeModel, describe_base_model

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
        self.results, self.model = Path(config.results), Path("models") / config.model
        self.checkpoints = self.results / "checkpoints"
        self.data_folders = data_folders(config)
        self._recipes: dict[str, Recipe] = {}
        self._summaries: dict[str, dict] = {}
        self._scored: dict[str, dict] = {}

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

    @cached_property
    def model_receipt(self) -> dict | None:
        """The base model's receipt; None if the model is not here."""
        path = self.model / RECEIPT
        return located(self.model, read_json(path, "the base model's receipt")) if path.is_file() else None

    @cached_property
    def model_changes(self) -> list[str]:
        """Differences between the base model and its receipt, or the configuration."""
        receipt, settings = self.model_receipt, self.config.base_model
        recorded, expected = shareable(receipt["origin"]), shareable(settings.origin)
        if (receipt["model"], recorded) != (self.config.model, expected):
            return inputs.reasons({"settings": recorded}, {"settings": expected}) or [
                f"model {receipt['model']} -> {self.config.model}"
            ]
        if fingerprint(receipt["files"]) != receipt["fingerprint"]:
            return [f"damaged: {RECEIPT}"]
        if self._model_has_moved:
            there = receipt | {"path": str(Path(settings.path).resolve())}
            # A receipt of an earlier version holds the path itself.
            if read_json(self.model / RECEIPT, "the receipt")["path"] != LOCAL or not holds_model(self.model, there):
                return [f"the model's folder is {settings.path} now"]
            return changed_model_files(self.model, there, self.checksum)
        return changed_model_files(self.model, receipt, self.checksum)

    @property
    def _model_has_moved(self) -> bool:
        """True if the configuration names another directory than the receipt, or the receipt came without its place."""
        path = self.config.base_model.path and Path(self.config.base_model.path)
        return bool(path) and path.is_dir() and (self.model / self.model_receipt["path"]).resolve() != path.resolve()

    def locate_model(self) -> None:
        """Write down where the model is now: its files are the same, so nothing is made again."""
        if self._model_has_moved:
            write_location(self.model, self.config.base_model.path)

    @cached_property
    def base_model(self) -> RecipeModel:
        """Describe the base model: as it is here, or else as the recipes have it."""
        origin, path = shareable(self.config.base_model.origin), self.config.base_model.path
        if receipt := self.model_receipt:
            if path and Path(path).is_dir():
                # What the folder holds now decides, wherever it was when the receipt was written.
                there = receipt | {"path": str(Path(path).resolve())}
                return describe_base_model(
                    {
                        "model": self.config.model,
                        "origin": origin,
                        "fingerprint": current_fingerprint(self.model, there, self.checksum),
                    }
                )
            if shareable(receipt["origin"]) != origin:
                raise InputError(f"{self.model}: not the model that the configuration names")
            return describe_base_model(receipt | {"fingerprint": fingerprint(receipt["files"])})
        for lineage in self.adapters:
            try:
                model = Recipe.read(self.results / lineage / "recipe.json").model
            except InputError:
                continue
            if model.origin == origin:
                return model
        raise InputError(f"{self.model}: the base model is not here, and no recipe names this one")

    def expected_recipe(self, lineage: str) -> Recipe:
        """Build the recipe that an adapter should have."""
        if lineage not in self._recipes:
            adapter = self.adapters[lineage]
            self._recipes[lineage] = build_recipe(
                recipe_settings(self.config, adapter),
                self.base_model,
                self.results / adapter.data,
                [self.expected_recipe(parent) for parent in adapter.parents],
                self.split_checksum,
            )
        return self._recipes[lineage]

    @cached_property
    def _scoring(self) -> tuple[ScoringSettings, dict[str, Template]]:
        settings = self.config.scoring_settings()
        return settings, {name: Template.read(task.prompt, task.fields) for name, task in settings.tasks.items()}

    def prediction_inputs(self, folder: str, adapter: Path | None) -> dict:
        """Record what predictions on a folder of splits are made from; `adapter` is the path of its receipt."""
        settings, templates = self._scoring
        receipt = read_json(adapter, "an adapter's receipt") if adapter else None
        if folder not in self._scored:
            data = data_checksums(self.results / folder, settings, self.split_checksum)
            self._scored[folder] = prediction_inputs(settings, templates, self.base_model.fingerprint, data)
        return self._scored[folder] | adapter_group(receipt)

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
