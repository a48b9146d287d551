"""Claims drawn from a difference and its interval, each with its grounds in one sentence."""

from stagewise.measures import MEASURES, PRIMARY, Measure
from stagewise.metrics.bootstrap import NO_SPREAD, TOO_FEW
from stagewise.metrics.schema import Pairs, Value

LEARNING = ("better", "no measurable difference", "worse")

FORGETTING = ("improved", "no measurable change", "forgotten")


def format_difference(value: Value, measure: Measure) -> str:
    """Write a difference with its interval: ``accuracy +1.0 points [-2.0, +4.0]``; points if it is one of shares."""
    scale, digits, unit = (100, 1, " points") if measure.is_share else (1, 3, "")
    numbers = [f"{scale * number:+.{digits}f}" for number in (value.value, value.low, value.high) if number is not None]
    if value.low is None:
        return f"{measure.title} {numbers[0]}{unit}, no interval: {value.reason}"
    return f"{measure.title} {numbers[0]}{unit} [{numbers[1]}, {numbers[2]}]"


def claim_change(accuracy: Value, pairs: Pairs, words: tuple[str, str, str]) -> tuple[str, str]:
    """Claim what the accuracy difference between two sets of answers to the same items shows.

    Parameters
    ----------
    accuracy
        The difference with its interval.
    pairs
        The counts behind it.
    words
        Claims for a difference above 0, around 0 and below 0.
    """
    if accuracy.low is None:
        if pairs.lost + pairs.gained == 0 and accuracy.reason != TOO_FEW:
            return words[1], "Every item is right or wrong as before."
        return "not claimed", f"No interval: {accuracy.reason}."
    span = format_difference(accuracy, MEASURES[PRIMARY])
    if accuracy.low > 0:
        return words[0], f"The interval lies above 0: {span}."
    if accuracy.high < 0:
        return words[2], f"The interval lies below 0: {span}."
    return words[1], f"The interval includes 0: {span}."


def claim_forgetting(accuracy: Value, pairs: Pairs, over_majority: Value | None, stage: int) -> tuple[str, str]:
    """Claim whether a change is forgetting.

    Only what was learnt can be forgotten: unless the learning stage beat the majority class (the lower bound of
    `over_majority`, its paired accuracy difference, is above 0; None if the majority class was not scored on these
    items), neither a drop nor its absence is a finding. The gate is on accuracy for every measure, because any guesser
    that varies its answers beats the majority class in macro-F1.
    """
    claim, reason = claim_change(accuracy, pairs, FORGETTING)
    if claim not in FORGETTING[1:]:
        return claim, reason
    if over_majority is None:
        return "not claimed", "The majority class did not answer these items: they are of another fold than the first."
    if not is_above_zero(over_majority):
        grounds = format_difference(over_majority, MEASURES[PRIMARY])
        return "not claimed", f"Stage {stage} did not beat the majority class ({grounds})."
    return claim, reason


def claim_arm_difference(
    difference: Value, measure: Measure, p_holm: float | None, level: float, unchanged: bool
) -> tuple[str, str | None]:
    """Claim what the difference of an arm from the reference arm shows; grounds other than its interval are named.

    Parameters
    ----------
    difference
        With its interval over items and runs together.
    measure
        The measure it is of.
    p_holm
        Corrected p-value; None if there is no test.
    level
        What it must stay below.
    unchanged
        True if the difference is 0 in every run.
    """
    low, high = difference.low, difference.high
    if low is None:
        if difference.reason == NO_SPREAD and unchanged:
            return "no measurable difference", "The difference is 0 in every run and every resample."
        return "not claimed", f"No interval: {difference.reason}."
    if low <= 0 <= high:
        return "no measurable difference", None
    if p_holm is not None and p_holm >= level:
        side, span = "above" if low > 0 else "below", format_difference(difference, measure)
        grounds = f"but the test corrected for the number of arms does not confirm it (p = {p_holm:.2g})"
        return "no measurable difference", f"The interval lies {side} 0, {grounds}: {span}."
    return "better" if (low > 0) == measure.higher_is_better else "worse", None


def is_above_zero(difference: Value | None) -> bool:
    """True if there is an interval and it lies above 0."""
    return difference is not None and difference.low is not None and difference.low > 0
