"""Measures of each task: those of its kind, and its own one, which claims about it are about."""

from dataclasses import replace

from stagewise.measures import TASK_SCORE
from stagewise.metrics.schema import ReportMetrics
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables.number_format import listed

CLASSIFICATION, ORDINAL, MULTIPLE_CHOICE = "classification", "ordinal", "multiple_choice"

MULTI_LABEL, GENERATION = "multi_label", "generation"


class ShownTasks:
    """Kind and measures of every task that is scored."""

    def __init__(self, metrics: ReportMetrics, measures: dict[str, ShownMeasure], primary: str):
        """`measures` are those of the experiment, the one called `primary` first."""
        self.measures, self._primary = measures, primary
        self.kinds = {record.task: record.kind or CLASSIFICATION for record in metrics.tasks}
        self._own = {record.task: record.measure or primary for record in metrics.tasks}
        named: dict[str, set[str]] = {}
        for score in metrics.scores:
            named.setdefault(score.task, set()).update(score.measures)
        self._exact = {record.name for record in metrics.measures if record.test}
        self._of_task = {task: self._order(task, named.get(task, set())) for task in self.kinds}

    def _order(self, task: str, names: set[str]) -> dict[str, ShownMeasure]:
        """The task's measures, its own one first; all of them if nothing was scored."""
        ordered = [name for name in self.measures if name != TASK_SCORE and (name in names or not names)]
        ordered.sort(key=lambda name: name != self._own[task])
        return {name: replace(self.measures[name], rank=rank) for rank, name in enumerate(ordered)}

    @property
    def are_mixed(self) -> bool:
        """True if tasks have different measures of their own, so that means are over task scores."""
        return self._primary == TASK_SCORE

    def measures_of(self, task: str) -> dict[str, ShownMeasure]:
        """The task's measures by name, its own one first."""
        return self._of_task[task]

    def own(self, task: str | None) -> ShownMeasure:
        """The measure that claims about a task are about; the primary one for the mean over tasks (None)."""
        return self.measures[self._primary] if task is None else self._of_task[task][self._own[task]]

    def has_scored_answers(self, task: str) -> bool:
        """True if an answer is more than right or wrong by the task's own measure."""
        return self.kinds[task] == GENERATION and self._own[task] not in self._exact

    def flips_note(self, tasks) -> str:
        """Explain flips of tasks that are not answered with one label, for captions; empty if all are."""
        sets, scored = self.of_kind(tasks, MULTI_LABEL), [task for task in tasks if self.has_scored_answers(task)]
        text = f" An answer to {listed(sets)} is right if it has exactly the gold labels." if sets else ""
        if scored:
            titles = listed(dict.fromkeys(self.own(task).title for task in scored))
            text += (
                f" Of {listed(scored)} items are lost, or gained, whose {titles} fell, or rose, by 50 points or more."
            )
        return text

    def axis(self, task: str) -> str:
        """Label of an axis of the primary measure on a task."""
        primary = self.own(None)
        if not self.are_mixed:
            return primary.axis
        return f"{primary.title} ({self.own(task).title}){', %' if primary.is_share else ''}"

    def name_own(self, tasks) -> str:
        """The tasks' own measures: ``accuracy of a and b, ROUGE-L of c``."""
        by_title: dict[str, list[str]] = {}
        for task in tasks:
            by_title.setdefault(self.own(task).title, []).append(task)
        return ", ".join(f"{title} of {listed(names)}" for title, names in by_title.items())

    def name_kind(self, task: str) -> str:
        """A task with its kind, unless that is classification."""
        kind = self.kinds[task]
        return task if kind == CLASSIFICATION else f"{task} ({kind.replace('_', ' ')})"

    def name_measured(self, task: str) -> str:
        """A task as a heading, with its own measure where tasks have different ones."""
        return f"{task}: {self.own(task).title}" if self.are_mixed else task

    def name_majority(self, task: str) -> str:
        """The most frequent answer of the training split, in the words of the task's kind."""
        other = {MULTIPLE_CHOICE: "letter", MULTI_LABEL: "set of labels", GENERATION: "answer"}.get(self.kinds[task])
        return f"most frequent {other}" if other else "majority class"

    def alike(self, tasks) -> list[list[str]]:
        """Tasks in groups that have the same measures in the same order, for tables with a column per measure."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for task in tasks:
            groups.setdefault(tuple(self._of_task[task]), []).append(task)
        return list(groups.values())

    def of_kind(self, tasks, *kinds: str) -> list[str]:
        """Those of the tasks that are of one of these kinds."""
        return [task for task in tasks if self.kinds[task] in kinds]
