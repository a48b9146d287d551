"""Arms over their runs: the stage × task matrix, each task after the last stage, and arms against the reference arm."""

from collections.abc import Sequence
from functools import cached_property
from itertools import product

import numpy as np

from stagewise.lineage import Step
from stagewise.measures import MEASURES, TASK_SCORE, Measure, measures_of
from stagewise.metrics import crossed, transfer
from stagewise.metrics.bootstrap import Resampled, Spread
from stagewise.metrics.decision_rules import ARGMAX
from stagewise.metrics.item_scores import ProbeTable
from stagewise.metrics.schema import ArmComparison, ArmDifference, ArmSummary, ArmTask, Omitted, Value
from stagewise.metrics.scores import ScoreTable, missing_reason
from stagewise.task_kinds import LABEL_KINDS


class ArmScores:
    """Scores of arms after every stage of every run.

    Parameters
    ----------
    steps
        Each arm after every stage, one list a run.
    tasks
        The experiment's tasks.
    split
        The main split, whose items every run shares.
    lineages
        The base model and every adapter.
    scores
        Their resampled scores.
    task_probes
        Tasks that are probes of arms that do not learn them.
    item_probes
        Probes with one score per item.
    """

    def __init__(
        self,
        steps: dict[str, list[list[Step]]],
        tasks: list[str],
        split: str,
        lineages: list[str],
        scores: ScoreTable,
        task_probes: Sequence[str] = (),
        item_probes: ProbeTable | None = None,
    ):
        self.steps, self.tasks, self.split, self.lineages, self.scores = steps, tasks, split, lineages, scores
        self.bootstrap, self.task_probes = scores.bootstrap, list(task_probes)
        self.item_probes = item_probes or ProbeTable({}, scores.bootstrap)
        self.learnt = {arm: transfer.Learnt.of(runs[0], tasks, task_probes) for arm, runs in steps.items()}
        self._matrices: dict[tuple, Resampled] = {}

    @property
    def learnt_tasks(self) -> list[str]:
        """Tasks that some arm learns, which means over tasks are about."""
        learnt = {number for arm in self.learnt.values() for number in arm.last}
        return [task for number, task in enumerate(self.tasks) if number in learnt]

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """Measures that some task has, in order; those of classification without any task."""
        names = {name for task in self.tasks for name in self._names(task)} or measures_of("classification")
        return {name: self.scores.measure(name) for name in (*MEASURES, TASK_SCORE) if name in names}

    def _names(self, task: str) -> list[str]:
        return list(self.scores(self.lineages[0], task, self.split).measures)

    def has(self, task: str, rule: str, measure: str | None = None) -> bool:
        """Tell if a task is answered by a decision rule, and has a measure."""
        ruled = rule == ARGMAX or self.scores.predictions[self.lineages[0], task, self.split].kind in LABEL_KINDS
        return ruled and (measure is None or measure in self._names(task))

    def resampled(self, lineage: str, name: str, measure: str) -> Resampled:
        """The plain answers' score of a lineage on a task by a measure, or its value on a probe by the probe's own."""
        if name in self.item_probes:
            return self.item_probes(lineage, name)
        return self.scores(lineage, name, self.split).measures[measure]

    @cached_property
    def rules(self) -> list[str]:
        """Names of the rules that every lineage has answers by on every task that is answered with one label."""
        ruled = [task for task in self.tasks if self.has(task, "")]
        shared = [self.scores.rules.shared(self.lineages, task, self.split) for task in ruled] or [[ARGMAX]]
        return [rule for rule in shared[0] if all(rule in other for other in shared)]

    def matrix(self, arm: str, rule: str, measure: str) -> Resampled:
        """The stage × task matrix of every run: values (runs, stages + 1, tasks), draws (runs, samples, …).

        NaN for a task that does not have the measure.
        """
        key = arm, rule, measure
        if key not in self._matrices:
            lacking = Resampled(np.nan, np.full(self.bootstrap.samples, np.nan))
            cells = [
                [
                    [
                        self.scores(step.answered_by[task], task, self.split, rule).measures[measure]
                        if self.has(task, rule, measure)
                        else lacking
                        for task in self.tasks
                    ]
                    for step in run
                ]
                for run in self.steps[arm]
            ]
            values = np.array([[[cell.value for cell in row] for row in run] for run in cells])
            draws = np.array([[[cell.draws for cell in row] for row in run] for run in cells])
            self._matrices[key] = Resampled(values, np.moveaxis(draws, -1, 1))
        return self._matrices[key]

    @property
    def several_runs(self) -> bool:
        return len(next(iter(self.steps.values()))) > 1

    def units(self, tasks: list[str]) -> int:
        """Items, or groups of items, behind a statistic of these tasks or probes: those of the largest."""
        return max(
            len(self.item_probes[name])
            if name in self.item_probes
            else self.scores.units(self.lineages[0], name, self.split)
            for name in tasks
        )

    def over_runs(
        self,
        by_arm: dict[str, Resampled],
        tasks: list[str],
        measure: Measure,
        limits,
        reference: Resampled | None = None,
    ) -> dict[str, Spread]:
        """Average a statistic of each arm over the runs; all arms together tell the noise between runs.

        Parameters
        ----------
        by_arm
            Values of shape (runs,) and draws of shape (runs, samples) by arm.
        tasks
            Tasks, or probes, that the statistic is of.
        measure, limits
            Its measure and range.
        reference
            The reference arm's statistic, if each arm's difference from it is averaged instead.
        """
        noise = _noise(by_arm, reference, self.bootstrap.runs) if self.several_runs else {}
        if not by_arm:
            return {}
        spreads: dict[str, Spread] = {}
        units, reason = self.units(tasks), missing_reason(measure.name)
        for arm, statistic in by_arm.items():
            values, draws = statistic if reference is None else statistic - reference
            runs = [Resampled(*run) for run in zip(values, draws, strict=True)]
            spreads[arm] = self.bootstrap.over_runs(runs, units, limits, reason, noise.get(arm))
        return spreads

    def differences(
        self, others: list[str], reference: str, rule: str, measure: str, task: str | None
    ) -> dict[str, Spread]:
        """Subtract the reference's score after the last stage from each arm's; without a task, of their mean."""
        names = [task] if task else self.learnt_tasks
        numbers = [self.tasks.index(name) for name in names]
        last = {}
        for arm in (*others, reference):
            values, draws = self.matrix(arm, rule, measure)
            last[arm] = Resampled(values[:, -1, numbers].mean(-1), draws[:, :, -1, numbers].mean(-1))
        theirs, measure = last.pop(reference), self.measures[measure]
        return self.over_runs(last, names, measure, measure.difference_range, theirs)

    def changes(self, rule: str, measure: str, task: str) -> dict[str, Spread]:
        """Each arm's change since the stage that learnt the task, of arms for which it is an earlier one."""
        number = self.tasks.index(task)
        changes = {}
        for arm, learnt in self.learnt.items():
            if number in learnt.earlier:
                values, draws = (scores[..., number] for scores in self.matrix(arm, rule, measure))
                stage = learnt.last[number]
                changes[arm] = Resampled(values[:, -1] - values[:, stage], draws[..., -1] - draws[..., stage])
        return self.over_runs(changes, [task], self.measures[measure], self.measures[measure].difference_range)


