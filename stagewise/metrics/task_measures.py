"""Measures of each task of an experiment, and the one that claims are about."""

from collections.abc import Iterable
from dataclasses import dataclass

from stagewise.config.experiment import Config
from stagewise.measures import MEASURES, PRIMARY, TASK_SCORE, Measure, measures_of, own_measure, task_score
from stagewise.metrics.prediction_table import AnswerFormat
from stagewise.metrics.schema import MAJORITY, ReportMetrics
from stagewise.task_kinds import LABEL_KINDS


@dataclass(frozen=True)
class TaskMeasures:
    """Forms of the answers of an experiment's tasks, with the measures that follow."""

    forms: dict[str, AnswerFormat]
    """By task."""
    primary: Measure
    """The measure that all tasks share, or `TASK_SCORE`."""

    @classmethod
    def of(cls, config: Config) -> "TaskMeasures":
        """Gather them from an experiment's settings."""
        by_task = config.own_measures
        forms = {
            name: AnswerFormat(task.words, task.kind, by_task[name], task.answer_without_label)
            for name, task in config.active_tasks.items()
        }
        return cls(forms, _primary(config.primary_measure, forms))

    @classmethod
    def alike(cls, tasks: Iterable[str], form: AnswerFormat) -> "TaskMeasures":
        """Those of tasks with answers of one form."""
        return cls(dict.fromkeys(tasks, form), MEASURES[form.own])

    @classmethod
    def of_records(cls, metrics: ReportMetrics) -> "TaskMeasures":
        """Gather them from a finished experiment's metrics."""
        primary, forms = metrics.experiment.primary_measure, {}
        for task in metrics.tasks:
            kind = task.kind or "classification"
            measure = task.measure or own_measure(kind, primary)
            forms[task.task] = AnswerFormat(task.labels, kind, measure, task.no_label or "none")
        return cls(forms, _primary(primary, forms))

    @property
    def task_score(self) -> Measure | None:
        """The pseudo-measure of tasks with different measures of their own; None if they share one."""
        return self.primary if self.is_mixed else None

    @property
    def is_mixed(self) -> bool:
        """True if tasks have different measures of their own."""
        return self.primary.name == TASK_SCORE

    def own(self, task: str) -> Measure:
        """The measure that claims about a task are about."""
        return MEASURES[self.forms[task].own]

    def claimed(self, task: str | None, against: str) -> Measure:
        """The measure of a claim about a task, or about the mean over tasks (None).

        Labels are compared with the majority class by accuracy: any guesser that varies its answers beats it in
        macro-F1.
        """
        if task is None:
            return self.primary
        by_accuracy = against == MAJORITY and self.forms[task].kind in LABEL_KINDS
        return MEASURES[PRIMARY] if by_accuracy else self.own(task)

    def is_scored(self, task: str) -> bool:
        """True if an answer to the task may be anything between right and wrong."""
        return self.forms[task].kind not in LABEL_KINDS and not self.own(task).is_accuracy

    @property
    def all(self) -> list[Measure]:
        """Every measure that some task has, in order; those of classification without any task."""
        kinds = {form.kind for form in self.forms.values()} or {"classification"}
        names = {name for kind in kinds for name in measures_of(kind)}
        return [measure for name, measure in MEASURES.items() if name in names] + [self.primary] * self.is_mixed


def _primary(name: str, forms: dict[str, AnswerFormat]) -> Measure:
    return task_score([MEASURES[form.own] for form in forms.values()]) if name == TASK_SCORE else MEASURES[name]
