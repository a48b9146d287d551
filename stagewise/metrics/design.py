"""What a study can show, before anything is trained: the differences its claims find with 80 % power.

The same formulas as in a finished report (`claims.Detectable`), with assumed noise in place of the measured one.
``python -m benchmarks.claims`` checks them by simulation.
"""

from dataclasses import dataclass, replace

from stagewise.config.experiment import Config
from stagewise.lineage import BASE, steps_of_arm
from stagewise.metrics.baselines import NO_BASELINE
from stagewise.metrics.comparisons import list_comparisons, references_of
from stagewise.metrics.crossed import Components, Noise, Runs, items_alone, pool, standard_error
from stagewise.metrics.schema import BASELINES
from stagewise.metrics.significance import detectable_by_sign_flip, detectable_by_t, items_growth
from stagewise.metrics.task_measures import TaskMeasures

MOST_RUNS = 50
"""No more runs than this are tried."""


@dataclass(frozen=True)
class Assumed:
    """What nobody knows before the first training."""

    noise: float
    """Standard deviation of an adapter's accuracy between trainings, 0 to 1: what is left with endless test items."""
    disagreement: float = 0.2
    """Share of items on which two trainings of one arm disagree."""
    accuracy: float = 0.65
    group_correlation: float = 0.5
    """Correlation of the answers to two items of one group."""
    task_correlation: float = 0.5
    """Correlation of an adapter's noise on two tasks."""
    deviation: float = 0.3
    """Standard deviation, over items, of the difference between two trainings' scores of an item, where items have
    scores between right (1) and wrong (0)."""


@dataclass(frozen=True)
class TaskItems:
    """Test items of a task."""

    items: int
    group_size: float = 1.0
    """Mean size of an item's group, a group counting once for each of its items; 1 if items stand alone."""

    @property
    def grouped(self) -> bool:
        return self.group_size > 1

    def effective(self, correlation: float) -> float:
        """Number of items that stand alone and tell as much (Kish 1965, section 5.4)."""
        return self.items / (1 + (self.group_size - 1) * correlation)


@dataclass(frozen=True)
class Comparisons:
    """Claims of one kind about one task, or about the mean over all."""

    kind: str
    task: str | None
    """The task or probe; None for the mean over all tasks learnt."""
    number: int
    against: str = "learnt"
    """The reference arm, of claims about arms."""