def _noise(by_arm: dict[str, Resampled], reference: Resampled | None, runs: crossed.Runs) -> dict[str, crossed.Noise]:
    """Estimate the noise of arms' statistics together; arms with the very same answers count once.

    Left out: arms without a value, and those that answer with the reference's adapter or whose statistic never varies.
    """
    members: dict[tuple, list[str]] = {}
    for arm, statistic in by_arm.items():
        compared = statistic if reference is None else statistic - reference
        if not np.isnan(statistic.value).any() and np.ptp(compared.draws) > 0:
            members.setdefault((statistic.value.tobytes(), statistic.draws.tobytes()), []).append(arm)
    if not members:
        return {}
    values = np.array([runs.independent(by_arm[arms[0]].value) for arms in members.values()])
    if reference is None:
        noise = crossed.shared_noise(values)
    else:
        noise = crossed.noise_against(values, runs.independent(reference.value))
    return {arm: one for arms, one in zip(members.values(), noise, strict=True) for arm in arms}


def omitted_splits(splits: list[str], shared: list[str]) -> list[Omitted]:
    """List the splits that the statistics of arms leave out."""
    reason = "its items differ from fold to fold, so runs cannot be paired"
    return [Omitted(what=f"statistics of arms on {split}", reason=reason) for split in splits if split not in shared]


def omitted_means(arms: ArmScores) -> list[Omitted]:
    """List the measures that means over tasks leave out, because some task that is learnt lacks them."""
    tasks = arms.learnt_tasks
    lacking = [
        measure.title for name, measure in arms.measures.items() if not all(arms.has(t, ARGMAX, name) for t in tasks)
    ]
    reason = "some task that is learnt has no such measure"
    if TASK_SCORE in arms.measures:
        reason += "; the mean of the tasks' own measures, their task scores, stands in their place"
    return [Omitted(what=f"means over tasks of {', '.join(lacking)}", reason=reason)] if lacking else []


