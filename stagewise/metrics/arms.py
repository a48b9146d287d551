"""Arms over their runs: the stage × task matrix, each task after the last stage, and arms against the reference arm."""

from functools import cached_property
from itertools import product

import numpy as np

from stagewise.lineage import Step
from stagewise.measures import MEASURES, Measure
from stagewise.metrics import transfer
from stagewise.metrics.bootstrap import Resampled, Spread
from stagewise.metrics.claims import claim_arm_difference
from stagewise.metrics.decision_rules import ARGMAX
from stagewise.metrics.schema import ArmComparison, ArmDifference, ArmSummary, ArmTask, Omitted, Value
from stagewise.metrics.scores import ScoreTable, missing_reason
from stagewise.metrics.significance import holm, mcnemar, permutation, smallest_effect


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
    """

    def __init__(
        self,
        steps: dict[str, list[list[Step]]],
        tasks: list[str],
        split: str,
        lineages: list[str],
        scores: ScoreTable,
    ):
        self.steps, self.tasks, self.split, self.lineages, self.scores = steps, tasks, split, lineages, scores
        self.bootstrap = scores.bootstrap
        self.learnt = {arm: transfer.Learnt.of(runs[0], tasks) for arm, runs in steps.items()}
        self._matrices: dict[tuple, Resampled] = {}

    @cached_property
    def rules(self) -> list[str]:
        """Names of the rules that every lineage has answers by on every task."""
        shared = [self.scores.rules.shared(self.lineages, task, self.split) for task in self.tasks]
        return [rule for rule in shared[0] if all(rule in other for other in shared)]

    def matrix(self, arm: str, rule: str, measure: str) -> Resampled:
        """The stage × task matrix of every run: values (runs, stages + 1, tasks), draws (runs, samples, …)."""
        key = arm, rule, measure
        if key not in self._matrices:
            cells = [
                [
                    [
                        self.scores(step.answered_by[task], task, self.split, rule).measures[measure]
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

    def over_runs(self, values, draws, task: str | None, measure: Measure, limits) -> Spread:
        """Average a statistic over the runs; values of shape (runs,), draws (runs, samples)."""
        tasks = [task] if task else self.tasks
        items = max(self.scores.items(self.lineages[0], name, self.split) for name in tasks)
        runs = [Resampled(*run) for run in zip(values, draws, strict=True)]
        return self.bootstrap.over_runs(runs, items, limits, missing_reason(measure.name))


def omitted_splits(splits: list[str], shared: list[str]) -> list[Omitted]:
    """List the splits that the statistics of arms leave out."""
    reason = "its items differ from fold to fold, so runs cannot be paired"
    return [Omitted(what=f"statistics of arms on {split}", reason=reason) for split in splits if split not in shared]


def arm_summaries(arms: ArmScores) -> list[ArmSummary]:
    """Summarize the matrix of every arm: average, backward transfer, forgetting, forward transfer."""
    return [
        ArmSummary(
            arm=arm,
            rule=rule,
            split=arms.split,
            **{
                statistic: {name: _summary(arms, statistic, arm, rule, name) for name in MEASURES}
                for statistic in transfer.REASONS
            },
        )
        for arm in arms.steps
        for rule in arms.rules
    ]


def _summary(arms: ArmScores, statistic: str, arm: str, rule: str, name: str) -> Value:
    matrix, measure, learnt = arms.matrix(arm, rule, name), MEASURES[name], arms.learnt[arm]
    function = getattr(transfer, statistic)
    # Forgetting looks for the best score of a task.
    sign = -1 if statistic == "forgetting" and not measure.higher_is_better else 1
    if function(matrix.value, learnt) is None:
        return Value(reason=transfer.REASONS[statistic])
    limits = measure.range if statistic == "average" else measure.difference_range
    values, draws = (function(sign * scores, learnt) for scores in matrix)
    return arms.over_runs(values, draws, None, measure, limits).value


def arm_tasks(arms: ArmScores) -> list[ArmTask]:
    """Record every task of every arm: when it was learnt, and its change since."""
    records = []
    for arm in arms.steps:
        learnt = arms.learnt[arm]
        for rule, (number, task) in product(arms.rules, enumerate(arms.tasks)):
            earlier = number in learnt.earlier
            records.append(
                ArmTask(
                    arm=arm,
                    rule=rule,
                    split=arms.split,
                    task=task,
                    learnt_stage=learnt.last.get(number),
                    earlier=earlier,
                    change={name: _change(arms, arm, rule, name, number) for name in MEASURES if earlier},
                )
            )
    return records


def _change(arms: ArmScores, arm: str, rule: str, name: str, number: int) -> Value:
    values, draws = (scores[..., number] for scores in arms.matrix(arm, rule, name))
    stage, measure = arms.learnt[arm].last[number], MEASURES[name]
    difference = values[:, -1] - values[:, stage], draws[..., -1] - draws[..., stage]
    return arms.over_runs(*difference, arms.tasks[number], measure, measure.difference_range).value


def arm_comparisons(arms: ArmScores, reference: str, seed: int) -> list[ArmComparison]:
    """Compare every arm but the reference with it, by rule and task, and for the mean over all tasks.

    `seed` is that of permutation tests.
    """
    others, records = [arm for arm in arms.steps if arm != reference], []
    if not others:
        return []
    for rule, task in product(arms.rules, [*arms.tasks, None]):
        tests = _tests(arms, others, reference, task, rule, seed) if task else {}
        for arm in others:
            measures = {
                name: _difference(arms, arm, reference, task, rule, measure, tests.get(arm, {}) if measure.test else {})
                for name, measure in MEASURES.items()
            }
            records.append(ArmComparison(arm=arm, rule=rule, split=arms.split, task=task, measures=measures))
    return records


def _difference(
    arms: ArmScores, arm: str, reference: str, task: str | None, rule: str, measure: Measure, test: dict
) -> ArmDifference:
    """Subtract the reference's measure after the last stage; `task` is None for the mean over all tasks."""
    ours, theirs = (arms.matrix(name, rule, measure.name) for name in (arm, reference))
    values, draws = (mine[..., -1, :] - other[..., -1, :] for mine, other in zip(ours, theirs, strict=True))
    if task is None:
        values, draws = values.mean(-1), draws.mean(-1)
    else:
        number = arms.tasks.index(task)
        values, draws = values[..., number], draws[..., number]
    spread = arms.over_runs(values, draws, task, measure, measure.difference_range)
    level, several = 1 - arms.bootstrap.confidence, len(values) > 1
    claim, reason = claim_arm_difference(spread.value, measure, test.get("p_holm"), level, not any(values))
    return ArmDifference(
        difference=spread.value,
        items=_bounds(spread.items) if several else None,
        training=_bounds(spread.training) if several else None,
        **test,
        claim=claim,
        reason=reason,
    )


