"""Arms over their runs: the matrix measures, what is compared, and the tests behind it."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from benchmarks.claims import Cell, simulate
from stagewise.lineage import steps_of_arm
from stagewise.measures import MEASURES, measures_of
from stagewise.metrics.bootstrap import NO_SPREAD
from stagewise.metrics.build import _runs
from stagewise.metrics.crossed import Runs
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
    assert set(task.change) == set(measures_of("classification"))
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


@pytest.mark.parametrize("name", measures_of("classification"))
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

    for name in measures_of("classification"):
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
    right = right_after_last_stage(results)
    by_item = (right["rehearsal-10"] - right["sequential"]).mean(0)
    assert record.difference.value == pytest.approx(by_item.mean())
    half = stats.t(len(by_item) - 1).ppf(0.975) * by_item.std() / np.sqrt(len(by_item))
    assert (record.items.high - record.items.low) / 2 == pytest.approx(half, rel=0.05)
    assert record.items.value is record.training.value is None
    assert set(c.arm for c in report.arm_comparisons) == set(made.ARMS) - {"sequential"}


def right_after_last_stage(results):
    """Right answers on pubmedqa by arm, shape (runs, items), as numbers."""
    right = {}
    for arm in made.ARMS:
        runs = [steps_of_arm(results.config, arm, seed)[-1].answered_by["pubmedqa"] for seed in results.config.seeds]
        right[arm] = np.array([results.predictions[name, "pubmedqa", "test"].right for name in runs], float)
    return right


def test_arms_tell_the_noise_between_runs_together():
    """The run component of every difference is that of a randomized block design of arms and runs."""
    drawn = simulate(Cell(arms=5, items=100, runs=3, noise=5), seed=0)
    right = {
        arm: np.array([drawn.predictions[f"run-{run}/{arm}", "second", "test"].right for run in range(3)]).astype(int)
        for arm in (f"arm-{n}" for n in range(5))
    }
    table = np.array([answers.mean(1) for answers in right.values()])
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    shared = 2 * (rest**2).sum() / ((len(table) - 1) * 2)
    spreads = drawn.scores(0).differences([*right][1:], "arm-0", "argmax", "accuracy", "second")
    for arm, spread in spreads.items():
        difference = right[arm] - right["arm-0"]
        chance = (difference - difference.mean(0)).var(1).mean() * 3 / 2 / 100
        items, training = difference.mean(0).var() / 100, (shared - chance) / 3
        assert training > 0
        assert spread.value.training_share == pytest.approx(training / (items + training), abs=0.05)
        assert spread.error.training_df == (len(table) - 1) * 2


def test_a_comparison_of_one_run_has_the_interval_of_its_items(one):
    _, report = one
    for comparison in report.arm_comparisons:
        for record in comparison.measures.values():
            assert record.items is record.training is None and record.difference.runs is None


def test_folds_tell_how_far_their_training_items_overlap(folded, three):
    """Held-out items over training items; tasks without folds have nothing to share."""
    _, results, _ = folded
    assert _runs(results) == Runs(2, pytest.approx(40 / 60))
    assert _runs(three[0]) == Runs(1, 0)


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
