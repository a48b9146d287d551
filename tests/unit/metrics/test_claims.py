"""Claims: their tests, their correction and their verdicts."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.claims import MEASURES, Cell, run_cell, simulate
from stagewise.lineage import BASE
from stagewise.metrics.claims import NOT_LEARNT, SAME_ANSWERS, claim_records
from stagewise.metrics.prediction_table import AnswerFormat
from stagewise.metrics.schema import MAJORITY
from stagewise.metrics.significance import detectable_by_sign_flip, holm, sign_flip
from stagewise.metrics.task_measures import TaskMeasures
from tests.helpers import fake_results as made
from tests.helpers.constructed_studies import study
from tests.helpers.records import find

FIRST, SECOND = "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
BOTH = [made.FIRST, made.SECOND]
PAIR = {"sequential": {"stages": BOTH}, "other": {"stages": [made.FIRST, made.SECOND | {"name": "other"}]}}


@pytest.mark.parametrize("runs", ["one", "three"])
def test_all_claims_of_a_report_are_one_family(runs, request):
    _, report = request.getfixturevalue(runs)
    assert {claim.kind for claim in report.claims} == {"learnt", "kept", "retained", "arms"}
    assert [c.p_corrected for c in report.claims] == pytest.approx(holm([c.p for c in report.claims]))
    assert {"better", "not shown"} <= {claim.verdict for claim in report.claims}
    for claim in report.claims:
        low, high = claim.difference.low, claim.difference.high
        shown = claim.p_corrected < 0.05 and low is not None and (low > 0 or high < 0)
        assert shown == (claim.verdict in ("better", "worse") or claim.reason == NOT_LEARNT)


def test_one_run_has_the_exact_test_over_items(one):
    results, report = one
    for claim in report.claims:
        ours, theirs = (results.predictions.get((names[0], claim.task, "test")) for names in sides(claim))
        if theirs is None:
            continue
        lost, gained = int((theirs.right & ~ours.right).sum()), int((ours.right & ~theirs.right).sum())
        expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1
        assert (claim.test, claim.p) == ("sign-flip", pytest.approx(expected))
        assert claim.difference.value == pytest.approx((gained - lost) / len(ours))


def sides(claim):
    return claim.lineages, claim.against_lineages


def test_several_runs_need_both_tests():
    """Student's t over items and runs, and the exact test over items: the larger p-value stands."""
    drawn = simulate(Cell(arms=4, items=80, runs=3, noise=4, effect=0.15), seed=0)
    larger = []
    scores = drawn.scores(0)
    for claim in claim_records(scores, dict.fromkeys(scores.steps, "arm-0"), MEASURES, 0):
        ours, theirs = ([drawn.predictions[n, claim.task, "test"] for n in names] for names in sides(claim))
        exact = sign_flip(sum(a.right.astype(int) - b.right.astype(int) for a, b in zip(ours, theirs, strict=True)))
        assert claim.test == "crossed" and claim.p >= exact - 1e-12
        if claim.p > exact + 1e-9:
            # The interval is the t-test's: where a bound is 0 its p-value is 5 %.
            value = claim.difference
            assert (claim.p < 0.05) == (value.low > 0 or value.high < 0)
        larger.append("t" if claim.p > exact + 1e-9 else "exact")
    assert set(larger) == {"t", "exact"}


def claims_of(right, arms=PAIR, primary="accuracy", outcome="tasks", references=None, **more):
    references = dict.fromkeys(arms, "sequential") | (references or {})
    arms_scored = study(right, arms, **more)
    measures = TaskMeasures.alike(arms_scored.tasks, AnswerFormat(["no", "yes"], own=primary))
    return claim_records(arms_scored, references, measures, 0, outcome)


def constant(shares: dict, items=100):
    """Answers that are right on the first items, alternating over both labels; the share by lineage and task."""
    order = np.argsort(np.arange(items) % 2 * items + np.arange(items), kind="stable")

    def right(lineage, task):
        mask = np.zeros(items, bool)
        mask[order[: round(items * shares.get((lineage, task), 0.5))]] = True
        return mask

    return right


def test_a_primary_measure_without_an_exact_test_is_exchanged():
    right = constant({(FIRST, "pubmedqa"): 0.9, (SECOND, "pubmedqa"): 0.6})
    claims = claims_of(right, primary="macro_f1")
    tests = {(c.measure, c.test) for c in claims}
    assert tests == {("accuracy", "sign-flip"), ("macro_f1", "exchange")}
    kept = find(claims, kind="kept", task="pubmedqa", lineages=[SECOND])
    assert (kept.measure, kept.verdict) == ("macro_f1", "worse")


