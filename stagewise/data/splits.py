"""Split rules. The same seed gives the same splits, whatever the row order.

Items are ranked by a hash of seed and id rather than by a random generator, whose stream would depend on row order
and library version. `scikit-learn` has no splitter for grouped and stratified splits of unequal sizes.
"""

import hashlib
from collections import Counter, defaultdict

from stagewise.config.tasks import SPLITS, FilesSplit, IdsSplit, RandomSplit, Task
from stagewise.data.items import Item, SetAside
from stagewise.data.raw_items import Pool
from stagewise.data.set_aside import Problem, list_problems
from stagewise.data.split_lists import read_ids
from stagewise.errors import InputError

Splits = dict[str, list[Item]]

REST = "rest"
"""Pseudo-split of the items that a random split does not use."""


def split_items(name: str, task: Task, pool: Pool) -> tuple[Splits, list[SetAside]]:
    """Split a task's items by its rule.

    Returns
    -------
    Items by split, in the order of the raw files, and the items that the rule puts in no split.

    Raises
    ------
    InputError
        For ids that do not fit the data, a rule that asks for more items than there are, or an empty split.
    """
    rule = task.splits[task.split]
    if isinstance(rule, IdsSplit):
        splits, unused = _split_by_ids(name, rule, pool)
    elif isinstance(rule, FilesSplit):
        splits, unused = _split_by_files(rule, pool.items), []
    else:
        splits, unused = _split_at_random(name, task, rule, pool.items)
    check_splits(name, splits)
    return splits, unused


def check_splits(name: str, splits: Splits, lost: Counter[Problem] | None = None) -> None:
    """Refuse an empty split; `lost` counts the rows that were set aside since the raw files were read."""
    for split in SPLITS:
        if not splits[split]:
            why = f" ({list_problems(lost)})" if lost else ""
            raise InputError(f"tasks.{name}: the {split} split has no item left{why}; correct the split or the data")


def count_groups_across(splits: Splits) -> int:
    """Count the groups that are in more than one split."""
    splits_of_group = defaultdict(set)
    for split, items in splits.items():
        for item in items:
            if item.group is not None:
                splits_of_group[item.group].add(split)
    return sum(len(names) > 1 for names in splits_of_group.values())


def limit_items(items: list[Item], limit: int | None) -> list[Item]:
    """Choose at most `limit` items in proportion to their strata, in their old order.

    Items are chosen by the highest-averages rule of Sainte-Laguë, one of each stratum first. Unlike with largest
    remainders, the items of a smaller limit are then always among those of a larger one.
    """
    if limit is None or limit >= len(items):
        return items
    stratum_of = strata(items)
    counts = Counter(stratum_of.values())
    seen: Counter = Counter()
    candidates = []
    for item in sorted(items, key=lambda item: _rank(item.id)):
        stratum = stratum_of[id(item)]
        number = seen[stratum]
        seen[stratum] += 1
        candidates.append((number > 0, (number + 0.5) / counts[stratum], stratum, item))
    chosen = {id(item) for *_, item in sorted(candidates, key=lambda candidate: candidate[:3])[:limit]}
    return [item for item in items if id(item) in chosen]


def strata(items: list[Item]) -> dict[int, str]:
    """Stratum of each item, by its `id()`: the label; the rarest label of several; one for all if there are none."""
    counts = Counter(word for item in items for word in item.labels or ())

    def stratum(item: Item) -> str:
        if item.references is not None:
            return ""
        if item.labels is None:
            return item.label
        return min(item.labels, key=lambda word: (counts[word], word), default="")

    return {id(item): stratum(item) for item in items}


