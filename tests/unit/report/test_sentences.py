"""Sentences are drawn from the claims by rule: what constructed claims let the report say, and what not."""

import json

import pytest

from stagewise.lineage import BASE
from stagewise.report.text.observations import observations
from stagewise.report.text.sentences import sample_warning, unseen
from stagewise.report.text.verdicts import lead
from tests.helpers import report_experiments
from tests.helpers.records import find
from tests.helpers.report_experiments import FIRST, SECOND, claim, score, shows, signed, view


@pytest.fixture
def values():
    return report_experiments.metrics("small")


def said(values) -> str:
    """The result of an experiment with one arm."""
    (paragraph,) = lead(view(values))
    assert paragraph.lead == ""
    return paragraph.text


def observed(values) -> str:
    return " ".join(sentence.text for sentence in observations(view(values)))


def learnt(values, task, **against) -> None:
    """Set what the adapter that learnt a task shows: verdict and interval by what it is compared with."""
    for other, shown in against.items():
        shows(claim(values, "learnt", task, against=other), *shown)


BETTER, NOTHING, WORSE = ("better", 0.1, 0.2, 0.3), ("not shown", -0.1, 0.0, 0.1), ("worse", -0.3, -0.2, -0.1)


def test_what_both_stages_learnt(values):
    for task in ("pubmedqa", "dreaddit"):
        learnt(values, task, majority=BETTER, base=("better", 0.2, 0.3, 0.4))
    text = said(values)
    accuracy = score(values, SECOND, "dreaddit")["measures"]["accuracy"]
    a = {key: f"{100 * accuracy[key]:.1f}" for key in ("value", "low", "high")}
    assert "Stage 1, in this training, learnt pubmedqa: " in text
    assert (
        f"Stage 2, in this training, learnt dreaddit: accuracy {a['value']}% [{a['low']}, {a['high']}], +20.0 points "
        "[+10.0, +30.0] against the majority class and +30.0 points [+20.0, +40.0] against the untuned model "
        "(120 test items)." in text
    )


@pytest.mark.parametrize(
    ("majority", "base", "verdict"),
    [
        (BETTER, NOTHING, "beats the majority class on dreaddit, but not measurably the untuned model"),
        (BETTER, WORSE, "beats the majority class on dreaddit, but not measurably the untuned model"),
        (WORSE, BETTER, "Stage 2, in this training, stays below the majority class on dreaddit"),
        (NOTHING, BETTER, "That stage 2, in this training, learnt dreaddit is not shown"),
        # An interval above 0 is not enough where the test does not confirm it.
        (("not shown", 0.1, 0.2, 0.3), BETTER, "That stage 2, in this training, learnt dreaddit is not shown"),
        (("not claimed", None, 0.2, None), BETTER, "That stage 2, in this training, learnt dreaddit is not shown"),
    ],
)  # fmt: skip
def test_no_stage_is_said_to_learn_what_its_claims_do_not_show(values, majority, base, verdict):
    learnt(values, "dreaddit", majority=majority, base=base)
    text = said(values)
    assert verdict in text and "in this training, learnt dreaddit:" not in text


def test_several_runs_speak_of_the_arm():
    values = report_experiments.metrics("arms")
    assert "Stage 1 (pubmedqa) learnt pubmedqa: " in lead(view(values))[0].text
    assert "this" not in " ".join(p.text for p in lead(view(values))).lower()


def test_the_majority_class_is_beaten_in_accuracy_whatever_else_is_claimed(values):
    values["experiment"]["primary_measure"] = "macro_f1"
    for record in values["claims"]:
        record["measure"] = "accuracy" if record["against"] == "majority" else "macro_f1"
    learnt(values, "pubmedqa", majority=BETTER, base=("better", 0.2, 0.3, 0.4))
    text = said(values)
    macro = f"{100 * score(values, FIRST, 'pubmedqa')['measures']['macro_f1']['value']:.1f}"
    assert f"learnt pubmedqa: macro-F1 {macro}%" in text
    assert "+20.0 points [+10.0, +30.0] of accuracy against the majority class and +30.0 points [" in text


def test_tfidf_is_compared_by_its_claim(values):
    learnt(values, "pubmedqa", tfidf=WORSE)
    learnt(values, "dreaddit", tfidf=NOTHING)
    text = observed(values)
    assert (
        "Stage 1 stays below TF-IDF with logistic regression on pubmedqa: −20.0 points [−30.0, −10.0] of accuracy."
        in text
    )
    assert "No difference is shown between stage 2 and TF-IDF with logistic regression on dreaddit: 0.0 points" in text
    assert "beats TF-IDF" not in text


