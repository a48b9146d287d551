"""A model of the configuration, and what its folder holds: what is stale there, and how recipes describe it."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from stagewise.config.base_model import Model
from stagewise.config.shareable import LOCAL, shareable
from stagewise.config.training import ALL_LINEAR, Lora
from stagewise.errors import InputError
from stagewise.models.gguf import GGUF_SHA256, gguf_origin
from stagewise.models.receipts import (
    changed_model_files,
    current_files,
    current_fingerprint,
    holds_model,
    located,
    write_location,
)
from stagewise.models.target_modules import with_layer_names
from stagewise.pipeline import inputs
from stagewise.provenance.files import read_json
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.receipts import RECEIPT
from stagewise.recipe import Recipe, RecipeAdopted, RecipeModel, describe_base_model


class PlannedModel:
    """A base model, or a fully fine-tuned one.

    Parameters
    ----------
    name
        Its name among `models`.
    settings
        Its origin.
    checksum
        SHA-256 of a file.
    """

    def __init__(self, name: str, settings: Model, checksum: inputs.Checksum):
        self.name, self.settings, self._checksum = name, settings, checksum
        self.folder = Path("models") / name
        self._layer_names: dict[int | None, list[str]] = {}

    @cached_property
    def receipt(self) -> dict | None:
        """The model's receipt; None if the model is not here."""
        path = self.folder / RECEIPT
        return located(self.folder, read_json(path, "the base model's receipt")) if path.is_file() else None

    @cached_property
    def origin(self) -> dict:
        """Origin, as plain data that may be passed on; of a local GGUF file with its checksum, or the recorded one."""
        if not self.settings.is_gguf:
            return shareable(self.settings.origin)
        path = Path(self.settings.path)
        digest = self._checksum(path) if path.is_file() else (self.receipt or {}).get("origin", {}).get(GGUF_SHA256)
        return gguf_origin(self.settings, digest)

    @cached_property
    def changes(self) -> list[str]:
        """Differences between the model and its receipt, or the configuration."""
        receipt, settings = self.receipt, self.settings
        recorded, expected = shareable(receipt["origin"]), self.origin
        if (receipt["model"], recorded) != (self.name, expected):
            return inputs.reasons({"settings": recorded}, {"settings": expected}) or [
                f"model {receipt['model']} -> {self.name}"
            ]
        if fingerprint(receipt["files"]) != receipt["fingerprint"]:
            return [f"damaged: {RECEIPT}"]
        if self._has_moved:
            there = self._receipt_there
            # A receipt of an earlier version holds the path itself.
            if read_json(self.folder / RECEIPT, "the receipt")["path"] != LOCAL or not holds_model(self.folder, there):
                return [f"the model's folder is {settings.path} now"]
            return changed_model_files(self.folder, there, self._checksum)
        return changed_model_files(self.folder, receipt, self._checksum)

    @property
    def _receipt_there(self) -> dict:
        """The receipt, with the directory that the configuration names."""
        return self.receipt | {"path": str(Path(self.settings.path).resolve())}

    @property
    def _is_in_place(self) -> bool:
        """True if the configuration names a directory that is here."""
        return bool(self.settings.path) and Path(self.settings.path).is_dir()

    @property
    def _has_moved(self) -> bool:
        """True if the configuration names another directory than the receipt, or the receipt came without its place."""
        if not self._is_in_place:
            return False
        return (self.folder / self.receipt["path"]).resolve() != Path(self.settings.path).resolve()

    def locate(self) -> None:
        """Write down where the model is now: its files are the same, so nothing is made again."""
        if self._has_moved:
            write_location(self.folder, self.settings.path)

    def as_base(self, recipes: Iterable[Path]) -> RecipeModel:
        """Describe it as a base model: as it is here, or else as one of the `recipes` has it."""
        origin = self.origin
        if receipt := self.receipt:
            if self._is_in_place:
                # What the folder holds now decides, wherever it was when the receipt was written.
                digest = current_fingerprint(self.folder, self._receipt_there, self._checksum)
                return describe_base_model({"model": self.name, "origin": origin, "fingerprint": digest})
            if shareable(receipt["origin"]) != origin:
                raise InputError(f"{self.folder}: not the model that the configuration names")
            return describe_base_model(receipt | {"fingerprint": fingerprint(receipt["files"])})
        for path in recipes:
            try:
                model = Recipe.read(path).model
            except InputError:
                continue
            if model.origin == origin:
                return model
        raise InputError(f"{self.folder}: the base model is not here, and no recipe names this one")

    def as_adopted(self, recipe: Path) -> RecipeAdopted:
        """Describe it as what a stage adopts: as it is here, or else as the stage's `recipe` has it."""
        if receipt := self.receipt:
            there = self._receipt_there if self._is_in_place else receipt
            files = current_files(self.folder, there, self._checksum)
            return describe_adopted_model(receipt | {"files": files, "origin": self.origin})
        return recorded_adoption(recipe, f"{self.folder}: the model is not here")

    def with_layer_names(self, lora: Lora, recipe: Path) -> Lora:
        """Name the layers that ``all-linear`` stands for: as the model here has them, or else as a `recipe` does."""
        if lora.target_modules != ALL_LINEAR:
            return lora
        if (files := self._files_at) is None:
            return lora.model_copy(update={"target_modules": Recipe.read(recipe).lora.target_modules})
        if lora.last_layers not in self._layer_names:
            self._layer_names[lora.last_layers] = with_layer_names(lora, files).target_modules
        return lora.model_copy(update={"target_modules": self._layer_names[lora.last_layers]})

    @property
    def _files_at(self) -> Path | None:
        """Directory of the model's files; None if they are not here."""
        directory = (
            Path(self.settings.path) if self._is_in_place else self.folder / (self.receipt or {}).get("path", "")
        )
        return directory if (directory / "config.json").is_file() else None


def describe_adopted_model(receipt: dict) -> RecipeAdopted:
    """Describe the fully fine-tuned model with this receipt; local paths are left out, as of a base model."""
    origin = describe_base_model(receipt).origin
    return RecipeAdopted(kind="model", origin=origin, files=receipt["files"])


def recorded_adoption(recipe: Path, missing: str) -> RecipeAdopted:
    """Read what a recipe says that its stage adopted; refuse with the words of `missing` if it says nothing."""
    if recipe.is_file() and (adopted := Recipe.read(recipe).adopted):
        return adopted
    raise InputError(f"{missing}, and {recipe} does not name it; fetch it")
