"""Prior or knowledge: whether an arm's loss on an earlier task is a shifted label prior, or lost knowledge.

A label prior that shifted costs accuracy and leaves the ranking of the items: a rule that adds a bias to each label
gives the accuracy back, and AUROC, which no such bias moves, stays. That a rule changes little between the two stages
is no sign of it: a rule may ruin the answers of both.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stagewise.measures import MEASURES
from stagewise.metrics.arms import ArmScores
from stagewise.metrics.bootstrap import NO_SPREAD, Resampled
from stagewise.metrics.decision_rules import ARGMAX
from stagewise.metrics.discrimination import NO_PAIR
from stagewise.metrics.schema import PriorShift, RuleGain, Value
from stagewise.metrics.significance import holm, mcnemar, permutation

ACCURACY = MEASURES["accuracy"]


@dataclass(frozen=True)
class Case:
    """An earlier task of an arm that other adapters answer after its last stage than right after learning it."""

    arm: str
    task: str
    stage: int
    """The stage that learnt it last."""
    before: list[str]
    """Lineages that answer right after the stage that learnt the task, one a run."""
    after: list[str]
    """Lineages that answer after the last stage, one a run."""


def prior_shifts(
    arms: ArmScores, auroc_change: Callable[[str, str, str, str], Value | None], margin: float, seed: int
) -> list[PriorShift]:
    """Record every earlier task of every arm; nothing if answers are by argmax alone.

    Parameters
    ----------
    arms
        Scores of the arms.
    auroc_change
        Returns the change of AUROC between two lineages on a task's split; None if it cannot be computed.
    margin
        Largest fall of AUROC that counts as none.
    seed
        Of permutation tests.
    """
    rules = [rule for rule in arms.rules if rule != ARGMAX]
    cases = _cases(arms) if rules else []
    tests = _test_rules(arms, cases, rules, seed)
    level, records = 1 - arms.bootstrap.confidence, []
    for case in cases:
        loss = _difference(arms, case, ARGMAX, case.stage)
        gains = []
        for rule in rules:
            gain, left = (_difference(arms, case, rule, stage) for stage in (-1, case.stage))
            gains.append(RuleGain(rule=rule, gain=gain, left=left, **tests[case.arm, case.task, rule]))
        changes = [
            auroc_change(before, after, case.task, arms.split) or Value(reason=NO_PAIR)
            for before, after in zip(case.before, case.after, strict=True)
        ]
        records.append(
            PriorShift(
                arm=case.arm,
                task=case.task,
                split=arms.split,
                loss=loss,
                rules=gains,
                auroc=changes,
                verdict=judge(loss, gains, changes, margin, level),
            )
        )
    return records


def judge(loss: Value, gains: list[RuleGain], auroc: list[Value], margin: float, level: float) -> str:
    """Give the verdict of a `PriorShift`, by the rule that its schema states.

    That AUROC did not fall is shown, not assumed: even the lower bound of its change lies above minus the margin, as in
    a test of non-inferiority (Schuirmann 1987, doi:10.1007/BF01068419).
    """
    if loss.high is None or loss.high >= 0:
        return "no loss shown"
    stayed = all(_is_above(change, -margin) for change in auroc)
    if stayed and any(_gives_back(gain, loss, level) for gain in gains):
        return "shifted prior"
    if all(change.high is not None and change.high < 0 for change in auroc):
        return "knowledge lost"
    return "not shown"


def _gives_back(gain: RuleGain, loss: Value, level: float) -> bool:
    """True if the rule measurably ends above argmax and leaves measurably less than half of the loss."""
    return gain.p_corrected < level and _is_above(gain.gain, 0) and _is_above(gain.left, loss.value / 2)


def _is_above(difference: Value, limit: float) -> bool:
    low = difference.low
    if difference.reason == NO_SPREAD and abs(difference.value) < 1e-12:
        # Nothing differs on any resample: every pair of items is in its order, or every item is right as before.
        low = 0.0
    return low is not None and low > limit


def _cases(arms: ArmScores) -> list[Case]:
    cases = []
    for arm, runs in arms.steps.items():
        for number in arms.learnt[arm].earlier:
            task, stage = arms.tasks[number], arms.learnt[arm].last[number]
            before, after = ([run[step].answered_by[task] for run in runs] for step in (stage, -1))
            if before != after:
                cases.append(Case(arm, task, stage, before, after))
    return cases


def _difference(arms: ArmScores, case: Case, rule: str, stage: int) -> Value:
    """Final accuracy under a rule minus argmax's after a stage, paired by item and by run."""
    number = arms.tasks.index(case.task)
    final, other = (arms.matrix(case.arm, name, ACCURACY.name) for name in (rule, ARGMAX))
    values, draws = (
        ours[..., -1, number] - theirs[..., stage, number] for ours, theirs in zip(final, other, strict=True)
    )
    runs = [Resampled(*run) for run in zip(values, draws, strict=True)]
    items = arms.scores.items(case.after[0], case.task, arms.split)
    return arms.bootstrap.over_runs(runs, items, ACCURACY.difference_range).value


def _test_rules(arms: ArmScores, cases: list[Case], rules: list[str], seed: int) -> dict[tuple[str, str, str], dict]:
    """Test every rule's final answers against argmax's, corrected over all of them: by arm, task and rule."""
    tests: dict[tuple[str, str, str], dict] = {}
    for task in dict.fromkeys(case.task for case in cases):
        differences = {}
        for case in (case for case in cases if case.task == task):
            plain = _right_answers(arms, case, ARGMAX)
            differences |= {(case.arm, task, rule): _right_answers(arms, case, rule) - plain for rule in rules}
        if len(plain) == 1:
            name, values = "mcnemar", [mcnemar(runs[0] < 0, runs[0] > 0) for runs in differences.values()]
        else:
            sums = np.stack([runs.sum(0) for runs in differences.values()], 1)
            name, values = "permutation", permutation(sums, seed)
        tests |= {key: {"test": name, "p": p} for key, p in zip(differences, values, strict=True)}
    for test, corrected in zip(tests.values(), holm([test["p"] for test in tests.values()]), strict=True):
        test["p_corrected"] = corrected
    return tests


def _right_answers(arms: ArmScores, case: Case, rule: str) -> np.ndarray:
    """Right answers of each run's last stage under a rule, shape (runs, items), 0 or 1."""
    rows = []
    for lineage in case.after:
        key = lineage, case.task, arms.split
        rows.append(arms.scores.rules.apply(*key)[rule].answer == arms.scores.predictions[key].gold)
    return np.array(rows, dtype=int)
