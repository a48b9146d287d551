"""Each arm against the reference arm: differences, tests, and what may be claimed."""

import numpy as np

from stagewise.metrics.arms import Arms
from stagewise.metrics.intervals import NO_SPREAD
from stagewise.metrics.schema import ArmComparison, Spread
from stagewise.metrics.significance import holm, mcnemar, permutation, smallest_effect

ACCURACY = "accuracy"

NAMES = {ACCURACY: "accuracy", "macro_f1": "macro-F1"}


def compare(arms: Arms) -> list[ArmComparison]:
    """Every arm but the reference, by split, rule, measure and task, and for the mean over all tasks."""
    reference, found = arms.run.config.reference, []
    others = [arm for arm in arms.steps if arm != reference]
    for split, rule, measure in arms.cases() if others else []:
        for number, task in [*enumerate(arms.tasks), (None, None)]:
            tests = _tests(arms, others, reference, task, split, rule) if measure == ACCURACY and task else {}
            for arm in others:
                difference = _difference(arms, arm, reference, number, split, rule, measure)
                facts = tests.get(arm, {"p": None, "test": None, "p_holm": None, "smallest_effect": None})
                level = 1 - arms.run.config.statistics.confidence
                claim, reason = claim_difference(difference, facts["p_holm"], level, NAMES[measure])
                found.append(
                    ArmComparison(
                        arm=arm,
                        reference=reference,
                        rule=rule,
                        measure=measure,
                        split=split,
                        task=task,
                        difference=difference,
                        **facts,
                        claim=claim,
                        reason=reason,
                    )
                )
    return found


def _difference(arms: Arms, arm: str, reference: str, number: int | None, *case: str) -> Spread:
    """After the last stage; `number` is the task's, None for the mean over all."""
    ours, theirs = arms.scores(arm, *case), arms.scores(reference, *case)
    values, draws = (mine[..., -1, :] - other[..., -1, :] for mine, other in zip(ours, theirs, strict=True))
    if number is None:
        return arms.spread(values.mean(-1), draws.mean(-1))
    return arms.spread(values[..., number], draws[..., number])


def _tests(arms: Arms, others: list[str], reference: str, task: str, split: str, rule: str) -> dict[str, dict]:
    """p, its correction over the arms and the smallest effect, by arm."""
    statistics = arms.run.config.statistics
    right = {arm: _right(arms, arm, task, split, rule) for arm in (*others, reference)}
    runs, items = right[reference].shape
    sums = {arm: right[arm].sum(0) - right[reference].sum(0) for arm in others}
    if runs == 1:
        test, values = "mcnemar", [mcnemar(right[reference][0] > 0, right[arm][0] > 0) for arm in others]
    else:
        test, values = "permutation", permutation(np.stack([sums[arm] for arm in others], 1), statistics.seed)
    return {
        arm: {
            "p": p,
            "test": test,
            "p_holm": corrected,
            "smallest_effect": smallest_effect(
                items, float(((sums[arm] / runs) ** 2).mean()), statistics.confidence, runs
            ),
        }
        for arm, p, corrected in zip(others, values, holm(values), strict=True)
    }


def _right(arms: Arms, arm: str, task: str, split: str, rule: str) -> np.ndarray:
    """Whether each run's last stage answers each item right, shape (runs, items), 0 or 1."""
    found = []
    for steps in arms.steps[arm]:
        lineage = steps[-1].answered_by[task]
        answer = arms.decider.decide(lineage, task, split)[rule].answer
        found.append((answer == arms.run.answers[lineage, task, split].gold).astype(int))
    return np.array(found)


def claim_difference(difference: Spread, p_holm: float | None, level: float, name: str) -> tuple[str, str]:
    """What the difference lets one say, and why.

    Parameters
    ----------
    difference
        With its interval over items and runs together.
    p_holm
        Corrected p-value; None where there is no test.
    level
        What it must stay below.
    name
        What the measure is called in the sentence.
    """
    low, high = difference.both.low, difference.both.high
    if low is None:
        if difference.both.reason == NO_SPREAD and not any(difference.values):
            return "no measurable difference", "The difference is 0 in every run and every resample."
        return "not claimed", f"No interval: {difference.both.reason}."
    span = f"{name} {100 * difference.value:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
    if low <= 0 <= high:
        return "no measurable difference", f"The interval includes 0: {span}."
    side = "above" if low > 0 else "below"
    if p_holm is not None and p_holm >= level:
        grounds = f"but the test corrected for the number of arms does not confirm it (p = {p_holm:.2g})"
        return "no measurable difference", f"The interval lies {side} 0, {grounds}: {span}."
    return "better" if low > 0 else "worse", f"The interval lies {side} 0: {span}."