def test_measures_that_nothing_is_claimed_about_say_nothing(values):
    """Another measure's interval is in the tables; no sentence is drawn from it."""
    (record,) = [r for r in values["forgetting"] if (r["comparison"], r["before_split"]) == ("paired", "test")]
    record["changes"]["macro_f1"] = {"value": -0.2, "low": -0.3, "high": -0.1}
    find(values["arm_tasks"], arm="sequential", task="pubmedqa", rule="argmax")["change"]["macro_f1"] = {
        "value": -0.2,
        "low": -0.3,
        "high": -0.1,
    }
    assert "macro-F1" not in said(values) + observed(values)


def test_what_could_go_unseen_is_in_the_units_of_the_measure(values):
    record = claim(values, "kept", "pubmedqa")
    for size, text in ((0.123, "less than about 12.3 points would mostly go unseen"), (None, "")):
        record["detectable"] = size
        shown = view(values)
        assert unseen(shown, shown.claim("kept", "sequential", "pubmedqa")) == text


def test_a_label_that_is_never_answered_is_named(values):
    score(values, SECOND, "pubmedqa")["labels"][2] |= {"predicted": 0, "support": 11}
    name = "the adapter pubmedqa → dreaddit"
    assert f"On pubmedqa {name} never answers “maybe” (gold label of 11) in 120 test items." in observed(values)


def test_an_adapter_that_would_answer_something_else_is_named(values):
    for record in values["predictions"]:
        if (record["task"], record["split"]) == ("pubmedqa", "test") and record["lineage"] in (BASE, SECOND):
            record["label_mass"] = {"value": 0.031}
    text = " ".join(sentence.text for sentence in observations(view(values)))
    assert (
        "On pubmedqa the adapter pubmedqa → dreaddit gives all labels together 3.1% of the probability on average; it "
        "would mostly answer something else" in text
    )
    assert text.count("gives all labels together") == 1, "the untuned model has learnt no task's words"


def test_a_kept_checkpoint_that_is_worse_than_the_start_is_named(values):
    first, second, *_ = values["training"]
    first |= {"best_metric": "macro_f1", "best_step": 45, "best_value": 0.289, "start_value": 0.315}
    second |= {"best_metric": "loss", "best_step": 20, "best_value": 0.4, "start_value": 0.5}
    text = " ".join(sentence.text for sentence in observations(view(values)))
    assert (
        "The training of the adapter pubmedqa kept the checkpoint of step 45, whose validation macro-F1 (0.289) is "
        "worse than before the first step (0.315)." in text
    )
    assert text.count("worse than before the first step") == 1
    second |= {"start_value": 0.3}
    text = " ".join(sentence.text for sentence in observations(view(values)))
    assert "whose validation loss (0.4) is worse than before the first step (0.3)" in text


def test_a_figure_without_interval_carries_no_claim(values):
    text = next(s.text for s in observations(view(values)) if s.text.startswith("The calibration error"))
    assert text.endswith("it has no interval, so nothing is claimed from it.")


def test_stages_between_are_observed_as_numbers_over_their_runs(tmp_path):
    """Nothing is claimed about them; the last stage is in the conclusions."""
    stages = [{"task": "pubmedqa"}, {"task": "dreaddit"}, {"task": "pubmedqa", "name": "pubmedqa-again"}]
    results = report_experiments.write(tmp_path, arms={"sequential": {"stages": stages}}, seeds=[0, 1])
    values = json.loads((results / "report_metrics.json").read_text())
    text = observed(values)
    moves = sorted(
        record["changes"]["accuracy"]["value"]
        for record in values["forgetting"]
        if (record["comparison"], record["after_stage"], record["before_split"]) == ("paired", 2, "test")
    )
    low, high = (signed(move) for move in moves)
    assert f"After stage 2 pubmedqa had changed by {low} to {high} points of accuracy over 2 seeds." in text
    assert "After stage 3 " not in text and "fter stage 2" not in said(values)
    assert "dreaddit" in said(values)


def test_the_main_split_is_the_one_that_nothing_was_chosen_on(values):
    assert view(values).main_split == "test"
    assert "test items" in said(values)
    values["experiment"]["splits"] = ["validation"]
    assert view(values).main_split == "validation"


def test_no_warning_without_a_sample(values):
    assert "sample" in sample_warning(view(values))
    for task in values["tasks"]:
        task |= {"sample": False}
    assert sample_warning(view(values)) is None
