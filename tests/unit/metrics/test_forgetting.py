"""Paired changes, learning, forgetting and flips, each against an independent computation."""

import csv

import numpy as np
import pytest
from sklearn import metrics as sk
from statsmodels.stats.contingency_tables import mcnemar

from stagewise.measures import measures_of
from stagewise.metrics.bootstrap import Bootstrap, draw_weights, expanded_tail
from stagewise.metrics.decision_rules import DecisionRules
from stagewise.metrics.forgetting import PairedChanges, compare_scores, count_pairs
from stagewise.metrics.schema import BASELINES
from stagewise.metrics.scores import ScoreTable, resample_scores
from tests.helpers import fake_results as made
from tests.helpers.drawn_predictions import drawn, predictions
from tests.helpers.records import find

BASE, FIRST, SECOND = "base", "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
BLEND = f"{SECOND}/merged-blend-0.5"
ON_TEST = {"comparison": "paired", "before_split": "test"}


def changes(before, after, samples=100, confidence=0.95, seed=0):
    weights = draw_weights(len(before), samples, seed)
    scores = [resample_scores(given, weights) for given in (before, after)]
    return compare_scores(*scores, Bootstrap(samples, seed, confidence, []), before.units)


def right(folder, lineage):
    with open(folder / lineage / "predictions/pubmedqa.test.csv", encoding="utf-8", newline="") as handle:
        return np.array([row["prediction"] == row["label"] for row in csv.DictReader(handle)])


def test_differences_are_paired():
    """Every draw, written out as items and scored by scikit-learn before and after, gives the same interval."""
    before, after = drawn(60, 1), drawn(60, 2)
    after = predictions(before.gold, after.answer)
    differences = []
    for draw in draw_weights(60, 40, seed=3):
        items = np.repeat(np.arange(60), draw.astype(int))
        scores = []
        for given in (before, after):
            gold, answer = given.gold[items], given.answer[items]
            macro = sk.f1_score(gold, answer, labels=[0, 1, 2], average="macro", zero_division=0)
            scores.append((sk.accuracy_score(gold, answer), macro, sk.matthews_corrcoef(gold, answer)))
        differences.append(np.subtract(scores[1], scores[0]))
    found = changes(before, after, samples=40, confidence=0.9, seed=3)
    for name, theirs in zip(("accuracy", "macro_f1", "mcc"), np.transpose(differences), strict=True):
        tail = expanded_tail(60, 0.9)
        low, high = np.quantile(theirs, [tail, 1 - tail])
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_pairs_agree_with_statsmodels(seed):
    before, after = drawn(40, seed), drawn(40, seed + 100)
    after = predictions(before.gold, after.answer)
    found = count_pairs(before.right, after.right)
    wrong_both = int((~before.right & ~after.right).sum())
    table = [[found.right_both, found.lost], [found.gained, wrong_both]]
    assert sum(map(sum, table)) == 40
    assert found.lost == sum(b == g != a for g, b, a in zip(before.gold, before.answer, after.answer, strict=True))
    assert found.p == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-12)


def test_items_of_a_group_are_exchanged_together():
    """Six lost items of one post are one chance to lose a post."""
    before, after = np.ones(8, bool), np.array([False] * 6 + [True] * 2)
    assert count_pairs(before, after).p == pytest.approx(2 * 0.5**6)
    grouped = count_pairs(before, after, np.array([0] * 6 + [1, 1]))
    assert (grouped.lost, grouped.p) == (6, 1)


def test_unchanged_answers_have_no_difference():
    given = drawn()
    assert count_pairs(given.right, given.right).p == 1
    accuracy = changes(given, given)["accuracy"]
    assert (accuracy.value, accuracy.low, accuracy.high) == (0, None, None)


def test_other_items_are_no_pairs():
    with pytest.raises(ValueError, match="same items"):
        changes(predictions([0, 1], [0, 1]), predictions([1, 0], [0, 1]))


def test_forgetting_recomputed_from_the_csv(small):
    folder, _, report = small
    record = find(report.forgetting, **ON_TEST)
    assert (record.before_lineage, record.after_lineage) == (FIRST, SECOND)
    before, after = (right(folder, lineage) for lineage in (FIRST, SECOND))
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    assert (record.pairs.lost, record.pairs.gained) == (lost, gained)
    assert record.pairs.p == pytest.approx(mcnemar([[0, lost], [gained, 0]], exact=True).pvalue, abs=1e-12)
    assert record.changes["accuracy"].value == pytest.approx(after.mean() - before.mean(), abs=1e-12)