def _rank(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _split_by_ids(name: str, rule: IdsSplit, pool: Pool) -> tuple[Splits, list[SetAside]]:
    ids_in_data = {item.id for item in pool.items} | {row.id for row in pool.set_aside}
    listed = read_ids(name, rule)
    for split, ids in listed.items():
        if missing := [item_id for item_id in ids if item_id not in ids_in_data]:
            raise InputError(
                f"{rule.ids}: {len(missing)} of the {len(ids)} ids of {split} are not in the data of tasks.{name}, "
                f"such as '{missing[0]}'; the list and the raw files must belong together"
            )
    split_of = {item_id: split for split, ids in listed.items() for item_id in ids}
    splits: Splits = {split: [item for item in pool.items if split_of.get(item.id) == split] for split in SPLITS}
    unused = [SetAside.of(item, "not in the split file") for item in pool.items if item.id not in split_of]
    return splits, unused


def _split_by_files(rule: FilesSplit, items: list[Item]) -> Splits:
    roles = {"train": rule.train, "validation": rule.validation, "test": rule.test}
    splits = {split: [item for item in items if item.role == role] for split, role in roles.items()}
    if rule.validation is None:
        candidates = splits["train"]
        size = max(1, round(rule.validation_share * len(candidates)))
        drawn = draw_splits(candidates, {"validation": size, "train": len(candidates) - size}, rule.seed)
        splits |= {split: drawn[split] for split in ("train", "validation")}
    return splits


def _split_at_random(name: str, task: Task, rule: RandomSplit, items: list[Item]) -> tuple[Splits, list[SetAside]]:
    requested = {split: getattr(rule, split) for split in SPLITS}
    if all(size < 1 for size in requested.values()):
        requested[REST] = max(0.0, 1 - sum(requested.values()))
        sizes = _apportion(len(items), requested)
    else:
        sizes = {split: int(size) for split, size in requested.items()}
        if (total := sum(sizes.values())) > len(items):
            raise InputError(
                f"tasks.{name}.splits.{task.split}: {total} items are wanted but there are only {len(items)}; "
                "lower train, validation or test"
            )
        sizes[REST] = len(items) - total
    drawn = draw_splits(items, sizes, rule.seed)
    unused = [SetAside.of(item, "not drawn") for item in drawn.pop(REST)]
    return drawn, unused


def draw_splits(items: list[Item], sizes: dict[str, int], seed: int) -> Splits:
    """Draw stratified random splits, whole groups at a time.

    Every split has a quota of every stratum, computed by largest remainders, so that the sizes are exact if there
    are no groups. Groups, the largest first, go to the split that lacks most of their strata in proportion to its
    quota; single items fill the gaps.

    Parameters
    ----------
    items
        Items to distribute.
    sizes
        Items per split; they add up to `len(items)`. With groups the sizes are met as nearly as those allow.
    seed
        Seed of the draw.

    Returns
    -------
    Items by split, each in the order of `items`.
    """
    stratum_of = strata(items)
    quotas = _stratum_quotas(Counter(stratum_of.values()), sizes)
    groups = defaultdict(list)
    for item in items:
        # An item without a group forms its own, whatever other groups are called.
        groups[(True, item.group) if item.group is not None else (False, item.role, item.id)].append(item)
    order = sorted(groups, key=lambda key: (-len(groups[key]), _rank(f"{seed}:{key}")))
    given = {split: Counter() for split in sizes}
    split_of = {}
    for key in order:
        counts = Counter(stratum_of[id(item)] for item in groups[key])
        neediest = max(
            (split for split in sizes if sizes[split]),
            key=lambda split: sum(_need(quotas[split][w], given[split][w], n) for w, n in counts.items()),
        )
        given[neediest].update(counts)
        split_of |= {id(item): neediest for item in groups[key]}
    return {split: [item for item in items if split_of[id(item)] == split] for split in sizes}


def _stratum_quotas(remaining: Counter, sizes: dict[str, int]) -> dict[str, Counter]:
    """Apportion each stratum's items to the splits."""
    quotas = {}
    # The smallest split first: it has the least room for rounding.
    for split in sorted(sizes, key=lambda split: sizes[split]):
        quotas[split] = Counter(_apportion(sizes[split], remaining))
        remaining -= quotas[split]
    return quotas


def _need(quota: int, given: int, count: int) -> float:
    """Weigh a split's need for `count` items of a stratum by the share of its quota that stays open after them."""
    return count * (quota - given - count) / quota if quota else -count * (given + count + 1.0)


def _apportion(seats: int, weights: dict[str, float] | Counter) -> dict[str, int]:
    """Distribute `seats` in proportion to `weights`, as whole numbers, by largest remainders."""
    total = sum(weights.values())
    exact = {key: seats * weight / total if total else 0.0 for key, weight in weights.items()}
    shares = {key: int(value) for key, value in exact.items()}
    by_remainder = sorted(weights, key=lambda key: (shares[key] - exact[key], key))
    for key in by_remainder[: seats - sum(shares.values())]:
        shares[key] += 1
    return shares
