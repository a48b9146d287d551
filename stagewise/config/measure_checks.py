"""Refuse measures that no task has, or not the one that they are named for."""

from collections.abc import Mapping

from stagewise.config.tasks import Task
from stagewise.measures import LABEL_MEASURES, MEASURES, PRIMARY, RESERVED, measures_of
from stagewise.task_kinds import TaskKind


def check_own_measures(tasks: Mapping[str, Task | None]) -> None:
    """Refuse a task's own measure that its kind does not have."""
    for name, task in tasks.items():
        if task is not None and task.measure is not None and task.measure not in measures_of(task.kind):
            measures = ", ".join(measures_of(task.kind))
            raise ValueError(f"tasks.{name}.measure '{task.measure}' is none of a {task.kind} task ({measures})")


def check_primary_measure(primary: str, kinds: set[TaskKind]) -> None:
    """Refuse a primary measure that none of these kinds of tasks has.

    Accuracy is the default, which tasks without it replace by one of their own.
    """
    if kinds and primary != PRIMARY and not any(primary in measures_of(kind) for kind in kinds):
        names = [name for name, measure in MEASURES.items() if kinds & set(measure.kinds)]
        raise ValueError(
            f"statistics.primary_measure '{primary}' is a measure of none of the tasks; take one of {', '.join(names)}"
        )


def check_best_metric(key: str, best_metric: str, kinds: Mapping[str, TaskKind]) -> None:
    """Refuse a metric of checkpoints that training cannot compute of a stage's tasks, given by their kinds."""
    for task, kind in kinds.items():
        choices = [*RESERVED, *(name for name in measures_of(kind) if name in LABEL_MEASURES)]
        if best_metric not in choices:
            raise ValueError(
                f"{key}.best_metric '{best_metric}' is no measure of '{task}' that its training computes "
                f"(kind '{kind}'); take {', '.join(choices)}"
            )
