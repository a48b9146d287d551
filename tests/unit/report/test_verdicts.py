"""Verdicts are drawn from the claims by rule: what constructed claims let the report say of an arm, and what not."""

import json
import re

import pytest

from stagewise.report import markdown
from stagewise.report.text.observations import observations
from stagewise.report.text.verdicts import conclusions, headline, lead, runs_remark
from tests.helpers import fake_results as made
from tests.helpers import report_experiments
from tests.helpers.report_experiments import arm_score, claim, shows, view

ARM, TASK = "rehearsal-10", "pubmedqa"


@pytest.fixture
def values():
    return report_experiments.metrics("arms")


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    """An arm of every kind and one seed; read only."""
    results = report_experiments.write(tmp_path_factory.mktemp("one-run"), arms=made.ARMS)
    return json.loads((results / "report_metrics.json").read_text())


def said(values, arm=ARM) -> str:
    (found,) = [paragraph.text for paragraph in conclusions(view(values)) if paragraph.lead == f"Arm {arm}"]
    return found


def plain(text: str) -> str:
    """A text without no-break spaces."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def kept(values, verdict, low, value, high, arm=ARM, **more) -> None:
    """Let an earlier task's claim show something, from an accuracy of 80 %."""
    record = claim(values, "kept", TASK, arm)
    shows(record, verdict, low, value, high, **more)
    for stage, accuracy in ((1, 0.8), (None, 0.8 + value)):
        arm_score(values, arm, TASK, stage=stage)["accuracy"]["value"] = accuracy


LOSS, GAIN = (-0.3, -0.2, -0.1), (0.1, 0.2, 0.3)


def test_forgetting_is_what_the_claim_says(values):
    kept(values, "worse", *LOSS)
    assert "It forgets pubmedqa: accuracy 80.0% → 60.0%, −20.0 points [−30.0, −10.0]" in said(values)
    # The interval alone, below 0, is no forgetting.
    kept(values, "not shown", *LOSS, p_corrected=0.2)
    assert "No change on pubmedqa is shown" in said(values) and "forgets" not in said(values)
    kept(values, "better", *GAIN)
    assert "It does not forget pubmedqa but improves on it" in said(values)
    claim(values, "kept", TASK, ARM)["difference"] = {"reason": "no label probabilities"}
    assert "Nothing is claimed about forgetting of pubmedqa." in said(values)


def test_a_loss_of_what_was_never_learnt_is_not_called_forgetting(values):
    kept(values, "not claimed", *LOSS, reason="The stage that learnt the task is not shown to beat it.")
    text = said(values)
    assert "pubmedqa got worse, but it is not shown to have been learnt, so this is not called forgetting" in text
    assert "forgets" not in text


def test_no_change_says_what_could_have_gone_unseen(values):
    kept(values, "not shown", -0.05, -0.01, 0.03, detectable=0.061)
    text = plain(said(values))
    assert "No change on pubmedqa is shown: accuracy 80.0% → 79.0%, −1.0 points [−5.0, +3.0], corrected p = 0.0" in text
    assert "; less than about 6.1" in text
    kept(values, "worse", *LOSS, detectable=0.061)
    assert "unseen" not in said(values).split("Against")[0]


def test_retained_needs_both_claims(values):
    for other in ("majority", "base"):
        shows(claim(values, "retained", TASK, ARM, other), "better", *GAIN)
    assert "it still beats the majority class and the untuned model" in said(values)
    shows(claim(values, "retained", TASK, ARM, "base"), "not shown", *GAIN)
    assert "still beats" not in said(values)


@pytest.mark.parametrize(
    ("verdict", "bounds", "words"),
    [
        ("better", GAIN, "better on pubmedqa and dreaddit"),
        ("worse", LOSS, "worse on pubmedqa and dreaddit"),
        ("not shown", (-0.1, 0.0, 0.1), "no difference shown on pubmedqa and dreaddit"),
        # The interval alone is not enough: the corrected test has its say.
        ("not shown", GAIN, "no difference shown on pubmedqa and dreaddit"),
        ("not claimed", (None, 0.2, None), "nothing claimed on pubmedqa and dreaddit"),
    ],
)
def test_against_the_reference_the_claim_decides(values, verdict, bounds, words):
    for task in ("pubmedqa", "dreaddit"):
        shows(claim(values, "arms", task, ARM), verdict, *bounds, detectable=0.123)
    text = said(values)
    assert f"Against sequential, {words}: " in text
    assert ("(less than about 12.3 points would mostly go unseen)" in text) == (verdict == "not shown")
    assert "Against" not in said(values, "sequential")


