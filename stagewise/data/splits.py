"""Split rules: which item trains, which validates, which tests. Same seed, same splits, whatever the row order.

Items are ranked by a hash of seed and id rather than by a random generator, whose stream would hang on row order
and library version. `scikit-learn` has no splitter for grouped and stratified splits of unequal sizes.
"""

import hashlib
from collections import Counter, defaultdict

from stagewise.config.tasks import SPLITS, FilesSplit, IdsSplit, RandomSplit, Task
from stagewise.data.items import Item, Pool, SetAside
from stagewise.data.split_lists import read_ids
from stagewise.errors import InputError

Splits = dict[str, list[Item]]

# Where items go that a random split has no use for.
REST = "rest"


def split_items(name: str, task: Task, pool: Pool) -> tuple[Splits, list[SetAside]]:
    """Split a task's items by its rule.

    Returns
    -------
    Items by split, in the order of the raw files, and the items that the rule puts in no split.

    Raises
    ------
    InputError
        For ids that do not fit the data, more items wanted than there are, or an empty split.
    """
    rule = task.splits[task.split]
    if isinstance(rule, IdsSplit):
        splits, left = _by_ids(name, rule, pool)
    elif isinstance(rule, FilesSplit):
        splits, left = _by_files(name, rule, pool.items), []
    else:
        splits, left = _at_random(name, task, rule, pool.items)
    check_splits(name, splits)
    return splits, left


def check_splits(name: str, splits: Splits) -> None:
    """Refuse an empty split."""
    for split in SPLITS:
        if not splits[split]:
            raise InputError(f"tasks.{name}: the {split} split has no item left; correct the split or the data")


def groups_across(splits: Splits) -> int:
    """Number of groups that stand in more than one split."""
    where = defaultdict(set)
    for split, items in splits.items():
        for item in items:
            if item.group is not None:
                where[item.group].add(split)
    return sum(len(found) > 1 for found in where.values())


def limited(items: list[Item], limit: int | None) -> list[Item]:
    """At most `limit` items with the label shares kept, in their old order.

    Items are taken by the highest-averages rule of Sainte-Laguë, one of each label first. Unlike with largest
    remainders, a bigger limit then always contains a smaller one.
    """
    if limit is None or limit >= len(items):
        return items
    counts = Counter(item.label for item in items)
    taken: Counter = Counter()
    turns = []
    for item in sorted(items, key=lambda item: _rank(item.id)):
        number = taken[item.label]
        taken[item.label] += 1
        turns.append((number > 0, (number + 0.5) / counts[item.label], item.label, item))
    chosen = {id(turn[-1]) for turn in sorted(turns, key=lambda turn: turn[:3])[:limit]}
    return [item for item in items if id(item) in chosen]


def _rank(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _by_ids(name: str, rule: IdsSplit, pool: Pool) -> tuple[Splits, list[SetAside]]:
    broken = {row.id for row in pool.set_aside}
    found = {item.id for item in pool.items} | broken
    listed = read_ids(name, rule)
    for split, ids in listed.items():
        if missing := [i for i in ids if i not in found]:
            raise InputError(
                f"{rule.ids}: {len(missing)} of the {len(ids)} ids of {split} are not in the data of tasks.{name}, "
                f"such as '{missing[0]}'; the list and the raw files must belong together"
            )
    home = {i: split for split, ids in listed.items() for i in ids}
    splits: Splits = {split: [item for item in pool.items if home.get(item.id) == split] for split in SPLITS}
    left = [SetAside.item(item, "not in the split file") for item in pool.items if item.id not in home]
    return splits, left


def _by_files(name: str, rule: FilesSplit, items: list[Item]) -> Splits:
    roles = {"train": rule.train, "validation": rule.validation, "test": rule.test}
    splits = {split: [item for item in items if item.role == role] for split, role in roles.items()}
    if rule.validation is None:
        pool = splits["train"]
        size = max(1, round(rule.validation_share * len(pool)))
        drawn = draw(pool, {"validation": size, "train": len(pool) - size}, rule.seed)
        splits |= {split: drawn[split] for split in ("train", "validation")}
    return splits


def _at_random(name: str, task: Task, rule: RandomSplit, items: list[Item]) -> tuple[Splits, list[SetAside]]:
    wanted = {split: getattr(rule, split) for split in SPLITS}
    if all(size < 1 for size in wanted.values()):
        wanted[REST] = max(0.0, 1 - sum(wanted.values()))
        sizes = _apportion(len(items), wanted)
    else:
        sizes = {split: int(size) for split, size in wanted.items()}
        if (total := sum(sizes.values())) > len(items):
            raise InputError(
                f"tasks.{name}.splits.{task.split}: {total} items are wanted but there are only {len(items)}; "
                "lower train, validation or test"
            )
        sizes[REST] = len(items) - total
    drawn = draw(items, sizes, rule.seed)
    left = [SetAside.item(item, "not drawn") for item in drawn.pop(REST)]
    return drawn, left


def draw(items: list[Item], sizes: dict[str, int], seed: int) -> Splits:
    """Share items out at random, label-stratified, whole groups at a time.

    Every split first gets its quota of every label, by largest remainders, so that the sizes are met exactly
    where nothing is grouped. Groups, the largest first, then go where the labels they bring are most wanting
    in proportion to the quota; single items fill the gaps.

    Parameters
    ----------
    items
        What is shared out.
    sizes
        Items per split, adding up to all of them. With groups the sizes are met as nearly as those allow.
    seed
        Seed of the draw.

    Returns
    -------
    Items by split, each in the order of `items`.
    """
    left = Counter(item.label for item in items)
    quotas = {}
    # The smallest split first: it has the least room for rounding.
    for split in sorted(sizes, key=lambda split: sizes[split]):
        quotas[split] = Counter(_apportion(sizes[split], left))
        left -= quotas[split]
    groups = defaultdict(list)
    for item in items:
        # An item without a group is one of its own, whatever other groups are called.
        groups[(True, item.group) if item.group is not None else (False, item.role, item.id)].append(item)
    order = sorted(groups, key=lambda key: (-len(groups[key]), _rank(f"{seed}:{key}")))
    given = {split: Counter() for split in sizes}
    home = {}
    for key in order:
        brings = Counter(item.label for item in groups[key])
        best = max(
            (split for split in sizes if sizes[split]),
            key=lambda split: sum(_wanting(quotas[split][w], given[split][w], n) for w, n in brings.items()),
        )
        given[best].update(brings)
        home |= {id(item): best for item in groups[key]}
    return {split: [item for item in items if home[id(item)] == split] for split in sizes}


def _wanting(quota: int, given: int, more: int) -> float:
    """How welcome `more` items of a label are: what share of the quota would be open after them."""
    return more * (quota - given - more) / quota if quota else -more * (given + more + 1.0)


def _apportion(seats: int, weights: dict[str, float] | Counter) -> dict[str, int]:
    """Whole numbers in proportion to `weights` that add up to `seats`, by largest remainders."""
    total = sum(weights.values())
    exact = {key: seats * weight / total if total else 0.0 for key, weight in weights.items()}
    whole = {key: int(value) for key, value in exact.items()}
    by_remainder = sorted(weights, key=lambda key: (whole[key] - exact[key], key))
    for key in by_remainder[: seats - sum(whole.values())]:
        whole[key] += 1
    return whole
