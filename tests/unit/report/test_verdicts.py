"""Conclusions are drawn by rule: what constructed intervals let the report say of an arm, and what not."""

import pytest

from stagewise.report.text.prior import prior
from stagewise.report.text.sentences import headline
from stagewise.report.text.verdicts import conclusions, lead, runs_remark
from tests.helpers import report_experiments
from tests.helpers.records import find
from tests.helpers.report_experiments import arm_score, view

ARM, TASK = "rehearsal-10", "pubmedqa"
MAIN = {"split": "test"}


@pytest.fixture
def values():
    return report_experiments.metrics("arms")


def said(values, arm=ARM) -> str:
    (found,) = [paragraph.text for paragraph in conclusions(view(values)) if paragraph.lead == f"Arm {arm}"]
    return found


def value_of(low, value, high) -> dict:
    return {"value": value, "low": low, "high": high, "reason": None if low is not None else "one item"}


def changed(values, rule, low, value, high, before=0.8, arm=ARM) -> None:
    """Put an earlier task's change under one rule into the metrics."""
    record = find(values["arm_tasks"], arm=arm, task=TASK, rule=rule, **MAIN)
    assert record["earlier"]
    record["change"]["accuracy"] = value_of(low, value, high)
    for stage, accuracy in ((record["learnt_stage"], before), (None, before + value)):
        arm_score(values, arm, TASK, rule, stage)["accuracy"]["value"] = accuracy


def runs(values, arm=ARM) -> list[dict]:
    """The arm's comparisons of the earlier task before and after, one a run."""
    wanted = arm, TASK, "paired", "test"
    return [r for r in values["forgetting"] if (r["arm"], r["task"], r["comparison"], r["before_split"]) == wanted]


def over_majority(values, low) -> None:
    for record in runs(values):
        record["over_majority"] = {"value": low + 0.1, "low": low, "high": low + 0.2, "reason": None}


def test_forgetting_goes_by_the_interval_over_items_and_runs(values):
    over_majority(values, 0.1)
    changed(values, "argmax", -0.3, -0.2, -0.1)
    assert "It has forgotten pubmedqa: accuracy went from 80.0% to 60.0%, −20.0 points [−30.0, −10.0]; " in said(values)
    changed(values, "argmax", -0.3, -0.1, 0.01)
    text = said(values)
    assert "Neither forgetting of pubmedqa nor its absence is shown" in text and "has forgotten" not in text
    changed(values, "argmax", 0.01, 0.1, 0.2)
    assert "It has not forgotten pubmedqa but improved on it" in said(values)
    changed(values, "argmax", None, -0.3, None)
    assert "Nothing is claimed about forgetting of pubmedqa" in said(values)


def test_a_drop_of_what_was_never_learnt_is_not_called_forgetting(values):
    over_majority(values, -0.01)
    changed(values, "argmax", -0.3, -0.2, -0.1)
    text = said(values)
    assert "Its accuracy on pubmedqa fell, but that is not called forgetting" in text and "has forgotten" not in text


def test_retained_is_said_only_where_every_run_carries_it(values):
    changed(values, "argmax", -0.3, -0.1, 0.1)
    for record in runs(values):
        record["retained"] = "retained"
    assert "it is retained, above both the majority class and the untuned model in each of 2 runs" in said(values)
    runs(values)[0]["retained"] = "not shown"
    text = said(values)
    assert "is not shown in 1 of 2 runs" in text and "it is retained, above" not in text


@pytest.mark.parametrize(
    ("claim", "bounds", "words"),
    [
        ("better", (0.1, 0.2, 0.3), "it ends better on pubmedqa"),
        ("worse", (-0.3, -0.2, -0.1), "it ends worse on pubmedqa"),
        ("no measurable difference", (-0.1, 0.0, 0.1), "it ends not measurably different on pubmedqa"),
        # The interval alone is not enough: Holm's p has its say, and the claim holds it.
        ("no measurable difference", (0.1, 0.2, 0.3), "it ends not measurably different on pubmedqa"),
        ("not claimed", (None, 0.2, None), "it ends without a claim on pubmedqa"),
    ],
)
def test_against_the_reference_the_claim_decides(values, claim, bounds, words):
    for task in ("pubmedqa", "dreaddit"):
        record = find(values["arm_comparisons"], arm=ARM, task=task, rule="argmax", **MAIN)
        record["measures"]["accuracy"] |= {"difference": value_of(*bounds), "claim": claim}
        record["measures"]["accuracy"] |= {"p": 0.02, "p_holm": 0.08, "smallest_effect": 0.123}
    text = said(values)
    assert f"Against sequential {words} and dreaddit" in text and "(Holm\N{NO-BREAK SPACE}p\N{NO-BREAK SPACE}" in text
    assert ("less than about 12.3 points could go unseen" in text) == (claim == "no measurable difference")
    assert "Against" not in said(values, "sequential")


def test_one_arm_says_the_same_of_its_loss_behind_its_headline():
    values = report_experiments.metrics("small")
    find(values["prior_shifts"], arm="sequential", task=TASK)["verdict"] = "not shown"
    (paragraph,) = lead(view(values))
    assert paragraph.sentences[:-1] == headline(view(values))[0].sentences
    assert paragraph.sentences[-1] == prior(view(values), "sequential", TASK)
    values["prior_shifts"] = []
    assert lead(view(values)) == headline(view(values))


def test_who_answers_with_the_same_adapter_cannot_forget(values):
    text = said(values, "isolated")
    assert "It cannot forget pubmedqa" in text and "Neither forgetting" not in text
    assert "forg" not in said(values, "multitask").lower()


def test_few_runs_are_said_to_be_few(values):
    assert "2 are too few to measure training noise well" in runs_remark(view(values))
    values["experiment"]["seeds"] = [0, 1, 2, 3, 4]
    assert "too few" not in runs_remark(view(values))
    assert "training noise is not measured" in runs_remark(view(report_experiments.metrics("small")))
