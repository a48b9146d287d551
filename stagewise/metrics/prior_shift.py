"""Prior or knowledge: whether an arm's loss on an earlier task is a shifted label prior, or lost knowledge.

A label prior that shifted costs accuracy and leaves the ranking of the items: a rule that adds a bias to each label
gives the accuracy back, and AUROC, which no such bias moves, stays. That a rule changes little between the two stages
is no sign of it: a rule may ruin the answers of both.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stagewise.measures import FIXED_LABELS, MEASURES
from stagewise.metrics.arms import ArmScores
from stagewise.metrics.bootstrap import NO_SPREAD, Resampled
from stagewise.metrics.decision_rules import ARGMAX
from stagewise.metrics.discrimination import ONE_LABEL
from stagewise.metrics.schema import Claim, PriorShift, RuleGain, Value
from stagewise.metrics.significance import holm, sign_flip, sum_by_group

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
    arms: ArmScores, claims: list[Claim], auroc_change: Callable[[str, str, str, str], Value | None], margin: float
) -> list[PriorShift]:
    """Record every earlier task of every arm of whose loss something is claimed; nothing if argmax is the only rule.

    Parameters
    ----------
    arms
        Scores of the arms.
    claims
        What the report claims: a loss of accuracy is shown if it is among them.
    auroc_change
        Returns the change of AUROC between two lineages on a task's split; None if it cannot be computed.
    margin
        Largest fall of AUROC that counts as none.
    """
    rules = [rule for rule in arms.rules if rule != ARGMAX]
    cases = [case for case in _cases(arms) if _kept(case, claims)] if rules else []
    tests = _test_rules(arms, cases, rules)
    level, records = 1 - arms.bootstrap.confidence, []
    changes = [
        [
            auroc_change(before, after, case.task, arms.split) or Value(reason=ONE_LABEL)
            for before, after in zip(case.before, case.after, strict=True)
        ]
        for case in cases
    ]
    shown = [_is_shown(case, claims) for case in cases]
    falls = dict(zip([n for n, is_shown in enumerate(shown) if is_shown], _falls(changes, shown, level), strict=True))
    for number, case in enumerate(cases):
        loss, gains = _difference(arms, case, ARGMAX, case.stage), []
        for rule in rules:
            gain, left = (_difference(arms, case, rule, stage) for stage in (-1, case.stage))
            gains.append(RuleGain(rule=rule, gain=gain, left=left, **tests[case.arm, case.task, rule]))
        p, verdict = falls.get(number), "no loss shown"
        if shown[number]:
            verdict = judge(loss, gains, changes[number], p, margin, level)
        records.append(
            PriorShift(
                arm=case.arm,
                task=case.task,
                split=arms.split,
                loss=loss,
                rules=gains,
                auroc=changes[number],
                auroc_p=p,
                verdict=verdict,
            )
        )
    return records


def _kept(case: Case, claims: list[Claim]) -> list[Claim]:
    """List what the report claims of the change since the task was learnt."""
    return [claim for claim in claims if (claim.kind, claim.task) == ("kept", case.task) and case.arm in claim.arms]


def _is_shown(case: Case, claims: list[Claim]) -> bool:
    """True if the report claims that the arm lost accuracy on the task."""
    return any((claim.measure, claim.verdict) == (ACCURACY.name, "worse") for claim in _kept(case, claims))


def _falls(changes: list[list[Value]], shown: list[bool], level: float) -> list[float]:
    """P-value that AUROC did not change, of each loss that is shown, corrected over them (Holm).

    It is the largest over the runs, each by the normal distribution with the spread that its interval has.
    """
    from scipy.stats import norm

    def p(change: Value) -> float:
        if change.low is None or change.high is None:
            return 1.0
        return float(2 * norm.sf(2 * norm.ppf(1 - level / 2) * abs(change.value) / (change.high - change.low)))

    return holm([max(map(p, runs)) for runs, is_shown in zip(changes, shown, strict=True) if is_shown])


def judge(loss: Value, gains: list[RuleGain], auroc: list[Value], auroc_p: float, margin: float, level: float) -> str:
    """Give the verdict of a `PriorShift` whose loss is shown, by the rule that its schema states.

    That AUROC did not fall is shown, not assumed: even the lower bound of its change lies above minus the margin, as in
    a test of non-inferiority (Schuirmann 1987, doi:10.1007/BF01068419).
    """
    stayed = all(_is_above(change, -margin) for change in auroc)
    if stayed and any(_gives_back(gain, loss, level) for gain in gains):
        return "shifted prior"
    if auroc_p < level and all(change.high is not None and change.high < 0 for change in auroc):
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
            if arms.scores.predictions[arms.lineages[0], task, arms.split].kind not in FIXED_LABELS:
                continue
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
    units = arms.scores.units(case.after[0], case.task, arms.split)
    return arms.bootstrap.over_runs(runs, units, ACCURACY.difference_range).value


def _test_rules(arms: ArmScores, cases: list[Case], rules: list[str]) -> dict[tuple[str, str, str], dict]:
    """Test every rule's final answers against argmax's, corrected over all of them: by arm, task and rule."""
    values = {}
    for case in cases:
        plain = _right_answers(arms, case, ARGMAX)
        groups = arms.scores.predictions[case.after[0], case.task, arms.split].groups
        for rule in rules:
            differences = (_right_answers(arms, case, rule) - plain).sum(0)
            values[case.arm, case.task, rule] = sign_flip(sum_by_group(differences, groups))
    corrected = holm(list(values.values()))
    return {key: {"p": p, "p_corrected": c} for (key, p), c in zip(values.items(), corrected, strict=True)}


def _right_answers(arms: ArmScores, case: Case, rule: str) -> np.ndarray:
    """Right answers of each run's last stage under a rule, shape (runs, items), 0 or 1."""
    rows = []
    for lineage in case.after:
        key = lineage, case.task, arms.split
        rows.append(arms.scores.rules.apply(*key)[rule].answer == arms.scores.predictions[key].gold)
    return np.array(rows, dtype=int)
