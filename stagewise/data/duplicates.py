"""Repeated texts within a split, across splits and across tasks: refused, dropped or kept, and always counted.

Two texts are the same if they agree after normalization of Unicode forms, case, punctuation and white space.
Texts that agree exactly are among them and are also counted separately.
"""

import unicodedata
from collections import defaultdict
from typing import Literal, NamedTuple

from stagewise.config.tasks import Duplicates, Task
from stagewise.data.items import Item, SetAside
from stagewise.data.splits import Splits
from stagewise.errors import InputError

Action = Literal["stop", "drop", "keep"]

# A text that is in several splits stays in the first of these.
RANKING = ("test", "validation", "train")


class RepeatCounts(NamedTuple):
    """Numbers of repeats, counted before any is dropped."""

    normalized: int
    exact: int


class ItemText(NamedTuple):
    """Text that identifies an item, in the two forms in which texts are compared."""

    normalized: str
    exact: str


class Resolved(NamedTuple):
    """Splits of all tasks after the three rules."""

    splits: dict[str, Splits]
    dropped: dict[str, list[SetAside]]
    counts: dict[str, dict[str, RepeatCounts]]
    """By task, then ``within_split`` and ``across_splits``."""
    across_tasks: RepeatCounts


class _Punctuation(dict):
    """Translation table from punctuation and separators to spaces, filled as characters turn up."""

    def __missing__(self, code: int):
        self[code] = " " if unicodedata.category(chr(code))[0] in "PZ" else code
        return self[code]


_PUNCTUATION_TO_SPACE = _Punctuation()


