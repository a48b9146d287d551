"""Test items of a study that is planned, counted in its raw files."""

from collections import Counter

from stagewise.config.experiment import Config
from stagewise.data.raw_items import read_items
from stagewise.data.splits import limit_items, split_items
from stagewise.errors import InputError
from stagewise.metrics.design import TaskItems


def count_items(config: Config, given: dict[str, int]) -> tuple[dict[str, TaskItems], float]:
    """Count each task's items of the split that claims are about.

    Parameters
    ----------
    config
        The experiment.
    given
        Numbers by task that are taken as they are.

    Returns
    -------
    Items by task, and by harness task if `given`; and the share of held-out over training items of a fold (0 without
    folds).

    Raises
    ------
    InputError
        If raw files cannot be read; --items does without them.
    """
    split = "test" if "test" in config.evaluation.splits else config.evaluation.splits[0]
    settings, overlap, tasks = config.data_settings(config.runs[0][0]), 0.0, {}
    for name, task in settings.tasks.items():
        if name in given and not config.folds:
            tasks[name] = TaskItems(given[name])
            continue
        try:
            splits, _ = split_items(name, task, read_items(name, task))
        except InputError as error:
            raise InputError(f"{error}; or give --items {name}=NUMBER") from None
        items = limit_items(splits[split], getattr(settings.limit, split))
        tasks[name] = TaskItems(given.get(name, len(items)), group_size([item.group for item in items]))
        if getattr(task.splits[task.split], "fold", None) is not None and config.folds and len(config.folds) > 1:
            overlap = max(overlap, len(splits["validation"]) / len(splits["train"]))
    harness = config.probes.harness.tasks if config.probes.harness else []
    tasks |= {probe: TaskItems(given[probe]) for probe in harness if probe in given}
    return tasks, overlap


def group_size(groups: list) -> float:
    """Mean size of an item's group, a group counting once for each of its items; None is an item that stands alone."""
    sizes = Counter(group if group is not None else ("alone", n) for n, group in enumerate(groups))
    return sum(size**2 for size in sizes.values()) / len(groups)
