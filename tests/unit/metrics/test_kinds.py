"""Tasks of other kinds than classification: their records, tests and claims, recomputed from the files alone."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from stagewise.config.yaml_files import merge
from stagewise.measures import MEASURES, TASK_SCORE, measures_of
from stagewise.metrics.build import flatten_metrics
from stagewise.metrics.design import Assumed, TaskItems, plan_of
from stagewise.metrics.item_tests import exchange_answers, p_over_items
from stagewise.metrics.prediction_table import Predictions
from stagewise.metrics.schema import MAJORITY, TFIDF, TFIDF_BALANCED, ReportMetrics
from stagewise.metrics.task_measures import TaskMeasures
from tests.helpers import fake_results as made
from tests.helpers import kinds_of_tasks
from tests.helpers.records import find

LAST = "base/seed-0/pubmedqa/topics/notes"
TOPICS_LEARNT = "base/seed-0/pubmedqa/topics"
SIZES = {"train": 60, "validation": 20, "test": 80}
TEST = {"split": "test", "rule": "argmax"}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """One run: folder, results, metrics."""
    folder = tmp_path_factory.mktemp("mixed")
    return folder, *made.experiment(
        folder, SIZES, **merge(kinds_of_tasks.MIXED, {"statistics": {"bootstrap_samples": 200}})
    )


def rows(folder, lineage, task):
    with open(folder / lineage / "predictions" / f"{task}.test.csv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def items(folder, task):
    lines = (folder / "data" / task / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def scored(mixed, task, lineage=LAST):
    return find(mixed[2].scores, lineages=[lineage], task=task, **TEST)


def test_each_task_has_the_measures_of_its_kind_and_its_own_as_task_score(mixed):
    _, results, report = mixed
    assert report.schema_version == 6 and report.experiment.primary_measure == TASK_SCORE
    measures = results.config.own_measures
    for score in report.scores:
        kind = results.config.active_tasks[score.task].kind
        assert list(score.measures) == [*measures_of(kind), TASK_SCORE]
        assert score.measures[TASK_SCORE] == score.measures[measures[score.task]]
    assert [measure.name for measure in report.measures] == [*MEASURES, TASK_SCORE]
    assert find(report.measures, name=TASK_SCORE).range == (0, 1)
    assert TaskMeasures.of_records(report) == results.measures
    assert ReportMetrics.model_validate_json(report.model_dump_json()) == report


def test_sets_of_labels_agree_with_scikit_learn(mixed):
    folder, _, _ = mixed
    words = ["sport", "politics", "arts"]
    gold = np.array([[word in item["labels"] for word in words] for item in items(folder, "topics")])
    given = rows(folder, LAST, "topics")
    answered = np.array([[word in row["prediction"].split(", ") for word in words] for row in given])
    valid = np.array([row["valid"] == "True" for row in given])
    assert 0 < (~valid).sum() and (~gold.any(1)).any()
    score, values = scored(mixed, "topics"), {}
    by_item = np.array([sk.jaccard_score(g, a, zero_division=1) for g, a in zip(gold, answered, strict=True)])
    values["jaccard"] = np.where(valid, by_item, 0).mean()
    values["subset_accuracy"] = ((gold == answered).all(1) & valid).mean()
    values["label_micro_f1"] = sk.f1_score(gold, answered, average="micro")
    values["label_macro_f1"] = sk.f1_score(gold, answered, average="macro")
    for name, value in values.items():
        entry = score.measures[name]
        assert entry.value == pytest.approx(value, abs=1e-12) and entry.low < entry.value < entry.high
    report = sk.classification_report(gold, answered, target_names=words, output_dict=True, zero_division=0)
    for label in score.labels:
        theirs = report[label.label]
        found = label.precision, label.recall.value, label.f1.value, label.support
        expected = theirs["precision"], theirs["recall"], theirs["f1-score"], theirs["support"]
        assert found == pytest.approx(expected)
    assert find(mixed[2].predictions, lineage=LAST, task="topics", split="test").invalid == (~valid).sum()


def test_texts_are_scored_as_their_files_say(mixed):
    folder, _, _ = mixed
    given = rows(folder, LAST, "notes")
    score = scored(mixed, "notes")
    for name in measures_of("generation"):
        assert score.measures[name].value == pytest.approx(np.mean([float(row[f"score:{name}"]) for row in given]))
    assert score.labels == []


def test_ranks_and_options_are_scored_as_labels(mixed):
    folder, _, report = mixed
    order = ["poor", "fair", "good", "great"]
    gold, answer = ([order.index(row[key]) for row in rows(folder, LAST, "grades")] for key in ("label", "prediction"))
    score = scored(mixed, "grades")
    kappa = sk.cohen_kappa_score(gold, answer, labels=range(4), weights="quadratic")
    assert score.measures["quadratic_kappa"].value == pytest.approx(kappa)
    assert score.measures["rank_error"].value == pytest.approx(sk.mean_absolute_error(gold, answer) / 3)
    # No rule answers an option that an item does not have.
    options = [item["options"] for item in items(folder, "quiz")]
    rules = [record.rule for record in report.scores if record.task == "quiz" and record.lineages == [LAST]]
    assert {"prior-adjusted", "batch-calibrated"} <= set(rules) and min(options) < 4
    assert {record.task for record in report.discrimination} == {"pubmedqa", "grades"}


def test_claims_are_about_each_tasks_own_measure(mixed):
    _, results, report = mixed
    measures = {
        "pubmedqa": "accuracy",
        "grades": "accuracy",
        "quiz": "accuracy",
        "topics": "jaccard",
        "notes": "token_f1",
    }
    assert {(claim.task, claim.measure) for claim in report.claims} == set(measures.items())
    kept = find(report.claims, kind="kept", task="topics", against="learnt", lineages=[LAST])
    after, before = (results.predictions[name, "topics", "test"] for name in (LAST, TOPICS_LEARNT))
    expected = scored(mixed, "topics").measures["jaccard"].value
    expected -= scored(mixed, "topics", TOPICS_LEARNT).measures["jaccard"].value
    assert kept.difference.value == pytest.approx(expected) and kept.test == "exchange"
    assert kept.p == p_over_items([(([after], [before]), MEASURES["jaccard"])], 0)[1]
    majority = find(report.claims, kind="learnt", task="notes", against=MAJORITY, lineages=[LAST])
    assert majority.verdict == "better"


def test_means_are_over_each_tasks_own_measure(mixed):
    _, results, report = mixed
    summary = find(report.arm_summaries, arm="sequential", rule="argmax")
    assert list(summary.average) == list(summary.backward_transfer) == [TASK_SCORE]
    measures = {"pubmedqa": "accuracy", "topics": "jaccard", "notes": "token_f1"}
    parts = [scored(mixed, task).measures[name].value for task, name in measures.items()]
    assert summary.average[TASK_SCORE].value == pytest.approx(np.mean(parts))
    # Probes are tasks of one label, which have more in common.
    assert list(summary.probe_change) == ["accuracy", "brier", TASK_SCORE]
    mean = find(report.arm_comparisons, arm="rehearsal", rule="argmax", task=None)
    assert list(mean.measures) == [TASK_SCORE]
    assert "means over tasks of accuracy" in " ".join(entry.what for entry in report.omitted)
    changes = find(report.arm_tasks, arm="sequential", rule="argmax", task="topics").change
    assert set(changes) == {*measures_of("multi_label"), TASK_SCORE}
    assert {record.task for record in report.arm_tasks if record.rule != "argmax"} == {"pubmedqa", "grades", "quiz"}


def test_items_are_lost_where_answers_are_right_or_wrong(mixed):
    _, _, report = mixed
    assert {record.task: record.pairs is None for record in report.learning} == {
        "pubmedqa": False,
        "topics": False,
        "notes": True,
    }
    flips = find(report.flips, arm="sequential", task="topics")
    pairs = find(
        report.forgetting, arm="sequential", task="topics", after_lineage=LAST, comparison="paired", before_split="test"
    ).pairs
    assert (len(flips.lost), len(flips.gained)) == (pairs.lost, pairs.gained)


def test_baselines_of_every_kind(mixed):
    folder, results, report = mixed
    answered = {(name, task) for name, task, _ in results.predictions}
    assert not answered & {(name, task) for name in (MAJORITY, TFIDF) for task in ("topics", "notes", "quiz")}
    have = {(score.lineages[0], score.task) for score in report.scores}
    for task in ("grades", "topics", "notes", "quiz"):
        assert ((MAJORITY, task) in have) and ((TFIDF, task) in have) == (task != "quiz")
    assert (TFIDF_BALANCED, "topics") in have and (TFIDF_BALANCED, "notes") not in have
    assert "another option in every item" in find(report.omitted, what="baseline tfidf on quiz").reason
    train = [json.loads(line) for line in (folder / "data/topics/train.jsonl").read_text().splitlines()]
    assert find(report.tasks, task="topics").majority == Counter(item["label"] for item in train).most_common(1)[0][0]
    # A bag of words sees the hints of half of the items; no text of the data is in the file.
    assert (
        scored(mixed, "topics", TFIDF).measures["jaccard"].value
        > scored(mixed, "topics", MAJORITY).measures["jaccard"].value
    )
    references = {text for item in items(folder, "notes") for text in item["references"]}
    text = report.model_dump_json()
    assert not [reference for reference in references if reference in text]
    assert flatten_metrics(report)["sequential"]["notes"]["rouge_l"]["value"] > 0


def sets(gold, answer, valid=None, own="jaccard") -> Predictions:
    return Predictions(
        ["a", "b"], np.array(gold, bool), np.array(answer, bool), kind="multi_label", own=own, valid=valid
    )


def texts(scores, own="token_f1") -> Predictions:
    names = measures_of("generation")
    gold = np.array([str(n) for n in range(len(scores))])
    by_name = dict.fromkeys(names, np.asarray(scores, float))
    return Predictions([], gold, gold.astype(object), kind="generation", own=own, item_scores=by_name)


def test_an_answer_that_is_no_set_is_wrong_even_without_labels():
    given = sets([[0, 0], [0, 0]], [[0, 0], [0, 0]], valid=np.array([True, False]))
    assert given.right.tolist() == [True, False]


@pytest.mark.parametrize("name", ["label_micro_f1", "label_macro_f1", "jaccard"])
def test_sets_are_exchanged_item_by_item(name):
    """All patterns of six items, the exchanged sets written out and scored anew."""
    rng = np.random.default_rng(2)
    gold, after, before = (rng.random((6, 2)) < share for share in (0.6, 0.8, 0.2))
    after |= gold
    measure, differences = MEASURES[name], []
    for number in range(2**6):
        mask = np.array([number >> n & 1 for n in range(6)], bool)[:, None]
        ours, theirs = np.where(mask, before, after), np.where(mask, after, before)
        average = {"jaccard": "samples", "label_micro_f1": "micro", "label_macro_f1": "macro"}[name]
        function = sk.jaccard_score if name == "jaccard" else sk.f1_score
        zero = {"zero_division": 1} if name == "jaccard" else {"zero_division": 0}
        differences.append(np.subtract(*(function(gold, side, average=average, **zero) for side in (ours, theirs))))
    expected = np.mean(np.abs(differences) >= abs(differences[0]) - 1e-12)
    p = exchange_answers([(([sets(gold, after)], [sets(gold, before)]), measure)], 0)
    assert p == pytest.approx(expected, abs=0.02)


def test_a_mean_counts_every_measure_in_its_own_direction():
    """One task gains in token F1 and another loses in an error: both got better by as much as they could."""
    rng = np.random.default_rng(0)
    better = ([texts(0.5 + 0.5 * rng.random(40))], [texts(0.5 * rng.random(40))])
    gold = np.zeros(40, int)
    ranks = [Predictions(["a", "b"], gold, given, kind="ordinal") for given in (gold, np.ones(40, int))]
    error = ([ranks[0]], [ranks[1]])
    assert p_over_items([(better, MEASURES["token_f1"]), (error, MEASURES["rank_error"])], 0) == ("exchange", 1e-4)
    balanced = [(better, MEASURES["token_f1"]), (better[::-1], MEASURES["token_f1"])]
    assert p_over_items(balanced, 0)[1] == 1


def test_shares_of_right_answers_of_several_kinds_have_the_exact_test():
    right = texts([1, 1, 1, 1, 1, 0], own="exact_match"), texts([0, 0, 0, 0, 0, 0], own="exact_match")
    assert p_over_items([(([right[0]], [right[1]]), MEASURES["exact_match"])], 0) == (
        "sign-flip",
        pytest.approx(2 / 2**5),
    )
    both = sets([[1, 0]] * 4, [[1, 0]] * 4), sets([[1, 0]] * 4, [[0, 1]] * 4)
    test, p = p_over_items(
        [
            (([right[0]], [right[1]]), MEASURES["exact_match"]),
            (([both[0]], [both[1]]), MEASURES["subset_accuracy"]),
        ],
        0,
    )
    assert (test, p) == ("sign-flip", pytest.approx(2 / 2**9))


@pytest.mark.parametrize("kind", ["texts", "sets"])
def test_false_positives_are_as_many_as_the_level_says(kind):
    """Two sides whose answers differ by nothing but chance, over and over."""
    rng, ps = np.random.default_rng(1), []
    for _ in range(200):
        if kind == "texts":
            item = rng.random(40)
            sides = [texts(np.clip(item + rng.normal(0, 0.3, 40), 0, 1)) for _ in range(2)]
            measure = MEASURES["token_f1"]
        else:
            gold = rng.random((40, 2)) < 0.5
            sides = [sets(gold, np.where(rng.random((40, 2)) < 0.7, gold, ~gold)) for _ in range(2)]
            measure = MEASURES["jaccard"]
        ps.append(p_over_items([(([sides[0]], [sides[1]]), measure)], 0)[1])
    assert np.mean(np.array(ps) < 0.05) <= 0.09 and np.mean(np.array(ps) < 0.5) == pytest.approx(0.5, abs=0.12)


def test_the_planned_family_is_that_of_the_report(mixed):
    _, results, report = mixed
    tasks = dict.fromkeys(results.config.active_tasks, TaskItems(80))
    planned = plan_of(results.config, tasks)
    assert planned.family == len(report.claims) and planned.scored == ("topics", "notes")
    (group,) = (g for g in planned.comparisons if (g.kind, g.task) == ("arms", "notes"))
    # Sign flips of 80 differences with this spread: the t-test's power with the items' variance alone.
    found = planned.detectable(group, Assumed(0.0, deviation=0.2))
    assert found == pytest.approx(planned.detectable(group, Assumed(0.0, deviation=0.4)) / 2, rel=0.01)
    needed = (stats.norm.ppf(1 - planned.step / 2) + stats.norm.ppf(0.8)) * 0.2 / 80**0.5
    assert found == pytest.approx(needed, rel=0.1)


def test_several_runs_and_the_mean_over_tasks(tmp_path):
    overlay = {"seeds": [0, 1], "statistics": {"bootstrap_samples": 100, "primary_outcome": "average"}}
    _, report = made.experiment(tmp_path, SIZES, **merge(kinds_of_tasks.MIXED, overlay))
    (claim,) = (claim for claim in report.claims if claim.task is None)
    assert (claim.kind, claim.measure, claim.test) == ("arms", TASK_SCORE, "crossed")
    mean = find(report.arm_comparisons, arm="rehearsal", rule="argmax", task=None)
    assert claim.difference == mean.measures[TASK_SCORE].difference
    pair = [score for score in report.scores if len(score.lineages) == 2 and score.task == "notes"]
    assert pair and all(score.measures["token_f1"].runs == 2 for score in pair)


def test_one_shared_measure_leaves_no_task_score(tmp_path):
    topics = {
        name: settings | {"source": "made"} for name, settings in kinds_of_tasks.TASKS.items() if name == "topics"
    }
    overlay = {
        "tasks": topics | {"more": kinds_of_tasks.TOPICS},
        "arms": {"sequential": {"stages": [{"task": "topics"}, {"task": "more"}]}},
        "published": None,
        "statistics": {"bootstrap_samples": 100},
    }
    _, report = made.experiment(tmp_path, {"train": 30, "validation": 10, "test": 40}, **overlay)
    assert report.experiment.primary_measure == "jaccard"
    assert [measure.name for measure in report.measures] == list(measures_of("multi_label"))
    assert list(find(report.arm_summaries, arm="sequential").average) == list(measures_of("multi_label"))
    assert not report.prior_shifts and not report.discrimination and not report.drifts
