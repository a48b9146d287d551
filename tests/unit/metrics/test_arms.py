"""Arms over their runs: what an interval is made of, what is compared, and what is claimed."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from stagewise.metrics import paired
from stagewise.metrics.arm_comparisons import claim_difference
from stagewise.metrics.build import build
from stagewise.metrics.intervals import NO_SPREAD
from stagewise.metrics.read_results import read_run
from stagewise.metrics.schema import RULES, Interval, Spread
from stagewise.metrics.significance import holm
from stagewise.metrics.spread import ONE_RUN, no_spread, spread
from tests.helpers import fake_results as made

SIZES = {"train": 60, "validation": 40, "test": 120}
SAMPLES = {"bootstrap_samples": 1000}


LINEAGES = "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
SCORES = {
    "accuracy": accuracy_score,
    "macro_f1": lambda g, a: f1_score(g, a, labels=[0, 1, 2], average="macro", zero_division=0),
}


def find(records, **keys):
    found = [r for r in records if all(getattr(r, key) == value for key, value in keys.items())]
    assert len(found) == 1, f"{len(found)} records for {keys}"
    return found[0]


def experiment(folder, **overlay):
    settings = made.config(**{"statistics": SAMPLES, "arms": made.ARMS} | overlay)
    run = read_run(settings, made.write_results(folder, settings, sizes=SIZES))
    return run, build(run)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return experiment(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return experiment(tmp_path_factory.mktemp("three"), seeds=[0, 1, 2], evaluation={"splits": ["test"]})


def bounds(interval):
    return interval.low, interval.high


def shares(samples, runs, seed=0):
    return np.random.default_rng(seed).multinomial(runs, np.full(runs, 1 / runs), size=samples) / runs


def test_runs_without_difference_leave_item_noise_alone():
    draws = np.tile(np.random.default_rng(0).normal(0.1, 0.02, 1000), (3, 1))
    found = spread(np.full(3, 0.1), draws, shares(1000, 3), 0.95)
    assert bounds(found.both) == pytest.approx(bounds(found.items))
    assert (found.training.low, found.training.reason, found.training_share) == (None, NO_SPREAD, 0)


def test_items_without_influence_leave_training_noise_alone():
    values = np.array([0.1, 0.2, 0.4, 0.15, 0.3])
    found = spread(values, np.tile(values[:, None], (1, 20000)), shares(20000, 5), 0.95)
    assert (found.items.low, found.training_share) == (None, 1)
    assert bounds(found.both) == pytest.approx(bounds(found.training))
    assert found.value == pytest.approx(values.mean())
    assert found.values == values.tolist()


def test_training_noise_of_many_runs_is_students_interval():
    values = np.random.default_rng(3).normal(0.2, 0.05, 12)
    found = spread(values, np.tile(values[:, None], (1, 50000)), shares(50000, 12), 0.9)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert bounds(found.training) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_both_adds_the_variances():
    rng = np.random.default_rng(1)
    values = rng.normal(0.5, 0.05, 40)
    draws = values[:, None] + rng.normal(0, 0.02, (1, 20000))
    found = spread(values, draws, shares(20000, 40), 0.95)
    error = np.hypot(values.std(ddof=1) / np.sqrt(40), 0.02)
    assert (found.both.high - found.both.low) / 2 == pytest.approx(1.96 * error, rel=0.05)
    assert found.training_share == pytest.approx(values.var(ddof=1) / 40 / error**2, abs=0.05)


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_few_runs_do_not_promise_too_much(runs):
    """The interval over items and runs holds the truth about as often as it says, however few the runs."""
    rng, held = np.random.default_rng(runs), []
    for _ in range(400):
        items = rng.normal(0, 0.02)
        values = items + rng.normal(0, 0.03, runs)
        draws = values[:, None] + rng.normal(0, 0.02, 400)
        both = spread(values, draws, shares(400, runs, int(rng.integers(1e9))), 0.9).both
        held.append(both.low < 0 < both.high)
    assert np.mean(held) > 0.86


def test_a_score_stays_a_share():
    values = np.array([1.0, 0.8])
    found = spread(values, np.tile(values[:, None], (1, 100)), shares(100, 2), 0.99, least=0)
    assert found.both.high == found.training.high == 1


def test_one_run_equals_the_paired_bootstrap(one):
    run, report = one
    for arm in made.ARMS:
        found = find(report.arm_tasks, arm=arm, task="pubmedqa", split="test", rule="argmax", measure="macro_f1")
        assert bounds(found.final.both) == bounds(found.final.items)
        assert (found.final.training.reason, found.final.training_share) == (ONE_RUN, None)
    gold, answer = (
        {x: getattr(run.answers[x, "pubmedqa", "test"], name) for x in LINEAGES} for name in ("gold", "answer")
    )
    forgotten = find(report.forgetting, arm="sequential", comparison="paired", after_split="test")
    for change in forgotten.changes:
        keys = {"arm": "sequential", "split": "test", "rule": "argmax", "measure": change.measure, "task": "pubmedqa"}
        found = find(report.arm_tasks, **keys).change
        assert found.value == pytest.approx(change.difference.value)
        assert bounds(found.items) == pytest.approx((change.difference.low, change.difference.high))
        theirs = stats.bootstrap(
            tuple(column[lineage] for lineage in LINEAGES for column in (gold, answer)),
            lambda g, a, h, b: SCORES[change.measure](h, b) - SCORES[change.measure](g, a),  # noqa: B023
            paired=True,
            vectorized=False,
            n_resamples=1000,
            method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval
        assert bounds(found.items) == pytest.approx((theirs.low, theirs.high), abs=0.02)
        summary = find(report.arm_summaries, **{k: v for k, v in keys.items() if k != "task"})
        assert summary.backward_transfer == found
        assert summary.forgetting.value == pytest.approx(-found.value)


def test_summaries_from_the_matrix(three):
    _, report = three
    for measure in ("accuracy", "macro_f1"):
        cells = {(c.arm, c.seed, c.stage, c.task): getattr(c, measure) for c in report.matrix if c.split == "test"}
        found = find(report.arm_summaries, arm="rehearsal-10", rule="argmax", measure=measure, split="test")
        tasks = ("pubmedqa", "dreaddit")
        average = [np.mean([cells["rehearsal-10", seed, 2, task] for task in tasks]) for seed in range(3)]
        assert found.average.values == pytest.approx(average)
        assert found.average.value == pytest.approx(np.mean(average))
        forward = [cells["rehearsal-10", s, 1, "dreaddit"] - cells["rehearsal-10", s, 0, "dreaddit"] for s in range(3)]
        assert found.forward_transfer.values == pytest.approx(forward)


def test_an_adapter_per_task_forgets_nothing(three):
    _, report = three
    summary = find(report.arm_summaries, arm="isolated", rule="argmax", measure="accuracy", split="test")
    assert (summary.backward_transfer.value, summary.backward_transfer.both.reason) == (0, NO_SPREAD)
    record = [f for f in report.forgetting if f.arm == "isolated"]
    assert {(f.before_lineage == f.after_lineage, f.pairs.lost, f.pairs.gained) for f in record} == {(True, 0, 0)}
    assert all(not f.lost and not f.gained for f in report.flips if f.arm == "isolated")


def test_all_tasks_at_once_have_nothing_to_forget(three):
    _, report = three
    summary = find(report.arm_summaries, arm="multitask", rule="argmax", measure="accuracy", split="test")
    assert summary.average.value is not None
    for name in ("backward_transfer", "forgetting", "forward_transfer"):
        assert getattr(summary, name).value is None
        assert getattr(summary, name).reason
    assert not [f for f in report.forgetting if f.arm == "multitask"]
    learnt = {(r.task, r.lineage) for r in report.learning if "multitask" in r.arms and r.seed == 0}
    assert learnt == {(task, "base/seed-0/pubmedqa+dreaddit") for task in ("pubmedqa", "dreaddit")}


def test_comparisons_are_paired_over_items_and_runs(three):
    run, report = three
    found = find(
        report.arm_comparisons, arm="rehearsal-10", rule="argmax", measure="accuracy", split="test", task="pubmedqa"
    )
    rehearsed = [f"base/seed-{s}/pubmedqa/dreaddit+rehearsal-10" for s in range(3)]
    sequential = [f"base/seed-{s}/pubmedqa/dreaddit" for s in range(3)]
    right = [
        np.array([run.answers[x, "pubmedqa", "test"].right for x in side], float) for side in (rehearsed, sequential)
    ]
    difference = (right[0] - right[1]).mean(0)
    assert found.difference.value == pytest.approx(difference.mean())
    error = difference.std() / np.sqrt(len(difference))
    assert (found.difference.items.high - found.difference.items.low) / 2 == pytest.approx(1.96 * error, rel=0.15)
    theirs = stats.permutation_test(
        (difference, np.zeros_like(difference)),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9_999,
        rng=np.random.default_rng(0),
    ).pvalue
    assert (found.test, found.p) == ("permutation", pytest.approx(theirs, abs=0.01))
    others = [
        c
        for c in report.arm_comparisons
        if (c.rule, c.measure, c.split, c.task) == ("argmax", "accuracy", "test", "pubmedqa")
    ]
    assert {c.arm for c in others} == set(made.ARMS) - {"sequential"}
    assert [c.p_holm for c in others] == pytest.approx(holm([c.p for c in others]))


def test_comparisons_of_one_run_go_by_mcnemar(one):
    run, report = one
    for rule in RULES:
        keys = {"arm": "multitask", "rule": rule, "measure": "accuracy", "split": "test", "task": "dreaddit"}
        found = find(report.arm_comparisons, **keys)
        assert found.test == "mcnemar"
        if rule == "argmax":
            ours = run.answers["base/seed-0/pubmedqa+dreaddit", "dreaddit", "test"]
            theirs = run.answers["base/seed-0/pubmedqa/dreaddit", "dreaddit", "test"]
            assert found.p == pytest.approx(paired.pairs(theirs, ours).mcnemar_p)
        assert find(report.arm_comparisons, **keys | {"measure": "macro_f1"}).p is None
        assert find(report.arm_comparisons, **keys | {"task": None}).p is None


def test_claims_follow_their_grounds(one, three):
    for _, report in (one, three):
        claims = {c.claim for c in report.arm_comparisons}
        assert "better" in claims and "no measurable difference" in claims
        for c in report.arm_comparisons:
            low, high = bounds(c.difference.both)
            significant = c.p_holm is None or c.p_holm < 0.05
            assert (c.claim == "better") == (low is not None and low > 0 and significant)
            assert (c.claim == "worse") == (high is not None and high < 0 and significant)


@pytest.mark.parametrize(
    ("low", "high", "p", "claim", "reason"),
    [
        (0.01, 0.1, 0.01, "better", "above 0: accuracy +5.0 points [+1.0, +10.0]"),
        (0.01, 0.1, None, "better", "above 0"),
        (0.01, 0.1, 0.05, "no measurable difference", "does not confirm it (p = 0.05)"),
        (-0.1, -0.01, 0.01, "worse", "below 0"),
        (-0.01, 0.1, 0.001, "no measurable difference", "includes 0"),
    ],
)
def test_claims(low, high, p, claim, reason):
    interval = Interval(low=low, high=high)
    difference = Spread(
        value=0.05,
        runs=1,
        items=interval,
        training=Interval(reason=ONE_RUN),
        both=interval,
        training_share=None,
        values=[0.05],
    )
    found = claim_difference(difference, p, 0.05, "accuracy")
    assert found[0] == claim
    assert reason in found[1]


def test_no_interval_claims_nothing():
    same = spread(np.zeros(3), np.zeros((3, 100)), shares(100, 3), 0.95)
    assert claim_difference(same, 1.0, 0.05, "accuracy")[0] == "no measurable difference"
    constant = spread(np.ones(3), np.ones((3, 100)), shares(100, 3), 0.95)
    assert claim_difference(constant, None, 0.05, "accuracy")[0] == "not claimed"
    assert no_spread("why", 2).both.reason == "why"
