"""Two sets of answers to the same items: paired differences, McNemar's exact test, and what may be claimed."""

import numpy as np

from stagewise.metrics import intervals
from stagewise.metrics.prediction_table import Answers
from stagewise.metrics.resampling import MEASURES, Resampled
from stagewise.metrics.schema import Change, Estimate, Pairs


def changes(before: Resampled, after: Resampled, confidence: float) -> list[Change]:
    """Accuracy and macro-F1 before and after, and after minus before with a paired bootstrap interval.

    Items are resampled, each with both of its answers.

    Parameters
    ----------
    before, after
        Scores on the same items in the same order, resampled by the same weights.
    confidence
        Coverage of the interval.
    """
    if not np.array_equal(before.gold, after.gold):
        raise ValueError("paired answers need the same items in the same order")
    found = []
    for name in MEASURES:
        old, new, spread = before.value[name], after.value[name], after.draws[name] - before.draws[name]
        difference = intervals.estimate(new - old, spread, len(before.gold), confidence)
        found.append(Change(measure=name, before=old, after=new, difference=difference))
    return found


def pairs(before: Answers, after: Answers) -> Pairs:
    """How many items stayed right, were lost, were gained; McNemar's exact test (McNemar 1947) as a binomial test."""
    from scipy.stats import binomtest

    lost = int((before.right & ~after.right).sum())
    gained = int((~before.right & after.right).sum())
    return Pairs(
        right_both=int((before.right & after.right).sum()),
        lost=lost,
        gained=gained,
        wrong_both=int((~before.right & ~after.right).sum()),
        mcnemar_p=float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0,
    )


def span(estimate: Estimate) -> str:
    """A difference and its interval in percentage points, for a sentence."""
    if estimate.low is None:
        return f"{100 * estimate.value:+.1f} points, no interval: {estimate.reason}"
    return f"{100 * estimate.value:+.1f} points [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"


def claim_difference(accuracy: Estimate, pairs: Pairs, words: tuple[str, str, str]) -> tuple[str, str]:
    """What the accuracy difference lets one say, and why.

    Parameters
    ----------
    accuracy
        The difference with its interval.
    pairs
        The counts behind it.
    words
        What to call a difference above 0, around 0 and below 0.
    """
    if accuracy.low is None:
        if pairs.lost + pairs.gained == 0 and accuracy.reason != intervals.TOO_FEW:
            return words[1], "Every item is right or wrong as before."
        return "not claimed", f"No interval: {accuracy.reason}."
    if accuracy.low > 0:
        return words[0], f"The interval lies above 0: accuracy {span(accuracy)}."
    if accuracy.high < 0:
        return words[2], f"The interval lies below 0: accuracy {span(accuracy)}."
    return words[1], f"The interval includes 0: accuracy {span(accuracy)}."


def claim_forgetting(accuracy: Estimate, pairs: Pairs, over_majority: Estimate | None, stage: int) -> tuple[str, str]:
    """Whether a change may be called forgetting.

    Only what was learnt can be forgotten: unless the learning stage beat the majority class (the lower bound of
    `over_majority`, its paired accuracy difference, is above 0; None where the majority class was not scored on
    these items), neither a drop nor its absence is a finding. The
    gate is on accuracy for either measure, because any guesser that varies its answers beats the majority class
    in macro-F1.
    """
    words = ("improved", "no measurable change", "forgotten")
    claim, reason = claim_difference(accuracy, pairs, words)
    if claim in words[1:] and over_majority is None:
        return "not claimed", "The majority class did not answer these items: they are of another fold than the first."
    if claim in words[1:] and (over_majority.low is None or over_majority.low <= 0):
        grounds = f"accuracy {span(over_majority)}"
        return "not claimed", f"Stage {stage} did not beat the majority class ({grounds})."
    return claim, reason
