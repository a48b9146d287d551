"""Splits that are given as lists of ids."""

import difflib
from pathlib import Path

from stagewise.config.tasks import SPLITS, IdsSplit
from stagewise.errors import InputError
from stagewise.provenance.files import read_json

NOTES = ("source", "note", "licence")
"""Keys with text about the lists."""


def read_ids(name: str, rule: IdsSplit) -> dict[str, list[str]]:
    """Read the ids of each split.

    With folds, the chosen one is validation and the others are train, as in PubMedQA's official ten-fold
    cross-validation.

    Raises
    ------
    InputError
        For a file that is neither three lists nor a test list and folds, a fold that is missing, unneeded or
        out of range, an empty list, or an id that is listed twice.
    """
    if not Path(rule.ids).is_file():
        raise InputError(f"{rule.ids}: there is no such split file (tasks.{name}); correct the path")
    content = read_json(rule.ids, f"the split file of tasks.{name}")
    has_folds = "folds" in content
    _check_keys(rule.ids, content, ("test", "folds") if has_folds else SPLITS)
    splits = _choose_fold(name, rule, content) if has_folds else _three_lists(name, rule, content)
    _refuse_repeated_ids(rule.ids, splits)
    return splits


def _check_keys(path: str, content: dict, required: tuple[str, ...]) -> None:
    """Refuse an unknown or a missing key."""
    for key in content:
        if key not in required and key not in NOTES:
            near = difflib.get_close_matches(key, required, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"expected {', '.join(required)}"
            raise InputError(f"{path}: '{key}' does not belong here; {hint}")
    for key in required:
        if key not in content:
            raise InputError(f"{path}: '{key}' is missing; give train, validation and test, or test and folds")


def _three_lists(name: str, rule: IdsSplit, content: dict) -> dict[str, list[str]]:
    if rule.fold is not None:
        raise InputError(f"tasks.{name}: the split has fold {rule.fold}, but {rule.ids} has no folds; drop 'fold'")
    return {split: _read_list(rule.ids, split, content[split]) for split in SPLITS}


def _choose_fold(name: str, rule: IdsSplit, content: dict) -> dict[str, list[str]]:
    folds = content["folds"]
    if not isinstance(folds, list) or len(folds) < 2:
        raise InputError(f"{rule.ids}: 'folds' must be a list of two or more lists of ids")
    if rule.fold is None:
        raise InputError(f"tasks.{name}: {rule.ids} has {len(folds)} folds; say with 'fold' which is validation")
    if rule.fold >= len(folds):
        raise InputError(f"tasks.{name}: fold {rule.fold} is out of range, {rule.ids} has folds 0 to {len(folds) - 1}")
    lists = [_read_list(rule.ids, f"folds[{number}]", fold) for number, fold in enumerate(folds)]
    train = [item_id for number, ids in enumerate(lists) if number != rule.fold for item_id in ids]
    return {
        "train": train,
        "validation": lists[rule.fold],
        "test": _read_list(rule.ids, "test", content["test"]),
    }


def _read_list(path: str, key: str, values) -> list[str]:
    """Read one list of ids as texts."""
    if not isinstance(values, list) or not values:
        raise InputError(f"{path}: '{key}' must be a list of ids with at least one in it")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InputError(f"{path}: '{key}' holds {value!r}, which is no id; write ids as texts or whole numbers")
    return [str(value) for value in values]


def _refuse_repeated_ids(path: str, splits: dict[str, list[str]]) -> None:
    split_of: dict[str, str] = {}
    for split, ids in splits.items():
        for item_id in ids:
            if item_id in split_of:
                other = split_of[item_id]
                both = f"in {other} and in {split}" if other != split else f"twice in {split}"
                raise InputError(f"{path}: the id '{item_id}' is listed {both}; list it once")
            split_of[item_id] = split