def normalize(text: str) -> str:
    """Apply NFKC and casefolding, and make each run of punctuation and white space one space.

    A text of nothing but punctuation keeps it.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.translate(_PUNCTUATION_TO_SPACE).split()) or " ".join(folded.split())


def resolve(tasks: dict[str, Task], splits: dict[str, Splits], actions: Duplicates) -> Resolved:
    """Apply the three rules in turn: within splits, then across splits, then across tasks.

    Raises
    ------
    InputError
        If an action is ``stop`` and there is a repeat.
    """
    resolved, dropped, counts = {}, {}, {}
    for name, task in tasks.items():
        once, dropped_within, within = within_splits(name, task, splits[name], actions.within_split)
        resolved[name], dropped_across, across = across_splits(name, task, once, actions.across_splits)
        dropped[name] = dropped_within + dropped_across
        counts[name] = {"within_split": within, "across_splits": across}
    resolved, dropped_by_task, between = across_tasks(tasks, resolved, actions.across_tasks)
    return Resolved(resolved, {name: dropped[name] + dropped_by_task[name] for name in tasks}, counts, between)


def within_splits(name: str, task: Task, splits: Splits, action: Action) -> tuple[Splits, list[SetAside], RepeatCounts]:
    """Resolve items that repeat an earlier one of their split.

    With ``drop`` the first one stays, or none if their labels disagree.

    Returns
    -------
    The splits, the items dropped, and the number of items that repeat an earlier one.
    """
    counts = [0, 0]
    repeated: list[tuple[str, list[Item]]] = []
    for split, items in splits.items():
        texts = _texts(task, items)
        for form in (0, 1):
            counts[form] += len(texts) - len({text[form] for text in texts})
        by_text = defaultdict(list)
        for item, text in zip(items, texts, strict=True):
            by_text[text.normalized].append(item)
        repeated += [(split, same) for same in by_text.values() if len(same) > 1]
    if action == "stop" and repeated:
        split, (first, second, *_) = repeated[0]
        example = f"'{first.id}' ({first.location}) and '{second.id}' ({second.location}) in {split}"
        _stop(f"tasks.{name}: {counts[0]} items repeat an earlier text of their split", example, "within_split")
    reasons = {}
    for split, same in repeated if action == "drop" else ():
        if len({item.label for item in same}) > 1:
            reasons |= {id(item): "duplicate text with another label" for item in same}
        else:
            reasons |= {id(item): f"duplicate text in {split}" for item in same[1:]}
    return *_drop(splits, reasons), RepeatCounts(*counts)


def across_splits(name: str, task: Task, splits: Splits, action: Action) -> tuple[Splits, list[SetAside], RepeatCounts]:
    """Resolve items whose text is also in a split that ranks above theirs: test, then validation, then train.

    With ``drop`` the copy in the lower split goes.

    Returns
    -------
    The splits, the items dropped, and the number of items that have a copy in a higher split.
    """
    first_with: dict[str, tuple[str, Item]] = {}  # by normalized text
    exact_texts: set[str] = set()
    copies: list[tuple[str, Item, str, Item]] = []  # the higher split and its item, the lower split and its item
    exact_copies = 0
    for split in RANKING:
        texts = _texts(task, splits[split])
        for item, text in zip(splits[split], texts, strict=True):
            exact_copies += text.exact in exact_texts
            if text.normalized in first_with:
                copies.append((*first_with[text.normalized], split, item))
        for item, text in zip(splits[split], texts, strict=True):
            exact_texts.add(text.exact)
            first_with.setdefault(text.normalized, (split, item))
    if action == "stop" and copies:
        higher, one, lower, other = copies[0]
        example = f"'{one.id}' ({one.location}) in {higher} and '{other.id}' ({other.location}) in {lower}"
        _stop(f"tasks.{name}: {len(copies)} items have the text of an item in another split", example, "across_splits")
    reasons = {id(item): f"same text as a {higher} item" for higher, _, _, item in copies if action == "drop"}
    return *_drop(splits, reasons), RepeatCounts(len(copies), exact_copies)


def across_tasks(
    tasks: dict[str, Task], splits: dict[str, Splits], action: Action
) -> tuple[dict[str, Splits], dict[str, list[SetAside]], RepeatCounts]:
    """Resolve texts that are in more than one task, whatever the split.

    All identity variables of an item are compared as one text, since tasks name theirs differently. With ``drop``
    the text goes from every train and validation split.

    Returns
    -------
    Splits by task, the items dropped by task, and the number of texts that are in more than one task.
    """
    first_by_task: dict[str, dict[str, Item]] = defaultdict(dict)  # by normalized text, then by task
    tasks_with_exact: dict[str, set[str]] = defaultdict(set)
    text_of = {}
    for name, task in tasks.items():
        for items in splits[name].values():
            for item, text in zip(items, _texts(task, items), strict=True):
                text_of[id(item)] = text.normalized.replace("\n", " ")
                first_by_task[text_of[id(item)]].setdefault(name, item)
                tasks_with_exact[text.exact.replace("\0", "\n")].add(name)
    shared = [by_task for by_task in first_by_task.values() if len(by_task) > 1]
    counts = RepeatCounts(len(shared), sum(len(names) > 1 for names in tasks_with_exact.values()))
    if action == "stop" and shared:
        (a, one), (b, two), *_ = shared[0].items()
        example = f"'{one.id}' of {a} ({one.location}) and '{two.id}' of {b} ({two.location})"
        _stop(f"{counts.normalized} texts stand in more than one task", example, "across_tasks")
    kept, dropped = {}, {}
    for name in tasks:
        reasons = {}
        for item in splits[name]["train"] + splits[name]["validation"] if action == "drop" else ():
            other = next((task for task in first_by_task[text_of[id(item)]] if task != name), None)
            if other is not None:
                reasons[id(item)] = f"same text as an item of task {other}"
        kept[name], dropped[name] = _drop(splits[name], reasons)
    return kept, dropped, counts


def _texts(task: Task, items: list[Item]) -> list[ItemText]:
    """Text of each item's identity variables."""
    variables = task.identity or task.variables
    # `normalize` removes both separators, so two variables never run together.
    return [
        ItemText(
            "\n".join(normalize(item.fields[variable]) for variable in variables),
            "\0".join(item.fields[variable] for variable in variables),
        )
        for item in items
    ]


def _drop(splits: Splits, reasons: dict[int, str]) -> tuple[Splits, list[SetAside]]:
    """Take out the items that have a reason, which are keyed by their `id()`."""
    kept = {split: [item for item in items if id(item) not in reasons] for split, items in splits.items()}
    dropped = [
        SetAside.of(item, reasons[id(item)]) for items in splits.values() for item in items if id(item) in reasons
    ]
    return kept, dropped


def _stop(problem: str, example: str, rule: str) -> None:
    raise InputError(f"{problem}, such as {example}; set duplicates.{rule} to drop or keep")
