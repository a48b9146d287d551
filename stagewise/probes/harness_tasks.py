"""Tasks of lm-evaluation-harness: found, loaded from local data, and their main metric.

Importing this module imports neither torch nor the harness.
"""

import difflib
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from stagewise.config.probes import Harness
from stagewise.errors import InputError

FETCH = "python -m scripts.fetch_harness --settings config.yaml"


def stay_offline() -> None:
    """Keep the hub's libraries off the network; call it before they are imported. What the user has set stays."""
    for name in ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE"):
        os.environ.setdefault(name, "1")


@dataclass(frozen=True)
class Metric:
    """The metric that stands for a task."""

    name: str
    higher_is_better: bool


@dataclass(frozen=True)
class HarnessTasks:
    """The tasks behind one name: a task alone, or those of a group or a tag."""

    name: str
    loaded: dict
    """Tasks and groups by name, as the harness's manager loads them."""

    @property
    def tasks(self) -> dict:
        """Tasks by name."""
        return self.loaded["tasks"]

    @property
    def is_single(self) -> bool:
        return list(self.tasks) == [self.name]

    @property
    def metric(self) -> Metric:
        """The first metric of the first task whose value is the mean over items.

        Raises
        ------
        InputError
            If there is none, or another task of the group lacks it.
        """
        from lm_eval.api.metrics import mean

        first, *others = self.tasks.values()
        names = [name for name, aggregation in first.aggregation().items() if aggregation is mean]
        if not names:
            given = ", ".join(first.aggregation()) or "none"
            raise InputError(
                f"probes.harness: no metric of the task {first.task_name} is a mean over items (it has {given}), so "
                "items cannot be compared in pairs; take another task"
            )
        name = names[0]
        if lacking := next((task for task in others if task.aggregation().get(name) is not mean), None):
            raise InputError(
                f"probes.harness: {self.name} has tasks of different metrics ({lacking.task_name} has no mean of "
                f"{name}); name its tasks one by one"
            )
        return Metric(name, bool(first.higher_is_better().get(name, True)))

    def weights(self, sizes: dict[str, int], metric: str) -> dict[str, float]:
        """Weight of each item by task, so that the weighted mean is the group's value in the harness.

        Items count alike unless the group says that its tasks do (`weight_by_size: false`).
        """
        group = self.loaded["groups"].get(self.name)
        declared = (group.aggregate_metric_list if group else None) or []
        of_metric = [each for each in declared if each.metric == metric]
        by_size = all(each.weight_by_size for each in of_metric)
        return {task: 1.0 if by_size else 1.0 / size for task, size in sizes.items()}


class TaskLoader:
    """Loader of harness tasks by name."""

    def __init__(self, harness: Harness):
        self.harness = harness
        logging.getLogger("lm_eval").setLevel(logging.ERROR)

    def load(self, name: str) -> HarnessTasks:
        """Load a task, or those of a group or a tag, with their data.

        Raises
        ------
        InputError
            If there is no such task, or its definition or data cannot be loaded.
        """
        manager = self.check_name(name)
        try:
            try:
                return HarnessTasks(name, manager.load([name]))
            except Exception:
                if manager is not self._included or name in manager.all_subtasks:
                    raise
                # A group of the folder may have tasks of the harness.
                return HarnessTasks(name, self._all.load([name]))
        except Exception as error:  # definitions and data sets raise whatever their readers raise
            raise InputError(_load_problem(name, error)) from None

    def check_name(self, name: str):
        """Find the manager that has a task, a group or a tag.

        Raises
        ------
        InputError
            If none has it, with names that are near.
        """
        manager = self._included if name in self._included.all_tasks else self._all
        if name not in manager.all_tasks:
            raise InputError(unknown_task(name, manager.all_tasks, self.harness.include))
        return manager

    @cached_property
    def _included(self):
        """Manager of the included folder alone."""
        from lm_eval.tasks import TaskManager

        return TaskManager(include_path=self.harness.include, include_defaults=False)

    @cached_property
    def _all(self):
        """Manager of all tasks, the harness's own too: it reads thousands of files, which takes seconds."""
        from lm_eval.tasks import TaskManager

        return TaskManager(include_path=self.harness.include)


def unknown_task(name: str, names: Iterable[str], include: str | None) -> str:
    """Say that there is no such task, and which names are near."""
    near = difflib.get_close_matches(name, list(names), n=3)
    where = f" or in {include}" if include else ""
    hint = f"; did you mean {', '.join(near)}?" if near else "; `lm-eval ls tasks` lists all"
    return f"config: probes.harness: there is no task '{name}' in lm-evaluation-harness{where}{hint}"


def _load_problem(name: str, error: Exception) -> str:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return (
        f"probes.harness: the task {name} cannot be loaded ({reason}); if its data are not on this machine, fetch them "
        f"once, online, with `{FETCH}`"
    )