def arm_summaries(arms: ArmScores) -> list[ArmSummary]:
    """Summarize the matrix of every arm: average, backward transfer, forgetting, forward transfer, change of probes.

    Means over tasks of which one lacks the measure, or is not answered by the rule, are left out.
    """
    statistics = [name for name in transfer.REASONS if name != "probe_change" or arms.task_probes]
    names = list(product(statistics, arms.measures))
    records = []
    by_rule = {rule: {name: _summaries(arms, rule, *name) for name in names} for rule in arms.rules}
    for arm, rule in product(arms.steps, arms.rules):
        values: dict[str, dict] = {statistic: {} for statistic in statistics}
        for (statistic, name), by_arm in by_rule[rule].items():
            if arm in by_arm:
                values[statistic][name] = by_arm[arm]
        if rule == ARGMAX or values["average"]:
            records.append(ArmSummary(arm=arm, rule=rule, split=arms.split, **values))
    return records


def _summaries(arms: ArmScores, rule: str, statistic: str, name: str) -> dict[str, Value]:
    """A statistic of each arm by one measure, of those whose tasks all have it."""
    function, measure = getattr(transfer, statistic), arms.measures[name]
    # Forgetting looks for the best score of a task.
    sign = -1 if statistic == "forgetting" and not measure.higher_is_better else 1
    defined, lacking = {}, set()
    for arm, learnt in arms.learnt.items():
        if not all(arms.has(arms.tasks[number], rule, name) for number in learnt.tasks_of(statistic)):
            lacking.add(arm)
            continue
        values, draws = (function(sign * scores, learnt) for scores in arms.matrix(arm, rule, name))
        if values is not None:
            defined[arm] = Resampled(values, draws)
    limits = measure.range if statistic == "average" else measure.difference_range
    tasks = arms.task_probes if statistic == "probe_change" else arms.learnt_tasks
    spreads = arms.over_runs(defined, tasks, measure, limits)
    missing = Value(reason=transfer.REASONS[statistic])
    return {arm: spreads[arm].value if arm in spreads else missing for arm in arms.steps if arm not in lacking}


def arm_tasks(arms: ArmScores) -> list[ArmTask]:
    """Record every task of every arm: when it was learnt, and its change since."""
    changes = {
        (rule, task): {name: arms.changes(rule, name, task) for name in arms.measures if arms.has(task, rule, name)}
        for rule, task in product(arms.rules, arms.tasks)
        if arms.has(task, rule)
    }
    return [
        ArmTask(
            arm=arm,
            rule=rule,
            split=arms.split,
            task=task,
            learnt_stage=learnt.last.get(number),
            earlier=number in learnt.earlier,
            change={name: by_arm[arm].value for name, by_arm in changes[rule, task].items() if arm in by_arm},
        )
        for arm, learnt in arms.learnt.items()
        for rule, (number, task) in product(arms.rules, enumerate(arms.tasks))
        if (rule, task) in changes
    ]


def arm_comparisons(arms: ArmScores, references: dict[str, str]) -> list[ArmComparison]:
    """Compare every arm with its reference (by arm), by rule and task, and for the mean over all learnt tasks."""
    records, mean = [], [None] if arms.learnt_tasks else []
    for rule, task in product(arms.rules, [*arms.tasks, *mean]):
        tasks = [task] if task else arms.learnt_tasks
        names = [name for name in arms.measures if all(arms.has(each, rule, name) for each in tasks)]
        by_arm: dict[str, dict] = {}
        for reference in dict.fromkeys(references.values()) if names else []:
            others = [arm for arm in arms.steps if references[arm] == reference != arm]
            spreads = {name: arms.differences(others, reference, rule, name, task) for name in names}
            by_arm |= {arm: {name: _difference(spread[arm]) for name, spread in spreads.items()} for arm in others}
        records += [
            ArmComparison(
                arm=arm, against=references[arm], rule=rule, split=arms.split, task=task, measures=by_arm[arm]
            )
            for arm in arms.steps
            if arm in by_arm
        ]
    return records


def _difference(spread: Spread) -> ArmDifference:
    several = spread.value.runs is not None
    return ArmDifference(
        difference=spread.value,
        items=_bounds(spread.items) if several else None,
        training=_bounds(spread.training) if several else None,
    )


def _bounds(value: Value) -> Value:
    """The interval alone: the value stands beside it."""
    return Value(low=value.low, high=value.high, reason=value.reason)
