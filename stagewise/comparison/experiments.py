"""Finished experiments that stand side by side, each under a name of its own."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError
from stagewise.lineage import BASE
from stagewise.measures import MEASURES, PRIMARY, TASK_SCORE
from stagewise.metrics.schema import Value
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables.number_format import capital, listed
from stagewise.results.answers import Answers
from stagewise.results.load import Results, load_results

UNTUNED = "untuned base model"


@dataclass(frozen=True)
class Experiment:
    """One experiment of the page."""

    label: str
    """Its name; with a folder's, or a number, if others have the same."""
    path: Path
    """Its ``report_metrics.json``."""
    view: View
    answers: Answers

    @classmethod
    def of(cls, label: str, results: Results) -> "Experiment":
        return cls(label, results.path, results.view, results.answers)

    @property
    def checksum(self) -> str | None:
        """SHA-256 of the values of its metrics, as they were sealed."""
        return self.view.metrics.checksum

    @property
    def tasks(self) -> list[str]:
        """Every task, in the order of the reference arm's stages, then those that it does not learn."""
        return list(dict.fromkeys([*self.view.ordered_tasks, *self.view.tasks]))

    @property
    def arms(self) -> list[str]:
        """The untuned model, then every arm."""
        return [UNTUNED, *self.view.arms]

    def lineages(self, arm: str, task: str, runs: list[tuple[int | None, int]]) -> list[str]:
        """Lineages that answer a task at an arm's end, one a run; empty if it does not answer the task."""
        if task not in self.view.tasks:
            return []
        if arm == UNTUNED:
            return [BASE] * len(runs)
        ends = [steps[-1].answers for run in runs if (steps := self.view.steps(arm, run))]
        return [answers[task] for answers in ends if task in answers]

    def score(self, arm: str, task: str, measure: str) -> Value | None:
        """An arm's score on a task after its last stage, on the main split."""
        lineages = self.lineages(arm, task, self.view.runs[:1] if arm == UNTUNED else self.view.runs)
        return self.view.value(lineages, task, self.view.main_split, measure) if lineages else None


def load_experiments(paths: list) -> list[Experiment]:
    """Read finished experiments, the first of which the others are compared with.

    Raises
    ------
    InputError
        If there are fewer than two, one is named twice, or one cannot be read.
    """
    results = [load_results(path) for path in paths]
    if len(results) < 2:
        raise InputError("one experiment cannot be compared; name two or more results folders")
    files = Counter(result.path.resolve() for result in results)
    for path, number in files.items():
        if number > 1:
            raise InputError(f"{path}: named {number} times; name different results")
    labels = _labels([result.name for result in results], [result.path.resolve().parent for result in results])
    return list(map(Experiment.of, labels, results))


def _labels(names: list[str], folders: list[Path]) -> list[str]:
    """A label for each experiment: its name; where names are the same, with that of a folder, or else a number."""
    counts = Counter(names)
    for additions in (
        [folder.name for folder in folders],
        [folder.parent.name for folder in folders],  # ``lora/results`` and ``dora/results``
        [str(number) for number in range(1, len(names) + 1)],
    ):
        pairs = zip(names, additions, strict=True)
        labels = [f"{name} ({addition})" if counts[name] > 1 else name for name, addition in pairs]
        if len(set(labels)) == len(labels):
            break
    return labels


def shared_measure(experiments: list[Experiment]) -> str:
    """The measure that the page is about: the first experiment's primary one, or accuracy if another lacks it.

    If some lack that too, the first one's: they then have no task of its kind.
    """
    primary = experiments[0].view.primary.name
    shared = [name for name in (primary, PRIMARY) if all(name in e.view.measures for e in experiments)]
    return next((name for name in shared if name in (*MEASURES, TASK_SCORE)), primary)


def measure_on(experiments: list[Experiment], task: str, measure: ShownMeasure) -> ShownMeasure:
    """The page's `measure` if a task has it, else the task's own one in the first experiment that has the task."""
    view = next(e.view for e in experiments if task in e.view.tasks)
    return measure if measure.name in view.of_tasks.measures_of(task) else view.own(task)


def name_measures(experiments: list[Experiment], tasks: list[str], measure: ShownMeasure) -> str:
    """The measures of the page's tasks inside a sentence: the one, or ``accuracy of a and b, ROUGE-L of c``."""
    titles: dict[str, list[str]] = {}
    for task in tasks:
        titles.setdefault(measure_on(experiments, task, measure).title, []).append(task)
    if set(titles) <= {measure.title}:
        return measure.title
    return ", ".join(f"{title} of {listed(names)}" for title, names in titles.items())


def axis(experiments: list[Experiment], tasks: list[str], measure: ShownMeasure) -> str:
    """The same at the start of a caption, with the unit if all have one."""
    unit = ", %" if are_shares(experiments, tasks, measure) else ""
    return f"{capital(name_measures(experiments, tasks, measure))}{unit}"


def are_shares(experiments: list[Experiment], tasks: list[str], measure: ShownMeasure) -> bool:
    """True if all numbers about the tasks are shares."""
    return measure.is_share and all(measure_on(experiments, task, measure).is_share for task in tasks)


def has_same_measures(e: Experiment, arm: str, experiments: list[Experiment], measure: ShownMeasure) -> bool:
    """Tell if means over an arm's tasks are of the page's measures: ``task_score`` is a mean of the tasks' own ones."""
    if measure.name != TASK_SCORE:
        return True
    tasks = [task for task in e.view.ordered_tasks if e.lineages(arm, task, e.view.runs)]
    return all(measure_on(experiments, task, measure).name == e.view.own(task).name for task in tasks)


def all_tasks(experiments: list[Experiment]) -> list[str]:
    """Tasks of all experiments, the first one's first."""
    return list(dict.fromkeys(task for e in experiments for task in e.tasks))


def all_probes(experiments: list[Experiment]) -> list[str]:
    """Probes of all experiments, the first one's first."""
    return list(dict.fromkeys(probe for e in experiments for probe in e.view.probes))


def all_arms(experiments: list[Experiment]) -> list[str]:
    """The untuned model and the arms of all experiments, the first one's first."""
    return list(dict.fromkeys(arm for e in experiments for arm in e.arms))
