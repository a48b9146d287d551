"""Sentences are drawn by rule: what each of the constructed cases lets the report say, and what not."""

import json

import pytest

from stagewise.lineage import BASE
from stagewise.metrics.claims import LEARNING, claim_change, claim_forgetting
from stagewise.metrics.schema import Pairs, Value
from stagewise.report.text.observations import observations
from stagewise.report.text.sentences import headline, sample_warning
from tests.helpers import report_experiments
from tests.helpers.report_experiments import FIRST, SECOND, score, view

PAIRS = {"right_both": 50, "lost": 30, "gained": 12, "mcnemar_p": 0.0081}


@pytest.fixture
def values():
    return report_experiments.metrics("small")


@pytest.fixture
def many():
    return report_experiments.metrics("many")


def said(values) -> str:
    """The headline of an experiment with one arm."""
    (paragraph,) = headline(view(values))
    assert paragraph.lead == ""
    return paragraph.text


def learnt(values, lineage, against, low, value, high) -> None:
    """Put a difference in accuracy into the metrics, with the claim that the metrics make of it."""
    for record in values["learning"]:
        if (record["lineage"], record["against"], record["split"]) == (lineage, against, "test"):
            difference = {"value": value, "low": low, "high": high, "reason": None if low is not None else "one item"}
            record["changes"]["accuracy"] = difference
            claim, reason = claim_change(Value(**difference), Pairs(**PAIRS), LEARNING)
            record |= {"claim": claim, "reason": reason}


def forgot(values, record, low, value, high, majority=(0.1, 0.2, 0.3), before=0.8) -> None:
    """The same for a comparison of two adapters; `majority` is what the first had over the majority class."""
    difference = {"value": value, "low": low, "high": high, "reason": None}
    over = Value(low=majority[0], value=majority[1], high=majority[2])
    record["changes"]["accuracy"] = difference
    for lineage, accuracy in ((record["before_lineage"], before), (record["after_lineage"], before + value)):
        score(values, lineage, record["task"], record["before_split"])["measures"]["accuracy"]["value"] = accuracy
    record |= {"pairs": PAIRS, "over_majority": over.model_dump()}
    claim, reason = claim_forgetting(Value(**difference), Pairs(**PAIRS), over, record["before_stage"])
    record |= {"claim": claim, "reason": reason}


def on_test(values) -> dict:
    (record,) = [r for r in values["forgetting"] if (r["comparison"], r["before_split"]) == ("paired", "test")]
    return record


def test_clear_forgetting(values):
    forgot(values, on_test(values), -0.25, -0.15, -0.05)
    assert (
        "After stage 2 pubmedqa is forgotten: accuracy went from 80.0% to 65.0% on the same 120 test items, "
        "−15.0 points [−25.0, −5.0]; 30 items lost and 12 gained (McNemar p\xa0=\xa00.008)." in said(values)
    )


def test_an_interval_with_zero_shows_neither_forgetting_nor_its_absence(values):
    forgot(values, on_test(values), -0.05, -0.02, 0.01)
    text = said(values)
    assert "Neither forgetting of pubmedqa nor its absence is shown after stage 2: accuracy went" in text
    assert "is forgotten" not in text and "improved" not in text


def test_a_drop_is_not_called_forgetting_where_stage_1_did_not_beat_the_majority_class(values):
    learnt(values, FIRST, "majority", -0.02, 0.01, 0.04)
    forgot(values, on_test(values), -0.25, -0.15, -0.05, majority=(-0.02, 0.01, 0.04))
    text = said(values)
    assert "Stage 1 is not measurably above the majority class on pubmedqa: accuracy on 120 test items is" in text
    assert "+1.0 points [−2.0, +4.0] against the majority class" in text
    assert (
        "Nothing is called forgetting of pubmedqa after stage 2; stage 1 did not beat the majority class (accuracy "
        "+1.0 points [-2.0, +4.0]): accuracy went from 80.0% to 65.0%" in text
    )
    assert "is forgotten" not in text and "Stage 1 learnt" not in text


def test_an_improvement_is_no_forgetting(values):
    forgot(values, on_test(values), 0.02, 0.06, 0.1)
    assert "After stage 2 pubmedqa is not forgotten but improved: accuracy went from 80.0% to 86.0%" in said(values)


def test_what_both_stages_learnt(values):
    for lineage in (FIRST, SECOND):
        learnt(values, lineage, "majority", 0.1, 0.2, 0.3)
        learnt(values, lineage, "base", 0.2, 0.3, 0.4)
    text = said(values)
    accuracy = score(values, SECOND, "dreaddit")["measures"]["accuracy"]
    a = {key: f"{100 * accuracy[key]:.1f}" for key in ("value", "low", "high")}
    assert "Stage 1 learnt pubmedqa: " in text
    assert (
        f"Stage 2 learnt dreaddit: accuracy on 120 test items is {a['value']}% [{a['low']}, {a['high']}], +20.0 points "
        "[+10.0, +30.0] against the majority class and +30.0 points [+20.0, +40.0] against the untuned model." in text
    )


