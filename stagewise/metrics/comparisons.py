"""Comparisons that a report makes claims about, by the arms of an experiment and its primary outcome."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from stagewise.config.experiment import Config
from stagewise.lineage import BASE, Step
from stagewise.measures import Measure
from stagewise.metrics.schema import MAJORITY, TFIDF
from stagewise.metrics.task_measures import TaskMeasures

LEARNT_AGAINST = (MAJORITY, BASE, TFIDF)

RETAINED_AGAINST = (MAJORITY, BASE)

Sides = dict[str, tuple[list[str], list[str]]]
"""By task: lineages that answer, and what they are compared with (adapters or a baseline), one a run each."""


@dataclass(frozen=True)
class Comparison:
    """Two sets of answers to the same items in every run: the second minus the first is what a claim is about."""

    kind: str
    task: str | None
    """The task or probe; None for the mean over several tasks."""
    against: str
    measure: Measure
    sides: Sides
    arms: list[str] = field(default_factory=list)
    """Arms that these adapters belong to."""

    @property
    def lineages(self) -> list[str]:
        """Adapters that answer, run by run; where several answer in a run, each once."""
        return _run_by_run([ours for ours, _ in self.sides.values()])

    @property
    def against_lineages(self) -> list[str]:
        """Adapters, or a baseline, on the other side."""
        return _run_by_run([theirs for _, theirs in self.sides.values()])

    @property
    def key(self) -> tuple:
        sides = [(task, *ours, *theirs) for task, (ours, theirs) in self.sides.items()]
        return self.kind, self.task, self.against, *sides


def _run_by_run(lineages: list[list[str]]) -> list[str]:
    return [lineage for run in zip(*lineages, strict=True) for lineage in dict.fromkeys(run)]


def references_of(config: Config) -> dict[str, str]:
    """Name the arm that each arm is compared with, by arm; itself for a reference."""
    return {arm: config.reference_of(arm) for arm in config.active_arms}


def list_comparisons(
    steps: dict[str, list[list[Step]]],
    tasks: list[str],
    references: dict[str, str],
    measures: TaskMeasures,
    answered: Iterable[tuple[str, str]],
    outcome: str = "tasks",
    probes: Mapping[str, Measure] = {},
) -> list[Comparison]:
    """List what a report claims something about; adapters that several arms share stand there once.

    Parameters
    ----------
    steps
        Each arm after every stage, one list a run.
    tasks
        The experiment's tasks.
    references
        The arm that each arm is compared with (`references_of`).
    measures
        Those of the tasks, among them what claims are about.
    answered
        Baselines (and ``base``) that answered the main split, with the task.
    outcome
        `statistics.primary_outcome`. With ``average`` arms are compared by the mean over all tasks that some arm
        learns, and only the references by what they learnt (against the majority class, which a loss presupposes),
        kept, and lost on probes.
    probes
        Measure of each probe, be it one of `tasks` or not.
    """
    answered, comparisons, average = set(answered), {}, outcome == "average"

    def add(arm: str, kind: str, task: str | None, against: str, sides: Sides) -> None:
        measure = probes.get(task) or measures.claimed(task, against)
        # An adapter is not compared with itself.
        if any(ours != theirs for ours, theirs in sides.values()):
            comparison = Comparison(kind, task, against, measure, sides)
            comparisons.setdefault(comparison.key, comparison).arms.append(arm)

    for arm, runs in steps.items():
        if average and arm not in references.values():
            continue
        for kind, task, against, sides in _stages_of_arm(runs, tasks):
            is_baseline = against != "learnt"
            if is_baseline and (against, task) not in answered:
                continue
            if average and is_baseline and (kind, against) != ("learnt", MAJORITY):
                continue
            add(arm, kind, task, against, sides)
        for probe in probes_of_arm(runs[0], probes):
            last, untuned = ([run[stage].answered_by[probe] for run in runs] for stage in (-1, 0))
            add(arm, "probe", probe, BASE, {probe: (last, untuned)})
    learnt = {task for runs in steps.values() for step in runs[0] for task in step.tasks}
    averaged = [task for task in tasks if task in learnt]
    compared = dict.fromkeys([*tasks, *probes])
    for arm, runs in steps.items():
        reference = references[arm]
        if arm == reference:
            continue
        sides = {
            task: tuple([run[-1].answered_by[task] for run in by_run] for by_run in (runs, steps[reference]))
            for task in (averaged if average else compared)
        }
        for task in [None] if average else compared:
            add(arm, "arms", task, reference, sides if task is None else {task: sides[task]})
    return list(comparisons.values())


def probes_of_arm(steps: list[Step], probes: Iterable[str]) -> list[str]:
    """List the probes of an arm: a task that it learns is none."""
    learnt = {task for step in steps for task in step.tasks}
    return [probe for probe in probes if probe not in learnt]


def _stages_of_arm(runs: list[list[Step]], tasks: list[str]) -> Iterator[tuple[str, str, str, Sides]]:
    """Yield kind, task, other side's name and sides of what an arm learnt, kept and retained of each task."""
    for task in tasks:
        learnt = max((step.stage for step in runs[0] if task in step.tasks), default=None)
        if learnt is None:
            continue
        first, last = ([run[stage].answered_by[task] for run in runs] for stage in (learnt, -1))
        for name in LEARNT_AGAINST:
            yield "learnt", task, name, {task: (first, _other_side(name, runs))}
        if learnt == runs[0][-1].stage or first == last:
            continue
        yield "kept", task, "learnt", {task: (last, first)}
        for name in RETAINED_AGAINST:
            yield "retained", task, name, {task: (last, _other_side(name, runs))}


def _other_side(name: str, runs: list[list[Step]]) -> list[str]:
    """Other side of a comparison in each run: a baseline, or for ``base`` the arm's own untuned model."""
    return [run[0].lineage if name == BASE else name for run in runs]