def test_who_answers_with_the_same_adapter_cannot_forget(values):
    text = said(values, "isolated")
    assert "pubmedqa cannot be forgotten, because the adapter that learnt it still answers it" in text
    assert "forg" not in said(values, "multitask").lower()


def test_the_headline_names_what_the_reference_forgets_and_who_does_better(values):
    kept(values, "worse", *LOSS, arm="sequential")
    for arm, verdict in (("isolated", "better"), ("multitask", "worse"), (ARM, "not shown"), ("blend-0.5", "better")):
        shows(claim(values, "arms", TASK, arm), verdict, *GAIN)
    assert plain(headline(view(values)).text) == (
        "Arm sequential forgets pubmedqa (−20.0 points [−30.0, −10.0]); "
        "isolated and blend-0.5 end better on pubmedqa and multitask ends worse on pubmedqa."
    )
    kept(values, "not shown", -0.1, 0.0, 0.1, arm="sequential")
    for arm in ("isolated", "multitask", ARM, "blend-0.5"):
        shows(claim(values, "arms", TASK, arm), "not shown", *GAIN)
    assert plain(headline(view(values)).text) == (
        "Arm sequential is not shown to forget pubmedqa (0.0 points [−10.0, +10.0], corrected p = 0.010); "
        "no other arm is shown to end better or worse on pubmedqa."
    )


def test_what_was_not_shown_to_be_learnt_cannot_be_forgotten(values):
    kept(values, "not claimed", *LOSS, arm="sequential", reason="The stage that learnt the task is not shown to.")
    shows(claim(values, "learnt", TASK, "sequential", "majority"), "not shown", *GAIN)
    assert headline(view(values)).text.startswith(
        "Arm sequential is not shown to learn pubmedqa, so there was nothing to forget; "
    )


def test_without_claims_the_headline_says_so(values):
    values["claims"] = []
    assert headline(view(values)).text.startswith("Nothing is claimed")


def test_arms_without_an_earlier_task_have_nothing_to_forget():
    values = report_experiments.metrics("small")
    values["claims"] = [c for c in values["claims"] if c["kind"] == "learnt"]
    assert plain(headline(view(values)).text) == (
        "In this one training the model has no earlier task that a later stage could make it forget."
    )


def test_one_run_says_nothing_of_arms(one_run):
    """However clear its figures: another training of the same arm may end elsewhere by chance."""
    verdicts = {c["verdict"] for c in one_run["claims"] if c["kind"] in ("arms", "kept")}
    assert {"better", "worse"} <= verdicts
    shown = view(one_run)
    paragraphs = [*lead(shown), *conclusions(shown)]
    text = " ".join([headline(shown).text, *(p.text for p in paragraphs), *(s.text for s in observations(shown))])
    assert not re.search(r"\b(better|worse|forgets|improves)\b", text)
    assert "In this one training the adapter of sequential lost part of pubmedqa (" in text
    assert "one training of each arm says nothing about the arms" in headline(shown).text
    assert "This adapter against that of sequential, more of pubmedqa right" in said(one_run)
    assert "says nothing about another training" in runs_remark(shown)


def test_one_run_has_no_arrow_anywhere_and_several_have(one_run, values):
    for signs, metrics in ((False, one_run), (True, values)):
        assert bool(re.search("[▲▼]", markdown.render(view(metrics)))) == signs
    assert not re.search(r"\| (better|worse) \|", markdown.render(view(one_run)))


def test_one_arm_says_the_same_of_its_loss_behind_its_stages():
    values = report_experiments.metrics("small")
    kept(values, "worse", *LOSS, arm="sequential")
    (paragraph,) = lead(view(values))
    kept_text = next(s.text for s in paragraph.sentences if s.text.startswith("This adapter"))
    assert plain(kept_text) == (
        "This adapter lost part of pubmedqa: accuracy 80.0% → 60.0%, −20.0 points [−30.0, −10.0], corrected p = 0.010."
    )


def test_the_remark_names_the_family_and_its_risk(values):
    family = len(values["claims"])
    assert f"any false one among the report's {family} claims is at most 5%" in runs_remark(view(values))
    values["claims"][0] |= {"p": None, "p_corrected": None}
    assert f"the report's {family - 1} claims" in runs_remark(view(values))


def test_few_runs_share_their_noise(values):
    assert "over items and 2 seeds together; with so few, arms share one estimate" in runs_remark(view(values))
    values["experiment"]["seeds"] = [0, 1, 2, 3, 4]
    assert "share one estimate" not in runs_remark(view(values))
    assert "training noise is not measured" in runs_remark(view(report_experiments.metrics("small")))
