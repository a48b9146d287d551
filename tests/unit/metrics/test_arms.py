"""Arms over their runs: the matrix measures, what is compared, and the tests behind it."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from stagewise.measures import MEASURES
from stagewise.metrics.bootstrap import NO_SPREAD
from stagewise.metrics.forgetting import count_pairs
from stagewise.metrics.schema import RULES
from stagewise.metrics.significance import holm
from tests.helpers import fake_results as made
from tests.helpers.records import find

FIRST, SECOND = "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
MAIN = {"rule": "argmax", "split": "test"}
SCORES = {
    "accuracy": accuracy_score,
    "macro_f1": lambda g, a: f1_score(g, a, labels=[0, 1, 2], average="macro", zero_division=0),
}


def bounds(value):
    return value.low, value.high


def score(report, lineage, task):
    return find(report.scores, lineages=[lineage], task=task, **MAIN).measures


def test_one_run_equals_the_paired_bootstrap(one):
    results, report = one
    forgotten = find(report.forgetting, arm="sequential", comparison="paired", after_split="test")
    task = find(report.arm_tasks, arm="sequential", task="pubmedqa", **MAIN)
    summary = find(report.arm_summaries, arm="sequential", **MAIN)
    assert set(task.change) == set(MEASURES)
    for name, change in forgotten.changes.items():
        assert task.change[name].value == pytest.approx(change.value)
        assert bounds(task.change[name]) == pytest.approx(bounds(change))
        assert task.change[name].runs is None
        assert summary.backward_transfer[name] == task.change[name]
    answers = [results.predictions[lineage, "pubmedqa", "test"] for lineage in (FIRST, SECOND)]
    for name, function in SCORES.items():
        theirs = stats.bootstrap(
            tuple(column for given in answers for column in (given.gold, given.answer)),
            lambda g, a, h, b: function(h, b) - function(g, a),  # noqa: B023
            paired=True,
            vectorized=False,
            n_resamples=1000,
            method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval
        assert bounds(task.change[name]) == pytest.approx((theirs.low, theirs.high), abs=0.02)


@pytest.mark.parametrize("name", MEASURES)
def test_forgetting_is_positive_whichever_way_is_better(one, name):
    _, report = one
    summary = find(report.arm_summaries, arm="sequential", **MAIN)
    before, after = (score(report, lineage, "pubmedqa")[name].value for lineage in (FIRST, SECOND))
    lost = before - after if MEASURES[name].higher_is_better else after - before
    assert lost > 0
    assert summary.forgetting[name].value == pytest.approx(lost)


def test_summaries_from_the_matrix(three):
    _, report = three
    summary = find(report.arm_summaries, arm="rehearsal-10", **MAIN)
    steps = {(step.seed, step.stage): step.answers for step in report.arms if step.arm == "rehearsal-10"}

    def cell(seed, stage, task, name):
        return score(report, steps[seed, stage][task], task)[name].value

    for name in MEASURES:
        average = [np.mean([cell(seed, 2, task, name) for task in ("pubmedqa", "dreaddit")]) for seed in range(3)]
        assert summary.average[name].value == pytest.approx(np.mean(average))
        assert summary.average[name].runs == 3
        forward = [cell(seed, 1, "dreaddit", name) - cell(seed, 0, "dreaddit", name) for seed in range(3)]
        assert summary.forward_transfer[name].value == pytest.approx(np.mean(forward))


def test_an_adapter_per_task_has_no_backward_transfer(three):
    _, report = three
    transfer = find(report.arm_summaries, arm="isolated", **MAIN).backward_transfer["accuracy"]
    assert (transfer.value, transfer.reason) == (0, NO_SPREAD)


def test_all_tasks_at_once_have_nothing_to_forget(three):
    _, report = three
    summary = find(report.arm_summaries, arm="multitask", **MAIN)
    assert summary.average["accuracy"].value is not None
    for values in (summary.backward_transfer, summary.forgetting, summary.forward_transfer):
        assert values["accuracy"].value is None and values["accuracy"].reason
    assert not [record for record in report.forgetting if record.arm == "multitask"]
    learnt = {(r.task, r.lineage) for r in report.learning if r.lineage.endswith("seed-0/pubmedqa+dreaddit")}
    assert learnt == {(task, "base/seed-0/pubmedqa+dreaddit") for task in ("pubmedqa", "dreaddit")}


def test_comparisons_are_paired_over_items_and_runs(three):
    results, report = three
    record = find(report.arm_comparisons, arm="rehearsal-10", task="pubmedqa", **MAIN).measures["accuracy"]
    sides = [[f"base/seed-{s}/pubmedqa/dreaddit{suffix}" for s in range(3)] for suffix in ("+rehearsal-10", "")]
    right = [
        np.array([results.predictions[lineage, "pubmedqa", "test"].right for lineage in side], float) for side in sides
    ]
    difference = (right[0] - right[1]).mean(0)
    assert record.difference.value == pytest.approx(difference.mean())
    error = difference.std() / np.sqrt(len(difference))
    assert (record.items.high - record.items.low) / 2 == pytest.approx(1.96 * error, rel=0.15)
    assert record.training.low < record.difference.value < record.training.high
    theirs = stats.permutation_test(
        (difference, np.zeros_like(difference)),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9_999,
        rng=np.random.default_rng(0),
    ).pvalue
    assert (record.test, record.p) == ("permutation", pytest.approx(theirs, abs=0.01))
    others = {
        c.arm: c.measures["accuracy"]
        for c in report.arm_comparisons
        if (c.rule, c.split, c.task) == ("argmax", "test", "pubmedqa")
    }
    assert set(others) == set(made.ARMS) - {"sequential"}
    assert [c.p_holm for c in others.values()] == pytest.approx(holm([c.p for c in others.values()]))


def test_comparisons_of_one_run_go_by_mcnemar(one):
    results, report = one
    for rule in RULES:
        keys = {"arm": "multitask", "rule": rule, "split": "test"}
        record = find(report.arm_comparisons, task="dreaddit", **keys)
        assert record.measures["accuracy"].test == "mcnemar"
        assert record.measures["accuracy"].items is None
        if rule == "argmax":
            ours = results.predictions["base/seed-0/pubmedqa+dreaddit", "dreaddit", "test"]
            theirs = results.predictions[SECOND, "dreaddit", "test"]
            expected = count_pairs(theirs.right, ours.right).mcnemar_p
            assert record.measures["accuracy"].p == pytest.approx(expected)
        assert all(record.measures[name].p is None for name in MEASURES if name != "accuracy")
        assert find(report.arm_comparisons, task=None, **keys).measures["accuracy"].p is None


def test_claims_follow_their_grounds(one, three):
    for _, report in (one, three):
        records = [(name, m) for c in report.arm_comparisons for name, m in c.measures.items()]
        assert {"better", "no measurable difference"} <= {record.claim for _, record in records}
        for name, record in records:
            low, high = bounds(record.difference)
            if not MEASURES[name].higher_is_better and low is not None:
                low, high = -high, -low
            significant = record.p_holm is None or record.p_holm < 0.05
            assert (record.claim == "better") == (low is not None and low > 0 and significant)
            assert (record.claim == "worse") == (high is not None and high < 0 and significant)


def test_folds_with_other_items_are_not_averaged(folded):
    _, _, report = folded
    assert {summary.split for summary in report.arm_summaries} == {"test"}
    assert find(report.arm_summaries, arm="sequential", **MAIN).average["accuracy"].runs == 2
    assert "statistics of arms on validation" in [entry.what for entry in report.omitted]
    assert not [score for score in report.scores if score.split == "validation" and len(score.lineages) > 1]


def test_only_validation_of_folds_leaves_arms_out(tmp_path):
    from tests.unit.metrics.conftest import FOLDS, SIZES

    overlay = {"evaluation": {"splits": ["validation"]}, "statistics": {"bootstrap_samples": 100}, **FOLDS}
    _, report = made.experiment(tmp_path, SIZES, **overlay)
    assert report.arm_summaries == report.arm_tasks == report.arm_comparisons == []
    assert all(len(score.lineages) == 1 for score in report.scores)
