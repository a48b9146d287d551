"""Published figures beside ours."""

import json

import pytest
from sklearn.metrics import accuracy_score, f1_score

from stagewise.measures import MEASURES
from stagewise.metrics.published_figures import Evaluation
from tests.helpers import fake_results as made
from tests.helpers.records import find
from tests.unit.metrics.conftest import SMALL

FIRST, SECOND = "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
FAST = {"statistics": {"bootstrap_samples": 100}}


def score(report, lineage, task="pubmedqa", split="test"):
    return find(report.scores, lineages=[lineage], task=task, split=split, rule="argmax")


def test_published_figures_stand_beside_ours(small):
    _, _, report = small
    record = find(report.published, stage=1, split="test", metric="accuracy")
    assert (record.published, record.published_items, record.our_items) == (0.6286, 105, 30)
    assert record.ours == score(report, FIRST).measures["accuracy"]
    assert (record.arm, record.seed, record.seeds) == ("sequential", 0, 1)
    record = find(report.published, stage=2, task="pubmedqa", metric="confusion", gold="no", label="yes")
    counts = find(report.predictions, lineage=SECOND, task="pubmedqa", split="validation").confusion.counts
    assert (record.published, record.ours.value) == (72, counts[1][0])
    record = find(report.published, stage=2, metric="best_eval_step")
    assert (record.published, record.ours.value) == (400, 40)
    majority = find(report.published, stage=1, metric="majority_accuracy")
    assert majority.published == pytest.approx(0.6286, abs=1e-4)
    assert majority.lineage == "majority"


def test_every_measure_may_be_published():
    values = {"stage": 1, "task": "pubmedqa", "split": "test"}
    figures = Evaluation.model_validate(values | dict.fromkeys(MEASURES, 0.5))
    assert all(getattr(figures, name) == 0.5 for name in MEASURES)


def test_ours_is_of_the_first_run_beside_the_mean(tmp_path):
    arms = {"sequential": {"stages": [{"task": "pubmedqa"}, {"task": "dreaddit"}]}}
    overlay = {"seeds": [0, 1], "arms": arms, "evaluation": {"splits": ["test"]}}
    _, report = made.experiment(tmp_path, SMALL, **FAST, **overlay)
    published = find(report.published, stage=1, split="test", metric="accuracy")
    values = [score(report, f"base/seed-{seed}/pubmedqa").measures["accuracy"].value for seed in (0, 1)]
    assert (published.seed, published.ours.value, published.seeds) == (0, values[0], 2)
    assert published.mean_over_seeds == pytest.approx(sum(values) / 2)
    unscored = find(report.published, stage=2, split="validation", metric="accuracy")
    assert unscored.ours.reason == "the validation split was not scored"


def test_published_figures_of_something_else(tmp_path):
    path = tmp_path / "figures.json"
    evaluation = {"stage": 1, "task": "pubmedqa", "split": "test", "labels": [{"label": "perhaps", "f1": 0.5}]}
    other = {"stage": 2, "task": "third", "split": "test", "accuracy": 0.5}
    path.write_text(
        json.dumps({"title": "t", "source": "s", "stages": ["pubmedqa", "third"], "evaluations": [evaluation, other]})
    )
    _, report = made.experiment(tmp_path / "results", SMALL, published=str(path), **FAST)
    assert [record.ours.reason for record in report.published] == [
        "the task has no label 'perhaps'",
        "no arm without remedies learns these tasks in this order",
    ]


def test_published_figures_agree_with_each_other():
    """The accuracies and F1 values of the file follow from its own confusion counts, to the digits given."""
    for part in json.loads((made.ROOT / "data/published_figures.json").read_text())["evaluations"]:
        gold, answer = [], []
        for count in part["confusion"]:
            gold += [count["gold"]] * count["items"]
            answer += [count["label"]] * count["items"]
        labels = [entry["label"] for entry in part["labels"]]
        assert len(gold) == part["items"]
        assert accuracy_score(gold, answer) == pytest.approx(part["accuracy"], abs=6e-5)
        f1 = f1_score(gold, answer, labels=labels, average=None, zero_division=0)
        assert f1.mean() == pytest.approx(part["macro_f1"], abs=6e-5)
        for entry, value in zip(part["labels"], f1, strict=True):
            assert value == pytest.approx(entry["f1"], abs=6e-5)
            assert entry["support"] == gold.count(entry["label"])
            assert entry["predicted"] == answer.count(entry["label"])
