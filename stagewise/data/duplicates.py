"""Texts that occur more than once, in a split, across splits, across tasks: stopped, dropped or kept, and counted.

Two texts are the same if they agree once Unicode forms, case, punctuation and white space are levelled
(which includes texts that agree exactly; those are also counted alone).
"""

import unicodedata
from collections import defaultdict
from typing import NamedTuple

from stagewise.config.tasks import Duplicates, Task
from stagewise.data.items import Item, SetAside
from stagewise.data.splits import Splits
from stagewise.errors import InputError

# Where a text stands in several splits, the first of these keeps it.
RANKING = ("test", "validation", "train")


class Found(NamedTuple):
    """How many repeats there are, before anything is dropped."""

    normalized: int
    exact: int


class _Punctuation(dict):
    """Translation table, filled as characters turn up: punctuation and separators become spaces."""

    def __missing__(self, code: int):
        self[code] = " " if unicodedata.category(chr(code))[0] in "PZ" else code
        return self[code]


_SPACED = _Punctuation()


def normalize(text: str) -> str:
    """NFKC, casefolded, each run of punctuation and white space one space; a text of nothing else stays."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.translate(_SPACED).split()) or " ".join(folded.split())


def _keys(task: Task, items: list[Item]) -> list[tuple[str, str]]:
    """The normalized and the exact text of each item's identity variables."""
    names = task.identity or list(task.fields)
    # The separators cannot come out of `normalize`, so two variables never run together.
    return [
        ("\n".join(normalize(item.fields[n]) for n in names), "\0".join(item.fields[n] for n in names))
        for item in items
    ]


def within_splits(name: str, task: Task, splits: Splits, rule: str) -> tuple[Splits, list[SetAside], Found]:
    """Items that repeat an earlier one of their split.

    `rule` is ``stop``, ``keep`` or ``drop``: the first of them stays, or none where their labels disagree.

    Returns
    -------
    The splits, the items dropped, and how many items repeat an earlier one.
    """
    kept, dropped, found, example = {}, [], [0, 0], None
    for split, items in splits.items():
        keys = _keys(task, items)
        for kind in (0, 1):
            found[kind] += len(keys) - len({key[kind] for key in keys})
        copies = defaultdict(list)
        for item, (text, _) in zip(items, keys, strict=True):
            copies[text].append(item)
        out = {}
        for same in copies.values():
            if len(same) < 2:
                continue
            example = example or f"'{same[0].id}' ({same[0].place}) and '{same[1].id}' ({same[1].place}) in {split}"
            if len({item.label for item in same}) > 1:
                out |= {id(item): "duplicate text with another label" for item in same}
            else:
                out |= {id(item): f"duplicate text in {split}" for item in same[1:]}
        if rule != "drop":
            out = {}
        kept[split] = [item for item in items if id(item) not in out]
        dropped += [SetAside.item(item, out[id(item)]) for item in items if id(item) in out]
    if rule == "stop" and example:
        _stop(f"tasks.{name}: {found[0]} items repeat an earlier text of their split", example, "within_split")
    return kept, dropped, Found(*found)


def across_splits(name: str, task: Task, splits: Splits, rule: str) -> tuple[Splits, list[SetAside], Found]:
    """Items whose text also stands in a split that ranks above theirs: test, then validation, then train.

    `rule` is ``stop``, ``keep`` or ``drop``, which takes out the copy in the lower split.

    Returns
    -------
    The splits, the items dropped, and how many items have a copy in a higher split.
    """
    kept, dropped, found, example = {}, [], [0, 0], None
    home: tuple[dict, dict] = ({}, {})
    for split in RANKING:
        items = splits[split]
        keys = _keys(task, items)
        for kind in (0, 1):
            found[kind] += sum(key[kind] in home[kind] for key in keys)
        kept[split] = []
        for item, (text, _) in zip(items, keys, strict=True):
            where, other = home[0].get(text, (None, None))
            if where is not None and example is None:
                example = f"'{other.id}' ({other.place}) in {where} and '{item.id}' ({item.place}) in {split}"
            if where is None or rule != "drop":
                kept[split].append(item)
            else:
                dropped.append(SetAside.item(item, f"same text as a {where} item"))
        for item, key in zip(items, keys, strict=True):
            for kind in (0, 1):
                home[kind].setdefault(key[kind], (split, item))
    if rule == "stop" and example:
        _stop(f"tasks.{name}: {found[0]} items have the text of an item in another split", example, "across_splits")
    return {split: kept[split] for split in splits}, dropped, Found(*found)


def across_tasks(
    tasks: dict[str, Task], splits: dict[str, Splits], rule: str
) -> tuple[dict[str, Splits], dict[str, list[SetAside]], Found]:
    """Texts that stand in more than one task, whatever the split.

    A text is all of an item's identity variables in a row, since tasks name theirs differently. `rule` is
    ``stop``, ``keep`` or ``drop``, which takes the text out of every train and validation split.

    Returns
    -------
    Splits by task, the items dropped by task, and how many texts stand in more than one task.
    """
    homes: tuple[dict, dict] = (defaultdict(dict), defaultdict(dict))
    texts = {}
    for name, task in tasks.items():
        for items in splits[name].values():
            for item, (text, exact) in zip(items, _keys(task, items), strict=True):
                texts[id(item)] = text.replace("\n", " ")
                homes[0][texts[id(item)]].setdefault(name, item)
                homes[1][exact.replace("\0", "\n")].setdefault(name, item)
    found = Found(*(sum(len(home) > 1 for home in kind.values()) for kind in homes))
    if rule == "stop" and found.normalized:
        (a, one), (b, two), *_ = next(home for home in homes[0].values() if len(home) > 1).items()
        example = f"'{one.id}' of {a} ({one.place}) and '{two.id}' of {b} ({two.place})"
        _stop(f"{found.normalized} texts stand in more than one task", example, "across_tasks")
    kept = {name: dict(by_split) for name, by_split in splits.items()}
    dropped: dict[str, list[SetAside]] = {name: [] for name in tasks}
    for name in tasks if rule == "drop" else ():
        for split in ("train", "validation"):
            kept[name][split] = []
            for item in splits[name][split]:
                other = next((task for task in homes[0][texts[id(item)]] if task != name), None)
                if other is None:
                    kept[name][split].append(item)
                else:
                    dropped[name].append(SetAside.item(item, f"same text as an item of task {other}"))
    return kept, dropped, found


def resolve(
    tasks: dict[str, Task], splits: dict[str, Splits], rules: Duplicates
) -> tuple[dict[str, Splits], dict[str, list[SetAside]], dict[str, dict[str, Found]], Found]:
    """Apply the three rules in turn: within splits, then across splits, then across tasks.

    Returns
    -------
    Splits by task, dropped items by task, what was found in each task (``within_split``, ``across_splits``),
    and what was found across tasks.

    Raises
    ------
    InputError
        Where a rule is ``stop`` and there is something to stop for.
    """
    resolved, dropped, found = {}, {}, {}
    for name, task in tasks.items():
        inside, first, within = within_splits(name, task, splits[name], rules.within_split)
        resolved[name], second, across = across_splits(name, task, inside, rules.across_splits)
        dropped[name] = first + second
        found[name] = {"within_split": within, "across_splits": across}
    resolved, third, between = across_tasks(tasks, resolved, rules.across_tasks)
    return resolved, {name: dropped[name] + third[name] for name in tasks}, found, between


def _stop(what: str, example: str, rule: str) -> None:
    raise InputError(f"{what}, such as {example}; set duplicates.{rule} to drop or keep")