def test_a_change_is_the_difference_of_two_scores(one):
    _, report = one
    for record in report.forgetting:
        sides = ((record.before_lineage, record.before_split), (record.after_lineage, record.after_split))
        before, after = (
            find(report.scores, lineages=[lineage], task=record.task, split=split, rule="argmax").measures
            for lineage, split in sides
        )
        for name in measures_of("classification"):
            assert record.changes[name].value == pytest.approx(after[name].value - before[name].value)


def test_learning_compares_with_the_base_model_and_every_baseline(small):
    folder, _, report = small
    for lineage, task in ((FIRST, "pubmedqa"), (SECOND, "dreaddit")):
        records = [r for r in report.learning if (r.lineage, r.task, r.split) == (lineage, task, "test")]
        assert [record.against for record in records] == [BASE, *BASELINES]
    found = find(report.learning, lineage=FIRST, task="pubmedqa", split="test", against=BASE)
    difference = right(folder, FIRST).mean() - right(folder, BASE).mean()
    assert found.changes["accuracy"].value == pytest.approx(difference, abs=1e-12)


def test_the_published_comparison_is_marked_and_has_no_interval(small):
    _, _, report = small
    record = find(report.forgetting, comparison="published")
    assert (record.before_split, record.after_split) == ("test", "validation")
    assert record.pairs is None
    assert all(change.low is None and change.reason for change in record.changes.values())


def test_flips_name_the_items(one):
    results, report = one
    found = find(report.flips, arm="blend-0.5")
    assert (found.task, found.split, found.after_lineage) == ("pubmedqa", "test", BLEND)
    before, after = (results.predictions[lineage, "pubmedqa", "test"].right for lineage in (FIRST, BLEND))
    ids = [item["id"] for item in results.items_of(BLEND, "pubmedqa", "test")]
    assert found.lost == [i for i, b, a in zip(ids, before, after, strict=True) if b and not a]
    assert found.gained == [i for i, b, a in zip(ids, before, after, strict=True) if a and not b]
    pairs = find(report.forgetting, arm="blend-0.5", **ON_TEST).pairs
    assert (len(found.lost), len(found.gained)) == (pairs.lost, pairs.gained)


def test_an_adapter_per_task_forgets_nothing(one):
    _, report = one
    records = [record for record in report.forgetting if (record.arm, record.comparison) == ("isolated", "paired")]
    assert {(r.before_lineage == r.after_lineage, r.pairs.lost, r.pairs.gained) for r in records} == {(True, 0, 0)}
    assert all(not record.lost and not record.gained for record in report.flips if record.arm == "isolated")


def test_a_task_learnt_again_starts_a_new_count(tmp_path):
    stages = [{"task": "pubmedqa"}, {"task": "dreaddit"}]
    again = [*stages, {"task": "pubmedqa", "name": "again"}, {"task": "dreaddit", "name": "later"}]
    sizes = {"train": 40, "validation": 20, "test": 30}
    arms = {"sequential": {"stages": stages}, "again": {"stages": again}, "reverse": {"stages": stages[::-1]}}
    overlay = {"seeds": [0, 1], "arms": arms, "evaluation": {"splits": ["test"]}}
    results, report = made.experiment(tmp_path, sizes, statistics={"bootstrap_samples": 100}, **overlay)
    assert len(report.adapters) == 2 * 6
    assert find(report.adapters, lineage=FIRST).arms == ["sequential", "again"]
    by_seed = {0: [], 1: []}
    for record in report.forgetting:
        by_seed[record.seed].append((record.task, record.before_stage, record.after_stage))
    expected = [
        ("pubmedqa", 1, 2),
        ("pubmedqa", 1, 2),
        ("dreaddit", 2, 3),
        ("pubmedqa", 3, 4),
        ("dreaddit", 1, 2),
    ]
    assert by_seed == {0: expected, 1: expected}
    assert {score.rule for score in report.scores} == {"argmax", "batch-calibrated", "contextual"}
    reasons = {record.log_loss_fitted.reason for record in report.discrimination}
    assert reasons == {"the validation split was not scored"}
    assert [entry.reason for entry in report.omitted] == [
        "evaluation.splits leaves out validation",
        "they are fitted on validation, which evaluation.splits leaves out",
    ]


def test_only_answers_to_the_same_items_are_compared():
    given = {(name, "task", "test"): predictions([0, 1], [0, 0]) for name in ("one", "two", "three")}
    table = ScoreTable(given, DecisionRules(given, {}, {}), Bootstrap(100, 0, 0.95, ["task"]))
    sums = {("one", "task", "test"): "a", ("two", "task", "test"): "a", ("three", "task", "test"): "b"}
    changes = PairedChanges(table, sums)
    assert changes("one", "two", "task", "test").pairs.right_both == 1
    assert changes("one", "three", "task", "test") is None, "other items"
    assert changes("one", "four", "task", "test") is None, "no answers"