@pytest.mark.parametrize(
    ("majority", "base", "verdict"),
    [
        ((0.1, 0.2, 0.3), (-0.1, 0.0, 0.1), "above the majority class on dreaddit, but not measurably"),
        ((0.1, 0.2, 0.3), (-0.3, -0.2, -0.1), "above the majority class on dreaddit, but not measurably"),
        ((-0.3, -0.2, -0.1), (0.1, 0.2, 0.3), "Stage 2 ends below the majority class on dreaddit"),
        ((None, 0.2, None), (0.1, 0.2, 0.3), "Nothing is claimed about what stage 2 learnt of dreaddit"),
    ],
)  # fmt: skip
def test_no_stage_is_said_to_learn_what_the_intervals_do_not_carry(values, majority, base, verdict):
    learnt(values, SECOND, "majority", *majority)
    learnt(values, SECOND, "base", *base)
    text = said(values)
    assert verdict in text and "Stage 2 learnt" not in text


def test_tfidf_is_compared_by_its_claim(values):
    learnt(values, FIRST, "tfidf", -0.3, -0.2, -0.1)
    learnt(values, SECOND, "tfidf", -0.1, 0.0, 0.1)
    text = [sentence.text for sentence in observations(view(values))]
    assert (
        "Stage 1 stays below TF-IDF with logistic regression on pubmedqa: −20.0 points [−30.0, −10.0] of accuracy."
        in text
    )
    assert any(
        t.startswith("Stage 2 and TF-IDF with logistic regression do not measurably differ on dread") for t in text
    )
    assert not any("beats TF-IDF" in t for t in text)


def test_macro_f1_speaks_where_accuracy_is_silent(values):
    record = on_test(values)
    forgot(values, record, -0.05, -0.02, 0.01)
    record["changes"]["macro_f1"] = {"value": -0.2, "low": -0.3, "high": -0.1}
    text = " ".join(sentence.text for sentence in observations(view(values)))
    assert (
        "Accuracy on pubmedqa did not measurably change after stage 2, but macro-F1 did: −20.0 points [−30.0, −10.0]."
        in text
    )
    record["changes"]["macro_f1"] = {"value": -0.2, "low": -0.5, "high": 0.1}
    assert "but macro-F1 did" not in " ".join(sentence.text for sentence in observations(view(values)))


def test_a_label_that_is_never_answered_is_named(values):
    score(values, SECOND, "pubmedqa")["labels"][2] |= {"predicted": 0, "support": 11}
    text = " ".join(sentence.text for sentence in observations(view(values)))
    name = "the adapter pubmedqa → dreaddit"
    assert f"On pubmedqa {name} never answers “maybe” (gold label of 11) in 120 test items." in text


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


def test_seeds_are_counted_not_averaged_away(many):
    values = many
    found = [
        record
        for record in values["forgetting"]
        if (record["arm"], record["comparison"], record["before_split"]) == ("gentle", "paired", "test")
    ]
    assert [record["seed"] for record in found] == [0, 1]
    forgot(values, found[0], -0.25, -0.15, -0.05)
    forgot(values, found[1], -0.05, -0.02, 0.01)
    assert [paragraph.lead for paragraph in headline(view(values))] == ["Arms sequential and gentle"]
    text = " ".join(sentence.text for sentence in observations(view(values)))
    assert (
        "After stage 2 (pubmedqa → dreaddit-slow) pubmedqa is, over 2 seeds, forgotten in 1 and not measurably changed "
        "in 1: accuracy changed by −15.0 to −2.0 points on the same 120 test items." in text
    )
    for record in values["learning"]:
        if record["split"] == "test" and record["lineage"] == "base/seed-1/pubmedqa/dreaddit-slow":
            record["claim"] = "no measurable difference"
    text = " ".join(sentence.text for sentence in observations(view(values)))
    assert "Stage 2 (pubmedqa → dreaddit-slow) learnt dreaddit in 1 of 2 seeds: accuracy is" in text


def test_the_headline_ends_with_the_last_stage_and_observations_hold_the_others(tmp_path):
    stages = [{"task": "pubmedqa"}, {"task": "dreaddit"}, {"task": "pubmedqa", "name": "pubmedqa-again"}]
    results = report_experiments.write(tmp_path, arms={"sequential": {"stages": stages}})
    values = json.loads((results / "report_metrics.json").read_text())
    text = said(values)
    assert "After stage 3 dreaddit is" in text or "dreaddit nor its absence is shown after stage 3" in text
    assert "fter stage 2" not in text
    assert any("fter stage 2" in s.text and "pubmedqa" in s.text for s in observations(view(values)))


def test_the_main_split_is_the_one_that_nothing_was_chosen_on(values):
    assert view(values).main_split == "test"
    values["experiment"]["splits"] = ["validation"]
    assert view(values).main_split == "validation"
    assert "validation items" in said(values) and "test items" not in said(values)


def test_no_warning_without_a_sample(values):
    assert "sample" in sample_warning(view(values))
    for task in values["tasks"]:
        task |= {"sample": False}
    assert sample_warning(view(values)) is None
