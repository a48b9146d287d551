"""The adapter that is exported, its recipe, and the base model that it goes with."""

import re
from dataclasses import dataclass
from pathlib import Path

from stagewise.config.base_model import Model
from stagewise.config.experiment import Config
from stagewise.errors import InputError
from stagewise.models.adapters import ADAPTER_CONFIG, adapter_folder, adapter_receipt, check_finite_weights
from stagewise.models.receipts import model_files, model_receipt
from stagewise.models.tuned import MODEL_FILE
from stagewise.provenance.files import read_json
from stagewise.provenance.receipts import RECEIPT, read_receipt
from stagewise.recipe import Recipe
from stagewise.training.model_card import is_made_here

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""``owner/name``; a path of two parts may look the same."""

_REVISION = re.compile(r"[\w./-]+")


@dataclass(frozen=True)
class BaseModel:
    """The base model of an adapter."""

    name: str
    """Its name for a reader."""
    hub: str | None
    """Its repository, ``owner/name``; None if it has none."""
    revision: str | None
    """Commit or branch of the repository."""
    folder: Path | None
    """Folder of its receipt on this machine, if it is here."""

    @property
    def reference(self) -> str:
        """Name of it in an adapter's configuration: the repository, or the absolute path of its files.

        Raises
        ------
        InputError
            If it has no repository and is not on this machine.
        """
        return self.hub or str(model_files(self.here()).resolve())

    def here(self) -> Path:
        """Folder of its receipt. Raises `InputError` if it is not on this machine."""
        if self.folder is None:
            raise InputError(
                f"--model: the base model {self.name} is not here; fetch it (scripts.fetch_model) and name its folder"
            )
        return self.folder


@dataclass(frozen=True)
class Source:
    """An adapter to be exported; one from elsewhere has no recipe."""

    folder: Path
    recipe: Recipe | None
    base: BaseModel

    @property
    def is_made_here(self) -> bool:
        """True if this project trained or merged it, so that it has no licence of its own."""
        return self.recipe is not None and is_made_here(self.recipe)


def find_source(adapter, model: str | None, base: str | None) -> Source:
    """Find an adapter and what is known of its base model, and check that both are whole and go together.

    The base model is the one of the adapter's recipe, and lies in ``models/NAME``; of an adapter without a recipe it is
    what the adapter's configuration names.

    Parameters
    ----------
    adapter
        The adapter's folder, or that of its lineage.
    model
        Folder of the base model, if it lies elsewhere.
    base
        ``owner/name`` or ``owner/name@revision``: repository of the base model, whatever is recorded.

    Raises
    ------
    InputError
        If the adapter is incomplete, damaged or of another base model.
    """
    if any((Path(adapter) / inner / MODEL_FILE).is_file() for inner in ("", "adapter")):
        raise InputError(f"{adapter}: a fully fine-tuned model, not an adapter; pass on the model's own folder")
    folder = adapter_folder(adapter)
    recipe = _find_recipe(folder)
    config = read_json(folder / ADAPTER_CONFIG, "the adapter's configuration")
    named = str(config.get("base_model_name_or_path") or "")
    model_dir = _model_folder(model, recipe)
    name = recipe.model.name if recipe else model_receipt(model_dir)["model"] if model_dir else named
    recorded = _recorded_origin(recipe, model_dir, named, config.get("revision"))
    hub, revision = _parse_base(base) if base else recorded
    receipt = read_receipt(folder, "the adapter") if recipe or (folder / RECEIPT).is_file() else {}
    if model_dir:
        if recipe or "inputs" in receipt:
            adapter_receipt(folder, model_dir, verify=False)
        elif (origin := model_receipt(model_dir)["origin"].get("hub")) and named not in ("", origin):
            raise InputError(
                f"{folder}: the adapter is for {named}, not for {origin}; name its base model with --model"
            )
    check_finite_weights(folder)
    return Source(folder, recipe, BaseModel(hub or name or "a base model", hub, revision, model_dir))


def find_licence(base: BaseModel, recipe: Recipe | None, config: Config) -> Model | None:
    """Find the settings of a base model, which know its licence: by its repository, or else by the recipe's name."""
    for name, model in config.models.items():
        same_name = recipe is not None and name == recipe.model.name
        if model and ((base.hub and model.hub == base.hub) or (same_name and not model.hub)):
            return model
    return None


def _find_recipe(folder: Path) -> Recipe | None:
    for candidate in (folder / "recipe.json", folder.resolve().parent / "recipe.json"):
        if candidate.is_file():
            return Recipe.read(candidate)
    return None


def _model_folder(model: str | None, recipe: Recipe | None) -> Path | None:
    if model:
        model_receipt(model)
        return Path(model)
    folder = Path("models") / recipe.model.name if recipe else None
    return folder if folder and (folder / RECEIPT).is_file() else None


def _recorded_origin(recipe: Recipe | None, model_dir: Path | None, named: str, revision) -> tuple:
    """Repository and revision of the base model as they are recorded; None and None if it has none."""
    origins = [recipe.model.origin] if recipe else []
    origins += [model_receipt(model_dir)["origin"]] if model_dir else []
    for origin in origins:
        if origin.get("hub"):
            return origin["hub"], origin.get("revision")
    if not recipe and _is_repository(named):
        return named, revision
    return None, None


def _is_repository(named: str) -> bool:
    """Tell if an adapter names a repository; a path such as ``models/NAME``, of some project, looks like one."""
    return bool(HUB_NAME.fullmatch(named)) and not named.startswith("models/") and not Path(named).exists()


def _check_named(folder: Path, named: str, hub: str | None) -> None:
    """Refuse another repository than the one that an adapter names; a path of another machine says nothing."""
    if hub and _is_repository(named) and named != hub:
        raise InputError(f"{folder}: the adapter is for {named}, not for {hub}; name its base model with --model")


def _parse_base(base: str) -> tuple[str, str | None]:
    hub, at, revision = base.partition("@")
    if not HUB_NAME.fullmatch(hub) or (at and not _REVISION.fullmatch(revision)):
        raise InputError(f"--base '{base}' is no repository; write owner/name, or owner/name@commit")
    return hub, revision or None