@dataclass(frozen=True)
class Design:
    """A planned study."""

    runs: int
    """Runs that count as independent: seeds, or folds."""
    overlap: float
    """Held-out items over training items of a fold (`crossed.Runs`)."""
    level: float
    tasks: dict[str, TaskItems]
    """Tasks, and probes whose number of items is known."""
    comparisons: list[Comparisons]
    """List the tasks that can be forgotten, the probes that can lose, and the arms with a reference."""
    family: int
    """Claims of the whole report."""
    averaged: tuple[str, ...] | None = None
    """Tasks that a mean is over; None for all of them."""
    others: int = 0
    """Claims about probes whose number of items is not known."""
    scored: tuple[str, ...] = ()
    """Tasks whose items have scores between right and wrong."""

    @property
    def step(self) -> float:
        """Level of one claim: Holm's step if the stages are shown to have learnt their tasks and nothing else is."""
        return self.level / (self.others + sum(group.number for group in self.comparisons))

    def detectable(self, group: Comparisons, assumed: Assumed) -> float | None:
        """The difference that claims of this kind find with 80 % power; None if there is none."""
        names, tasks = self._names(group), self.tasks_of(group)
        exact = not set(names) & set(self.scored)
        if self.runs == 1 and len(tasks) == 1 and not tasks[0].grouped and exact:
            return detectable_by_sign_flip(tasks[0].items, assumed.accuracy, assumed.disagreement, self.step)
        units, runs, number = [task.effective(assumed.group_correlation) for task in tasks], self.runs, len(tasks)
        # A right answer against a wrong one differs by 1: the variance is the share of items on which two disagree.
        variances = [assumed.deviation**2 if name in self.scored else assumed.disagreement for name in names]
        rest = sum(variance / each for variance, each in zip(variances, units, strict=True)) / number**2
        growth = items_growth(assumed.accuracy, assumed.disagreement, runs) if exact else lambda difference: 1.0
        if runs == 1:
            return detectable_by_t(items_alone(rest, round(max(units))), growth, self.step)
        # Both adapters of a comparison have the training's noise, unlike the untuned model; a mean has less of it.
        training = assumed.noise**2 * (1 + (number - 1) * assumed.task_correlation) / number
        noise = Noise((1 if group.kind == "probe" else 2) * training + rest, self._noise_df(group))
        error = standard_error(Components(rest / runs, rest, round(max(units)), runs), noise, self.overlap)
        return detectable_by_t(error, growth, self.step)

    def tasks_of(self, group: Comparisons) -> list[TaskItems]:
        """Items of the tasks that claims of a kind are about."""
        return [self.tasks[task] for task in self._names(group)]

    def _names(self, group: Comparisons) -> list[str]:
        if group.task is not None:
            return [group.task]
        return list(self.tasks if self.averaged is None else self.averaged)

    def _noise_df(self, group: Comparisons) -> float:
        """Degrees of freedom of the noise that all comparisons of a kind tell together (`crossed`)."""
        number, runs = group.number, self.runs
        if group.kind in ("arms", "probe") or number == 1:
            return number * (runs - 1)
        # The adapter that learnt the task is common to all: its noise has the runs' degrees of freedom alone.
        _, df = pool(number + 1, 1, number, runs)
        return df

    def runs_for(self, effect: float, group: Comparisons, assumed: Assumed) -> int | None:
        """The fewest seeds, two or more, that find an effect; None if `MOST_RUNS` are too few."""
        for runs in range(2, MOST_RUNS + 1):
            detectable = replace(self, runs=runs, overlap=0.0).detectable(group, assumed)
            if detectable is not None and detectable <= effect:
                return runs
        return None

    def items_for(self, effect: float, group: Comparisons, assumed: Assumed) -> int | None:
        """The fewest test items, in steps of a tenth, that find an effect with the planned runs; None if none do.

        For a mean over tasks it is the sum over them, in today's proportions.
        """
        names = self._names(group)
        total = sum(self.tasks[name].items for name in names)
        for number in sorted({max(20, round(total * 1.1**step)) for step in range(-30, 61)}):
            tasks = dict(self.tasks)
            for name in names:
                tasks[name] = replace(tasks[name], items=max(2, round(tasks[name].items * number / total)))
            detectable = replace(self, tasks=tasks).detectable(group, assumed)
            if detectable is not None and detectable <= effect:
                return number
        return None


def plan_of(config: Config, tasks: dict[str, TaskItems], overlap: float = 0.0) -> Design:
    """Describe an experiment's design.

    Parameters
    ----------
    config
        The experiment.
    tasks
        Test items of each task of its arms, and of probes whose number is known.
    overlap
        Held-out items over training items of a fold; 0 without folds.
    """
    # Whichever variants are chosen, there are as many claims, if no two arms end with the same adapters.
    config = config.with_choice({})
    steps = {arm: [steps_of_arm(config, arm, seed, fold) for fold, seed in config.runs] for arm in config.active_arms}
    statistics, measures = config.statistics, TaskMeasures.of(config)
    answered = [
        (name, task)
        for task, form in measures.forms.items()
        for name in (BASE, *BASELINES)
        if name not in NO_BASELINE.get(form.kind, {})
    ]
    probes = [*config.probes.tasks, *config.probes.item_scored]
    family = list_comparisons(
        steps,
        list(config.active_tasks),
        references_of(config),
        measures,
        answered,
        statistics.primary_outcome,
        # A probe that is no task has a measure of its own, which makes no other claim.
        {probe: measures.own(probe) if probe in measures.forms else measures.primary for probe in probes},
    )
    numbers: dict[tuple[str, str | None, str], int] = {}
    for comparison in family:
        if comparison.kind in ("kept", "probe", "arms"):
            key = comparison.kind, comparison.task, comparison.against
            numbers[key] = numbers.get(key, 0) + 1
    folds = len(config.folds or [None])
    return Design(
        runs=Runs(folds).number(len(config.runs)),
        overlap=overlap if folds > 1 else 0.0,
        level=1 - config.statistics.confidence,
        tasks=tasks,
        comparisons=[
            Comparisons(kind, task, number, against)
            for (kind, task, against), number in numbers.items()
            if task is None or task in tasks
        ],
        family=len(family),
        averaged=tuple(task for task in config.active_tasks if task in config.learnt_tasks),
        scored=tuple(task for task in measures.forms if measures.is_scored(task)),
        others=sum(number for (_, task, _), number in numbers.items() if task is not None and task not in tasks),
    )