def test_four_lost_items_and_none_gained_are_not_forgetting():
    """The percentile interval leaves 0 out, and the exact test says 12.5 %."""
    claims = claims_of(constant({(FIRST, "pubmedqa"): 0.9, (SECOND, "pubmedqa"): 0.86}))
    kept = find(claims, kind="kept", task="pubmedqa", lineages=[SECOND])
    assert kept.difference.value == pytest.approx(-0.04) and kept.difference.high < 0
    assert (kept.p, kept.verdict) == (pytest.approx(0.125), "not shown")
    assert find(claims, kind="learnt", task="pubmedqa", against=MAJORITY, lineages=[FIRST]).verdict == "better"


@pytest.mark.parametrize(("learnt", "verdict", "reason"), [(0.9, "worse", None), (0.52, "not claimed", NOT_LEARNT)])
def test_a_loss_is_forgetting_only_of_what_was_learnt(learnt, verdict, reason):
    claims = claims_of(constant({(FIRST, "pubmedqa"): learnt, (SECOND, "pubmedqa"): 0.2}))
    kept = find(claims, kind="kept", task="pubmedqa", lineages=[SECOND])
    assert (kept.verdict, kept.reason) == (verdict, reason)
    assert kept.p_corrected < 0.05 and kept.difference.high < 0
    # The gate is of losses alone.
    claims = claims_of(constant({(FIRST, "pubmedqa"): 0.3, (SECOND, "pubmedqa"): 0.9}))
    assert find(claims, kind="kept", task="pubmedqa", lineages=[SECOND]).verdict == "better"


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_the_same_answers_show_nothing(seeds):
    claims = claims_of(constant({}), seeds=seeds)
    kept = find(claims, kind="kept", task="pubmedqa", arms=["sequential"])
    assert (kept.difference.value, kept.difference.low, kept.p) == (0, None, 1)
    assert (kept.verdict, kept.reason, kept.detectable) == ("not shown", SAME_ANSWERS, None)


def test_a_difference_without_any_spread_is_not_claimed():
    right = constant({(name, "pubmedqa"): 1.0 for name in (FIRST, SECOND)} | {(BASE, "pubmedqa"): 0.0})
    learnt = find(claims_of(right), kind="learnt", task="pubmedqa", against=BASE, lineages=[FIRST])
    assert (learnt.difference.value, learnt.verdict) == (1, "not claimed") and "No interval" in learnt.reason


def test_without_a_score_nothing_is_claimed():
    claims = claims_of(constant({}), primary="brier")
    arm = find(claims, kind="arms", task="pubmedqa")
    assert (arm.p, arm.p_corrected, arm.verdict) == (None, None, "not claimed")
    assert arm.reason == "No score: no label probabilities."
    tested = [claim for claim in claims if claim.p is not None]
    assert {claim.against for claim in tested} == {MAJORITY}
    assert [claim.p_corrected for claim in tested] == holm([claim.p for claim in tested])


def test_three_seeds_find_ten_points():
    """150 items: resampling the runs as well gave intervals twice as wide, which nearly always held 0."""
    studies = run_cell(Cell(arms=4, items=150, runs=3, noise=0, effect=0.10), studies=10, seed=0)
    assert np.mean(studies.found) >= 0.4 > 0.2 >= np.mean(studies.earlier_found)


def test_detectable_differences_know_of_runs_and_of_all_claims():
    """Eight arms, three seeds, 80 items, training noise of 3 points: 8.5 points were printed."""
    studies = run_cell(Cell(arms=8, items=80, runs=3, noise=3), studies=6, seed=0, earlier=False)
    assert len(studies.detectable) == 6 * 2
    assert 0.17 < np.median(studies.detectable) < 0.26


def test_detectable_differences_go_by_holms_step_that_stopped_the_others():
    """Claims that are shown do not count: the last of one that is not is tested at the whole level."""
    shares = {(FIRST, "pubmedqa"): 0.9, (SECOND, "pubmedqa"): 0.86, (BASE, "pubmedqa"): 0.1, (BASE, "dreaddit"): 0.1}
    arms = {"sequential": {"stages": BOTH}}
    claims = claims_of(constant(shares | {(SECOND, "dreaddit"): 0.9}), arms=arms)
    (hidden,) = [claim for claim in claims if claim.verdict == "not shown"]
    assert hidden.kind == "kept" and len(claims) == 7
    assert hidden.detectable == pytest.approx(detectable_by_sign_flip(100, 0.88, 0.04, 0.05))


