"""What is said of a loss: a shifted label prior, lost knowledge, or neither is shown."""

import pytest

from stagewise.metrics.prior_shift import judge
from stagewise.metrics.schema import PriorShift
from stagewise.report.text.prior import prior
from stagewise.report.text.verdicts import conclusions
from tests.helpers import report_experiments
from tests.helpers.records import find
from tests.helpers.report_experiments import arm_score, view

ARM, TASK = "rehearsal-10", "pubmedqa"
STAYED, FELL = (-0.01, 0.002, 0.015), (-0.3, -0.2, -0.1)
# Accuracy after learning and after the last stage: remedies-small as it was published, arm sequential.
PUBLISHED = {
    "argmax": (0.475, 0.338),
    "prior-adjusted": (0.300, 0.312),
    "batch-calibrated": (0.287, 0.325),
    "contextual": (0.150, 0.163),
}


@pytest.fixture
def values():
    return report_experiments.metrics("arms")


def value_of(low, value, high) -> dict:
    return {"value": value, "low": low, "high": high}


def around(value, width=0.03) -> dict:
    return value_of(value - width, value, value + width)


def told(values, accuracies, p, *auroc) -> PriorShift:
    """Put accuracies by rule (after learning, after the last stage) into the metrics, with the verdict they carry."""
    for rule, (before, after) in accuracies.items():
        record = find(values["arm_tasks"], arm=ARM, task=TASK, rule=rule, split="test")
        record["change"]["accuracy"] = around(after - before)
        for stage, accuracy in ((record["learnt_stage"], before), (None, after)):
            arm_score(values, ARM, TASK, rule, stage)["accuracy"]["value"] = accuracy
    before, after = accuracies["argmax"]
    record = find(values["prior_shifts"], arm=ARM, task=TASK)
    record["loss"] = around(after - before)
    record["auroc"] = [value_of(*bounds) for bounds in auroc]
    for entry in record["rules"]:
        final = accuracies[entry["rule"]][1]
        entry |= {"gain": around(final - after), "left": around(final - before), "p": p, "p_corrected": p}
    read = PriorShift.model_validate(record)
    record["verdict"] = judge(read.loss, read.rules, read.auroc, 0.01, 0.02, 0.05)
    return PriorShift.model_validate(record)


def said(values) -> str:
    sentence = prior(view(values), ARM, TASK)
    return sentence.text if sentence else ""


def test_the_published_figures_are_not_called_a_shifted_prior(values):
    """Every rule's change is near 0 because it ruins the answers before and after."""
    told(values, PUBLISHED, 0.001, STAYED, STAYED)
    (text,) = [paragraph.text for paragraph in conclusions(view(values)) if paragraph.lead == f"Arm {ARM}"]
    assert "most of" not in text.lower() and "given back" not in text
    assert said(values) in text
    assert said(values) == (
        "Whether the loss on pubmedqa is a shifted label prior or lost knowledge is not shown: AUROC changed by +0.2 "
        "points; final accuracy minus that of argmax is −2.6 points [−5.6, +0.4] (prior-adjusted), −1.3 points "
        "[−4.3, +1.7] (batch-calibrated) and −17.5 points [−20.5, −14.5] (contextual)."
    )


GIVEN_BACK = PUBLISHED | {"contextual": (0.470, 0.465)}


def test_a_shifted_prior_names_the_gain_and_the_fall_that_is_excluded(values):
    told(values, GIVEN_BACK, 0.001, (-0.01, 0.001, 0.01), (-0.012, -0.003, 0.01))
    text = said(values)
    assert text.startswith(
        "Most of the loss on pubmedqa is a shifted label prior, because its labels are still told apart"
    )
    assert "AUROC changed by −0.3 to +0.1 points, and a fall of 2.0 points is excluded in each of 2 runs" in text
    assert "+12.7 points [+9.7, +15.7] (contextual)" in text


def test_an_auroc_that_may_have_fallen_carries_nothing(values):
    told(values, GIVEN_BACK, 0.001, (-0.15, -0.06, 0.02), STAYED)
    assert said(values).startswith(
        "Whether the loss on pubmedqa is a shifted label prior or lost knowledge is not shown"
    )
    assert "excluded" not in said(values)


def test_lost_knowledge_is_said_of_every_run(values):
    told(values, PUBLISHED, 1.0, FELL, FELL)
    assert said(values).startswith(
        "Knowledge of pubmedqa was lost, because its labels are told apart less well than before in each of 2 runs: AUROC "
    )


def test_nothing_is_said_where_no_loss_is_shown(values):
    find(values["prior_shifts"], arm=ARM, task=TASK)["verdict"] = "no loss shown"
    assert prior(view(values), ARM, TASK) is None
    assert prior(view(values), "multitask", TASK) is None


def test_one_run_gives_aurocs_interval():
    values = report_experiments.metrics("small")
    record = find(values["prior_shifts"], arm="sequential", task=TASK)
    record |= {"verdict": "not shown", "auroc": [value_of(-0.15, -0.06, 0.02)]}
    text = prior(view(values), "sequential", TASK).text
    assert "AUROC changed by −6.0 points [−15.0, +2.0]; final" in text
    record["auroc"] = [{"reason": "a label of the pair has no item"}]
    assert "AUROC" not in prior(view(values), "sequential", TASK).text
