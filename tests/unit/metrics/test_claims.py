"""Claims follow from the interval, its gate and the test, and name their grounds."""

import numpy as np
import pytest

from stagewise.measures import MEASURES
from stagewise.metrics.bootstrap import NO_SPREAD, ONE_RUN, TOO_FEW
from stagewise.metrics.claims import (
    LEARNING,
    claim_arm_difference,
    claim_change,
    claim_forgetting,
    format_difference,
)
from stagewise.metrics.schema import Pairs, Value


def value(number, low, high):
    return Value(value=number, low=low, high=high, reason=None if low is not None else NO_SPREAD)


@pytest.mark.parametrize(
    ("accuracy", "over_majority", "claim", "reason"),
    [
        ((-0.2, -0.3, -0.1), (0.1, 0.02, 0.2), "forgotten", "below 0: accuracy -20.0 points [-30.0, -10.0]"),
        ((-0.2, -0.3, -0.1), (0.1, 0.0, 0.2), "not claimed", "Stage 1 did not beat the majority class"),
        ((-0.2, -0.3, -0.1), (0.0, None, None), "not claimed", "Stage 1 did not beat the majority class"),
        ((-0.05, -0.1, 0.01), (0.1, 0.02, 0.2), "no measurable change", "includes 0"),
        ((-0.05, -0.1, 0.01), (0.1, -0.1, 0.2), "not claimed", "Stage 1 did not beat the majority class"),
        ((0.2, 0.1, 0.3), (0.1, -0.1, 0.2), "improved", "above 0"),
        ((-1.0, None, None), (0.1, 0.02, 0.2), "not claimed", "No interval"),
    ],
)
def test_forgetting_is_claimed_only_of_what_was_learnt(accuracy, over_majority, claim, reason):
    counts = Pairs(right_both=1, lost=5, gained=1, mcnemar_p=0.2)
    found = claim_forgetting(value(*accuracy), counts, value(*over_majority), stage=1)
    assert found[0] == claim
    assert reason in found[1]


def test_without_the_majority_class_nothing_is_called_forgetting():
    counts = Pairs(right_both=1, lost=5, gained=1, mcnemar_p=0.2)
    claim, reason = claim_forgetting(value(-0.2, -0.3, -0.1), counts, None, stage=1)
    assert claim == "not claimed" and "another fold" in reason


def test_unchanged_answers_are_no_change_but_one_item_says_nothing():
    counts = Pairs(right_both=4, lost=0, gained=0, mcnemar_p=1)
    same, reason = claim_change(value(0.0, None, None), counts, LEARNING)
    assert (same, reason) == ("no measurable difference", "Every item is right or wrong as before.")
    assert claim_change(Value(value=0.0, reason=TOO_FEW), counts, LEARNING)[0] == "not claimed"


@pytest.mark.parametrize(
    ("low", "high", "p", "claim", "reason"),
    [
        (0.01, 0.1, 0.01, "better", None),
        (0.01, 0.1, None, "better", None),
        (0.01, 0.1, 0.05, "no measurable difference", "confirm it (p = 0.05): accuracy +5.0 points [+1.0, +10.0]."),
        (-0.1, -0.01, 0.01, "worse", None),
        (-0.1, -0.01, 0.06, "no measurable difference", "lies below 0, but the test"),
        (-0.01, 0.1, 0.001, "no measurable difference", None),
    ],
)
def test_an_arm_is_better_by_its_interval_and_its_test(low, high, p, claim, reason):
    found = claim_arm_difference(value(0.05, low, high), MEASURES["accuracy"], p, 0.05, unchanged=False)
    assert found[0] == claim
    assert found[1] is None if reason is None else reason in found[1]


@pytest.mark.parametrize(("name", "claims"), [("mcc", ("better", "worse")), ("brier", ("worse", "better"))])
def test_better_is_lower_if_lower_is_better(name, claims):
    for bounds, claim in zip(((0.1, 0.3), (-0.3, -0.1)), claims, strict=True):
        assert claim_arm_difference(value(0.2, *bounds), MEASURES[name], None, 0.05, unchanged=False)[0] == claim


def test_no_interval_claims_nothing_unless_nothing_changed():
    accuracy, constant = MEASURES["accuracy"], Value(value=0.0, reason=NO_SPREAD, runs=3)
    claim, reason = claim_arm_difference(constant, accuracy, 1.0, 0.05, unchanged=not np.zeros(3).any())
    assert (claim, reason) == ("no measurable difference", "The difference is 0 in every run and every resample.")
    assert claim_arm_difference(constant, accuracy, None, 0.05, unchanged=False)[0] == "not claimed"
    missing = Value(reason=ONE_RUN)
    assert claim_arm_difference(missing, accuracy, None, 0.05, unchanged=False)[0] == "not claimed"


def test_differences_of_shares_are_in_points_and_others_as_they_are():
    assert format_difference(value(0.05, 0.01, 0.1), MEASURES["macro_f1"]) == "macro-F1 +5.0 points [+1.0, +10.0]"
    assert format_difference(value(-0.05, -0.1, 0.01), MEASURES["brier"]) == "Brier score -0.050 [-0.100, +0.010]"
    assert format_difference(value(0.05, None, None), MEASURES["mcc"]).startswith("Matthews correlation +0.050, no ")
