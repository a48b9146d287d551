"""Files for training, validation and test, by their names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError

_WORDS = {
    "train": {"train", "training", "trn", "trainset"},
    "validation": {"validation", "valid", "val", "dev", "development", "eval"},
    "test": {"test", "testing", "tst", "testset"},
}

ITEMS = "items"
"""Role of a file that is split at random."""

_SAYS_NOTHING = {ITEMS, "data", "dataset", "labels", "all", "full", "tmp", "part", "default"}


@dataclass(frozen=True)
class Roles:
    """Files by role, and what the overlay says about them."""

    files: dict[str, str]
    """Names that were given, by role: `items` alone, or `train`, `test` and maybe `validation`."""
    note: str = ""
    """Decision that was taken because a role had no file."""

    @property
    def is_random(self) -> bool:
        return ITEMS in self.files


def assign_roles(names: Iterable[str]) -> Roles:
    """Give each file its role; ``ROLE=FILE`` says what a name does not.

    Raises
    ------
    InputError
        If a role is unclear or given twice.
    """
    names = list(names)
    if len(names) == 1 and "=" not in names[0]:
        return Roles({ITEMS: names[0]})
    files: dict[str, str] = {}
    for name in names:
        role, path = role_of(name)
        if role is None:
            raise InputError(
                f"{name}: is it for training, validation or test? Name it so, or write train={name}, validation={name} "
                f"or test={name}"
            )
        if role in files:
            raise InputError(f"{path}: {files[role]} is for {role} already; join the two files, or leave one out")
        files[role] = path
    return complete_roles(files)


def complete_roles(files: dict[str, str]) -> Roles:
    """Find files for training and test if one has no file of its own."""
    if len(files) == 1:
        return Roles({ITEMS: next(iter(files.values()))})
    ordered = {role: files[role] for role in _WORDS if role in files}
    if "test" not in ordered:
        note = f"no file is for test: {ordered['validation']} is, and a share of train is for validation"
        return Roles({"train": ordered["train"], "test": ordered["validation"]}, note)
    if "train" not in ordered:
        note = f"no file is for training: {ordered['validation']} is, less a share for validation"
        return Roles({"train": ordered["validation"], "test": ordered["test"]}, note)
    return Roles(ordered)


def task_name(path: str) -> str:
    """Name a task by its file, or by the file's folder if the file is called for its role."""
    place = Path(path)
    for part in (place.stem, place.absolute().parent.name):
        words = [word for word in re.split(r"[^A-Za-z0-9]+", part) if word]
        kept = [word for word in words if not _of_role(word) and word.lower() not in _SAYS_NOTHING]
        if kept:
            return "-".join(kept).lower()[:60]
    return "task"


def role_of(name: str) -> tuple[str | None, str]:
    """Find a file's role, and its name without a ``ROLE=``; None if the name does not say."""
    role, equals, path = name.partition("=")
    if equals and role in _WORDS:
        return role, path
    roles = {_of_role(word) for word in re.split(r"[^A-Za-z0-9]+", Path(name).stem)} - {None}
    return (roles.pop() if len(roles) == 1 else None), name


def _of_role(word: str) -> str | None:
    return next((role for role, words in _WORDS.items() if word.lower() in words), None)