def test_groups_of_items_count_as_one_in_every_test():
    """Six items that one post loses are no evidence; as items that stand alone they would be."""
    lost = np.arange(100) >= 44

    def right(lineage, task):
        return lost if lineage == SECOND else np.arange(100) >= 38

    groups = np.concatenate([np.arange(38), np.full(6, 38), np.arange(39, 95)])
    alone, grouped = (
        find(claims_of(right, groups=given), kind="kept", task="pubmedqa", lineages=[SECOND])
        for given in (None, groups)
    )
    assert (alone.difference.value, grouped.difference.value) == (pytest.approx(-0.06),) * 2
    assert (alone.p, grouped.p) == (pytest.approx(2 * 0.5**6), 1)
    assert grouped.difference.low < alone.difference.low and grouped.difference.high == 0
    assert grouped.detectable > alone.detectable


@pytest.mark.parametrize("runs", [1, 3])
def test_studies_without_any_difference_in_the_mean_over_tasks_claim_one_in_few(runs):
    cell = Cell(arms=3, items=60, runs=runs, noise=3 * (runs > 1), outcome="average")
    null = run_cell(cell, studies=150, seed=0, earlier=False)
    assert 0 < np.sum(null.false) and np.mean(null.false) < 0.05
    assert 0.93 < np.mean(null.covered) < 0.98


def test_the_mean_over_tasks_is_claimed_where_neither_task_is():
    """Seven items of 100 gained on each task, and none lost."""
    other = f"{FIRST}/other"
    right = constant({(other, task): 0.57 for task in ("pubmedqa", "dreaddit")})
    by_task, average = claims_of(right), claims_of(right, outcome="average")
    assert {c.verdict for c in by_task if c.kind == "arms"} == {"not shown"}
    (claim,) = [c for c in average if c.kind == "arms"]
    assert (claim.task, claim.lineages, claim.against, claim.verdict) == (None, [other], "sequential", "better")
    assert claim.difference.value == pytest.approx(0.07) and claim.test == "sign-flip"
    # All 14 signs are alike in one pattern, and in its mirror.
    assert claim.p == pytest.approx(2 * 0.5**14)
    assert len(average) < len(by_task) and {c.kind for c in average} == {"learnt", "kept", "arms"}


def test_the_claimed_mean_has_the_interval_of_the_comparison_of_arms():
    drawn = simulate(Cell(arms=3, items=80, runs=3, noise=4, effect=0.15), seed=1)
    scores = drawn.scores(0)
    references = dict.fromkeys(scores.steps, "arm-0")
    averages = claim_records(scores, references, MEASURES, 0, "average")
    spreads = scores.differences(["arm-1", "arm-2"], "arm-0", "argmax", "accuracy", None)
    means = {arm: c for c in averages if c.kind == "arms" for arm in c.arms}
    assert {arm: claim.difference for arm, claim in means.items()} == {a: s.value for a, s in spreads.items()}
    assert {claim.test for claim in means.values()} == {"crossed"}


def test_arms_of_one_reference_tell_their_noise_together():
    """An arm with another reference changes nothing of the others' intervals."""
    rng = np.random.default_rng(0)
    answers = {}

    def right(lineage, task):
        return answers.setdefault((lineage, task), rng.random(80) < 0.7)

    def renamed(name):
        return {"stages": [made.FIRST, made.SECOND | {"name": name}]}

    arms = {"sequential": {"stages": BOTH}, **{name: renamed(name) for name in ("one", "two", "three")}}
    more = {"arms": arms, "seeds": (0, 1, 2)}
    alone = claims_of(right, arms={name: arms[name] for name in ("sequential", "one")}, seeds=(0, 1, 2))
    split = claims_of(right, references={"two": "two", "three": "two"}, **more)
    against = {arm: c.against for c in split if c.kind == "arms" for arm in c.arms}
    assert against == {"one": "sequential", "three": "two"}
    for task in ("pubmedqa", "dreaddit"):
        assert find(split, kind="arms", arms=["one"], task=task).difference == (
            find(alone, kind="arms", arms=["one"], task=task).difference
        )
