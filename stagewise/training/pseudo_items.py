"""Items that remedies have the parent make before a stage: made once, and kept beside its checkpoints.

They may hold texts that the parent remembers of its training, so they stay in the cache, which nothing publishes.
Importing this module imports no torch.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stagewise.data.items import SplitItem, read_split
from stagewise.errors import InputError
from stagewise.models.shared_base import SharedBase
from stagewise.provenance.files import replaced_folder
from stagewise.provenance.receipts import RECEIPT, read_receipt, write_receipt
from stagewise.provenance.sealed_json import is_sealed
from stagewise.recipe import Recipe
from stagewise.remedies.base import ParentContext, Remedy
from stagewise.training.checkpoints import CheckpointFolder

if TYPE_CHECKING:
    from stagewise.inference.prompts import Encoder

FOLDER = "pseudo_items"
"""Folder in an adapter's cache folder; in it a folder per remedy with a file per task and a receipt."""


@dataclass(frozen=True)
class StoredItems:
    """Pseudo-items of one remedy."""

    items: dict[str, list[SplitItem]]
    """By earlier task."""
    tokens: int
    """Tokens read to make them."""
    seconds: float


def get_or_make_items(
    recipe: Recipe, encoder: Callable[[str], "Encoder"], base: SharedBase, parent_dir: Path | None, cached: Path
) -> dict[str, StoredItems]:
    """Read the pseudo-items of a stage by remedy, or have the parent make them.

    Parameters
    ----------
    encoder
        Function that builds a task's encoder.
    base
        The base model, which is loaded only if items are made.
    cached
        Cache folder of the adapter.

    Raises
    ------
    InputError
        If the parent cannot make them.
    """
    stored = {}
    for name, remedy in recipe.remedies.in_training.items():
        if not remedy.makes_items:
            continue
        folder = cached / FOLDER / name.replace(":", ".")
        if not (receipt := _intact_receipt(folder)):
            _remove_checkpoints(cached)
            encoders = {task: encoder(task) for task in recipe.earlier_tasks}
            _make_items(name, remedy, recipe, encoders, base, parent_dir, folder)
            receipt = read_receipt(folder, "the pseudo-items")
        items = {task: read_split(folder / f"{task}.jsonl", recipe.tasks[task].words) for task in recipe.earlier_tasks}
        stored[name] = StoredItems(items, receipt["tokens"], receipt["seconds"])
    return stored


def _intact_receipt(folder: Path) -> dict | None:
    """Read the receipt of items that were made in an earlier attempt; None if they are missing or damaged."""
    if not folder.exists():
        return None
    try:
        receipt = read_receipt(folder, "the pseudo-items")
        if is_sealed(receipt):
            return receipt
        reason = f"{folder / RECEIPT}: damaged"
    except (InputError, OSError) as error:
        reason = str(error).partition(";")[0]
    print(f"warning: {reason}; the items are made again", file=sys.stderr)
    return None


def _remove_checkpoints(cached: Path) -> None:
    """Remove checkpoints, which were trained on other items than those to be made, equal as they may be."""
    checkpoints = CheckpointFolder(cached)
    if checkpoints.paths():
        print(f"warning: {cached}: the checkpoints without their pseudo-items are removed", file=sys.stderr)
        checkpoints.remove_all()


def _make_items(
    name: str,
    remedy: Remedy,
    recipe: Recipe,
    encoders: dict[str, "Encoder"],
    base: SharedBase,
    parent_dir: Path | None,
    folder: Path,
) -> None:
    """Have the parent make a remedy's items, and write them with a receipt, whole or not at all."""
    from stagewise.models.adapters import load_adapter

    started = time.monotonic()
    model = load_adapter(base.take(), parent_dir)
    try:
        made = remedy.pseudo_items(ParentContext(model, encoders, recipe.seed, recipe.lineage))
    except InputError as error:
        raise InputError(f"{recipe.lineage}: remedies.{name}: {error}") from None
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(folder) as aside:
        for task in encoders:
            lines = [json.dumps(item, ensure_ascii=False) + "\n" for item in made.items.get(task, [])]
            (aside / f"{task}.jsonl").write_text("".join(lines), encoding="utf-8")
        write_receipt(aside, {"tokens": made.tokens, "seconds": round(time.monotonic() - started, 3)})