def _bounds(value: Value) -> Value:
    """The interval alone: the value stands beside it."""
    return Value(low=value.low, high=value.high, reason=value.reason)


def _tests(arms: ArmScores, others: list[str], reference: str, task: str, rule: str, seed: int) -> dict[str, dict]:
    """Test each arm against the reference: p, its correction over the arms and the smallest effect, by arm."""
    right = {arm: _right_answers(arms, arm, task, rule) for arm in (*others, reference)}
    runs, items = right[reference].shape
    sums = {arm: right[arm].sum(0) - right[reference].sum(0) for arm in others}
    if runs == 1:
        test, values = "mcnemar", [mcnemar(right[reference][0] > 0, right[arm][0] > 0) for arm in others]
    else:
        test, values = "permutation", permutation(np.stack([sums[arm] for arm in others], 1), seed)
    return {
        arm: {
            "p": p,
            "test": test,
            "p_holm": corrected,
            "smallest_effect": smallest_effect(
                items, float(((sums[arm] / runs) ** 2).mean()), arms.bootstrap.confidence, runs
            ),
        }
        for arm, p, corrected in zip(others, values, holm(values), strict=True)
    }


def _right_answers(arms: ArmScores, arm: str, task: str, rule: str) -> np.ndarray:
    """Right answers of each run's last stage, shape (runs, items), 0 or 1."""
    rows = []
    for steps in arms.steps[arm]:
        key = steps[-1].answered_by[task], task, arms.split
        predictions = arms.scores.predictions[key]
        answer = predictions.answer if rule == ARGMAX else arms.scores.rules.apply(*key)[rule].answer
        rows.append((answer == predictions.gold).astype(int))
    return np.array(rows)
