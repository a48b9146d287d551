"""Splits that are given as lists of ids."""

import difflib
from pathlib import Path

from stagewise.config.tasks import SPLITS, IdsSplit
from stagewise.errors import InputError
from stagewise.provenance.files import read_json

NOTES = ("source", "note", "licence")
"""Keys with text about the lists themselves."""


def read_ids(name: str, rule: IdsSplit) -> dict[str, list[str]]:
    """Ids by split, as text.

    With folds, the chosen one is validation and the others are train, as in PubMedQA's official
    ten-fold cross-validation.

    Raises
    ------
    InputError
        For a file that is neither three lists nor a test list and folds, a fold that is missing, unneeded or
        out of range, an empty list, or an id that is listed twice.
    """
    if not Path(rule.ids).is_file():
        raise InputError(f"{rule.ids}: there is no such split file (tasks.{name}); correct the path")
    values = read_json(rule.ids, f"the split file of tasks.{name}")
    if not isinstance(values, dict):
        raise InputError(f"{rule.ids}: expected an object with train, validation and test, or test and folds")
    folded = "folds" in values
    needed = ("test", "folds") if folded else SPLITS
    for key in values:
        if key not in needed and key not in NOTES:
            near = difflib.get_close_matches(key, needed, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"expected {', '.join(needed)}"
            raise InputError(f"{rule.ids}: '{key}' does not belong here; {hint}")
    for key in needed:
        if key not in values:
            raise InputError(f"{rule.ids}: '{key}' is missing; give train, validation and test, or test and folds")
    if not folded:
        if rule.fold is not None:
            raise InputError(f"tasks.{name}: the split has fold {rule.fold}, but {rule.ids} has no folds; drop 'fold'")
        splits = {split: _ids(rule.ids, split, values[split]) for split in SPLITS}
    else:
        folds = values["folds"]
        if not isinstance(folds, list) or len(folds) < 2:
            raise InputError(f"{rule.ids}: 'folds' must be a list of two or more lists of ids")
        if rule.fold is None:
            raise InputError(f"tasks.{name}: {rule.ids} has {len(folds)} folds; say with 'fold' which is validation")
        if rule.fold >= len(folds):
            raise InputError(
                f"tasks.{name}: fold {rule.fold} is out of range, {rule.ids} has folds 0 to {len(folds) - 1}"
            )
        lists = [_ids(rule.ids, f"folds[{number}]", fold) for number, fold in enumerate(folds)]
        train = [i for number, fold in enumerate(lists) if number != rule.fold for i in fold]
        splits = {"train": train, "validation": lists[rule.fold], "test": _ids(rule.ids, "test", values["test"])}
    seen: dict[str, str] = {}
    for split, ids in splits.items():
        for item_id in ids:
            if item_id in seen:
                both = f"in {seen[item_id]} and in {split}" if seen[item_id] != split else f"twice in {split}"
                raise InputError(f"{rule.ids}: the id '{item_id}' is listed {both}; list it once")
            seen[item_id] = split
    return splits


def _ids(path: str, key: str, values) -> list[str]:
    if not isinstance(values, list) or not values:
        raise InputError(f"{path}: '{key}' must be a list of ids with at least one in it")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InputError(f"{path}: '{key}' holds {value!r}, which is no id; write ids as texts or whole numbers")
    return [str(value) for value in values]
