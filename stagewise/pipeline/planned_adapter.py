"""An adapter from elsewhere in the configuration, and what its folder holds."""

from functools import cached_property
from pathlib import Path

from stagewise.config.adopted import AdoptedAdapter
from stagewise.config.training import Lora
from stagewise.errors import InputError
from stagewise.models.adopted import (
    adapter_origin,
    changed_files,
    describe_adopted_adapter,
    local_folder,
    lora_settings,
)
from stagewise.pipeline import inputs
from stagewise.pipeline.planned_model import recorded_adoption
from stagewise.provenance.files import read_json
from stagewise.provenance.receipts import RECEIPT, damaged_files
from stagewise.provenance.sealed_json import is_sealed
from stagewise.recipe import Recipe, RecipeAdopted

ADAPTERS = Path("adapters")
"""Folder of all adapters from elsewhere."""


class PlannedAdapter:
    """An adapter that one or more stages adopt."""

    def __init__(self, adopted: AdoptedAdapter, checksum: inputs.Checksum):
        self.adopted, self._checksum = adopted, checksum
        self.folder = ADAPTERS / adopted.folder

    @cached_property
    def receipt(self) -> dict | None:
        """Its receipt; None if it is not here."""
        path = self.folder / RECEIPT
        return read_json(path, "the adapter's receipt") if path.is_file() else None

    @property
    def _files_at(self) -> Path | None:
        """Where its files are: in the user's folder, which decides what is current, or fetched; None if in neither."""
        if self.adopted.path is not None and Path(self.adopted.path).is_dir():
            return local_folder(self.adopted.path)
        return self.folder if self.receipt is not None else None

    @cached_property
    def changes(self) -> list[str]:
        """Differences between the fetched adapter and its receipt, the configuration or the user's folder."""
        receipt, origin = self.receipt, adapter_origin(self.adopted)
        if not is_sealed(receipt):
            return [f"damaged: {RECEIPT}"]
        if receipt["origin"] != origin:
            return inputs.reasons({"settings": receipt["origin"]}, {"settings": origin})
        damaged = [f"damaged: {name}" for name in damaged_files(self.folder, receipt, self._checksum)]
        return damaged or changed_files(self.adopted, receipt, self._checksum)

    def as_adopted(self, recipe: Path) -> tuple[RecipeAdopted, Lora]:
        """Describe it as what a stage adopts: as it is here, or else as the stage's `recipe` has it."""
        if (folder := self._files_at) is not None:
            return describe_adopted_adapter(self.adopted, folder, self._checksum), lora_settings(folder)
        adopted = recorded_adoption(recipe, f"{self.folder}: the adapter is not here")
        if adopted.origin != adapter_origin(self.adopted):
            raise InputError(f"{recipe}: names another adapter than the configuration")
        return adopted, Recipe.read(recipe).lora
