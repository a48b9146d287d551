"""What a study can show, before anything is trained: the differences its claims find with 80 % power.

The same formulas as in a finished report (`claims.Detectable`), with assumed noise in place of the measured one.
``python -m benchmarks.claims`` checks them by simulation.
"""

from dataclasses import dataclass, replace

from stagewise.config.experiment import Config
from stagewise.lineage import BASE, steps_of_arm
from stagewise.metrics.claims import list_comparisons
from stagewise.metrics.crossed import Components, Noise, Runs, items_alone, pool, standard_error
from stagewise.metrics.schema import BASELINES
from stagewise.metrics.significance import detectable_by_sign_flip, detectable_by_t, items_growth

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
    """Claims of one kind about one task."""

    kind: str
    task: str
    number: int


@dataclass(frozen=True)
class Design:
    """A planned study."""

    runs: int
    """Runs that count as independent: seeds, or folds."""
    overlap: float
    """Held-out items over training items of a fold (`crossed.Runs`)."""
    level: float
    tasks: dict[str, TaskItems]
    comparisons: list[Comparisons]
    """What can be forgotten, and what is compared with the reference arm."""
    family: int
    """Claims of the whole report."""

    @property
    def step(self) -> float:
        """Level of one claim: Holm's step if the stages are shown to have learnt their tasks and nothing else is."""
        return self.level / sum(group.number for group in self.comparisons)

    def detectable(self, group: Comparisons, assumed: Assumed) -> float | None:
        """The difference that claims of this kind find with 80 % power; None if there is none."""
        items = self.tasks[group.task]
        units = items.effective(assumed.group_correlation)
        if self.runs == 1 and not items.grouped:
            return detectable_by_sign_flip(items.items, assumed.accuracy, assumed.disagreement, self.step)
        rest, runs = assumed.disagreement / units, self.runs
        growth = items_growth(assumed.accuracy, assumed.disagreement, runs)
        if runs == 1:
            return detectable_by_t(items_alone(rest, round(units)), growth, self.step)
        # Both adapters of a comparison have the training's noise.
        noise = Noise(2 * assumed.noise**2 + rest, self._noise_df(group))
        error = standard_error(Components(rest / runs, rest, round(units), runs), noise, self.overlap)
        return detectable_by_t(error, growth, self.step)

    def _noise_df(self, group: Comparisons) -> float:
        """Degrees of freedom of the noise that all comparisons of a kind tell together (`crossed`)."""
        number, runs = group.number, self.runs
        if group.kind == "arms" or number == 1:
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
        """The fewest test items, in steps of a tenth, that find an effect with the planned runs; None if none do."""
        items, now = self.tasks[group.task], self.tasks[group.task].items
        candidates = sorted({max(20, round(now * 1.1**step)) for step in range(-30, 61)})
        for number in candidates:
            other = replace(self, tasks=self.tasks | {group.task: replace(items, items=number)})
            detectable = other.detectable(group, assumed)
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
        Test items of each task of its arms.
    overlap
        Held-out items over training items of a fold; 0 without folds.
    """
    steps = {arm: [steps_of_arm(config, arm, seed, fold) for fold, seed in config.runs] for arm in config.active_arms}
    answered = [(name, task) for name in (BASE, *BASELINES) for task in config.active_tasks]
    primary = config.statistics.primary_measure
    family = list_comparisons(steps, list(config.active_tasks), config.reference, primary, answered)
    numbers: dict[tuple[str, str], int] = {}
    for comparison in family:
        if comparison.kind in ("kept", "arms"):
            numbers[comparison.kind, comparison.task] = numbers.get((comparison.kind, comparison.task), 0) + 1
    folds = len(config.folds or [None])
    return Design(
        runs=Runs(folds).number(len(config.runs)),
        overlap=overlap if folds > 1 else 0.0,
        level=1 - config.statistics.confidence,
        tasks=tasks,
        comparisons=[Comparisons(kind, task, number) for (kind, task), number in numbers.items()],
        family=len(family),
    )
