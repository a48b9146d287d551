"""Arms of two experiments: paired by item where the items are the same, and not otherwise."""

import csv
import json
import shutil

import pytest
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from stagewise.comparison.experiments import UNTUNED, load_experiments, shared_measure
from stagewise.comparison.page import Comparison, render_markdown
from stagewise.comparison.pairs import NO_RUN, OTHER_ITEMS, OTHER_LABELS, compare_arms
from stagewise.errors import InputError
from stagewise.measures import TASK_SCORE
from tests.helpers import kinds_of_tasks
from tests.helpers.compared_experiments import changed, write_both
from tests.helpers.report_experiments import SECOND


def compare(*paths, measure="accuracy"):
    return compare_arms(load_experiments(paths), measure)


def right(results, lineage: str, task: str) -> list[bool]:
    with open(results / lineage / "predictions" / f"{task}.test.csv", newline="") as handle:
        return [row["prediction"] == row["label"] for row in csv.DictReader(handle)]


def test_a_difference_is_paired_by_item_and_tested_exactly(one_run):
    pairs = compare(*one_run)
    assert [(pair.task, pair.name) for pair in pairs] == [("pubmedqa", "sequential"), ("dreaddit", "sequential")]
    expected = []
    for pair in pairs:
        before, after = (right(results, SECOND, pair.task) for results in one_run)
        gained = sum(a and not b for b, a in zip(before, after, strict=True))
        lost = sum(b and not a for b, a in zip(before, after, strict=True))
        assert pair.claim.difference.value == pytest.approx((gained - lost) / len(before))
        expected.append(binomtest(gained, gained + lost).pvalue)
    assert [pair.claim.p for pair in pairs] == pytest.approx(expected)
    corrected = multipletests(expected, method="holm")[1]
    assert [pair.claim.p_corrected for pair in pairs] == pytest.approx(list(corrected))
    assert [pair.claim.verdict for pair in pairs] == ["not shown", "worse"]


def test_several_runs_are_paired_by_seed(two_seeds):
    pairs = compare(*two_seeds)
    assert {pair.name for pair in pairs} == {"sequential", "isolated"} and len(pairs) == 4
    for pair in pairs:
        first, other = (e.score(pair.name, pair.task, "accuracy").value for e in (pair.first, pair.other))
        assert pair.claim.difference.value == pytest.approx(other - first)
        assert pair.claim.test == "crossed" and pair.claim.difference.runs == 2


def test_another_measure_is_tested_by_exchanging_answers(one_run):
    (pair, _) = compare(*one_run, measure="macro_f1")
    first, other = (e.score("sequential", "pubmedqa", "macro_f1").value for e in (pair.first, pair.other))
    assert pair.claim.difference.value == pytest.approx(other - first) and pair.claim.test == "exchange"


def test_tasks_of_every_kind_are_compared_by_their_own_measures(tmp_path):
    experiments = load_experiments(write_both(tmp_path, **kinds_of_tasks.MIXED))
    assert shared_measure(experiments) == TASK_SCORE
    pairs = compare_arms(experiments, TASK_SCORE)
    assert {pair.task: pair.claim.measure for pair in pairs} == {
        "pubmedqa": "accuracy",
        "topics": "jaccard",
        "notes": "token_f1",
    }
    for pair in pairs:
        first, other = (e.score(pair.name, pair.task, pair.claim.measure).value for e in (pair.first, pair.other))
        assert pair.claim.difference.value == pytest.approx(other - first)
        assert (pair.claim.test == "sign-flip") == (pair.claim.measure == "accuracy")
    comparison = Comparison.of(experiments)
    assert "notes (token F1)" in render_markdown(comparison, "figures")


def test_the_same_answers_differ_in_nothing(one_run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(one_run[0], copy)
    (pair, _) = compare(one_run[0], copy)
    assert (pair.claim.difference.value, pair.claim.p, pair.claim.verdict) == (0, 1, "not shown")
    assert (pair.first.label, pair.other.label) == ("example (first)", "example (copy)")


def test_experiments_of_one_name_are_told_apart(one_run, tmp_path):
    for name in ("lora", "dora"):
        shutil.copytree(one_run[0], tmp_path / name / "results")
    labels = [e.label for e in load_experiments([*tmp_path.glob("*ora/results"), one_run[1]])]
    assert sorted(labels) == ["example (dora)", "example (lora)", "other"]


def test_arms_without_a_namesake_are_their_references(one_run, tmp_path):
    def rename(values):
        text = json.dumps(values).replace('"sequential"', '"mine"')
        values |= json.loads(text)

    (pair, _) = compare(one_run[0], changed(one_run[1], tmp_path / "other", rename))
    assert pair.name == "mine against sequential" and pair.claim is not None


def test_untuned_models_are_compared_if_they_differ(one_run, tmp_path):
    other = changed(
        one_run[1], tmp_path / "other", lambda values: values["experiment"].update(model_fingerprint="1" * 64)
    )
    pairs = compare(one_run[0], other)
    assert [pair.arms for pair in pairs[:2]] == [(UNTUNED, UNTUNED), ("sequential", "sequential")]
    first, second = (e.score(UNTUNED, "pubmedqa", "accuracy").value for e in (pairs[0].first, pairs[0].other))
    assert pairs[0].claim.difference.value == pytest.approx(second - first)


def test_untuned_models_need_no_run_in_common(two_seeds, tmp_path):
    def change(values):
        values["experiment"] |= {"model_fingerprint": "1" * 64, "seeds": [7, 8]}

    pairs = compare(two_seeds[0], changed(two_seeds[1], tmp_path / "other", change))
    assert {pair.arms[0]: pair.claim is not None for pair in pairs} == {
        UNTUNED: True,
        "sequential": False,
        "isolated": False,
    }


def other_items(values):
    for split in values["splits"]:
        split["sha256"] = "2" * 64


def other_labels(values):
    values["tasks"][0]["labels"].reverse()
    values["tasks"][1]["labels"].reverse()


def other_seeds(values):
    values["experiment"]["seeds"] = [7, 8]


@pytest.mark.parametrize(
    ("change", "reason"),
    [(other_items, OTHER_ITEMS), (other_labels, OTHER_LABELS), (other_seeds, NO_RUN)],
    ids=["items", "labels", "runs"],
)
def test_what_cannot_be_paired_says_why(two_seeds, tmp_path, change, reason):
    pairs = compare(two_seeds[0], changed(two_seeds[1], tmp_path / "other", change))
    assert pairs and all(pair.reason == reason and pair.claim is None for pair in pairs)


def test_metrics_alone_are_not_paired(one_run, tmp_path):
    alone = shutil.copy(one_run[1] / "report_metrics.json", tmp_path)
    reasons = {pair.reason for pair in compare(one_run[0], alone)}
    assert reasons == {"the predictions or items of other are not at hand, so they are not paired"}


def test_edited_predictions_are_refused(one_run, tmp_path):
    copy = changed(one_run[1], tmp_path / "other", lambda values: None)
    file = copy / SECOND / "predictions" / "pubmedqa.test.csv"
    file.write_text(file.read_text() + "\n")
    with pytest.raises(InputError, match=r"pubmedqa\.test\.csv: does not match its receipt"):
        compare(one_run[0], copy)


def test_fewer_than_two_experiments_are_refused(one_run):
    with pytest.raises(InputError, match="one experiment cannot be compared; name two or more"):
        load_experiments(one_run[:1])
    with pytest.raises(InputError, match="named 2 times; name different results"):
        load_experiments([one_run[0], one_run[0] / "report_metrics.json"])
