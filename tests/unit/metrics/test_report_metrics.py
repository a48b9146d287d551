"""report_metrics.json of made-up experiments: its contents, its schema, and what it refuses."""

import csv
import json
import shutil

import jsonschema
import pytest
from sklearn.metrics import accuracy_score, f1_score
from statsmodels.stats.contingency_tables import mcnemar

from scripts import metrics as step
from stagewise.config.yaml_files import read_yaml
from stagewise.metrics.build import build
from stagewise.metrics.read_results import read_run
from stagewise.metrics.schema import BASELINES, ReportMetrics
from stagewise.provenance.receipts import write_receipt
from tests.helpers import fake_results as made

BASE, FIRST, SECOND = "base", "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
SMALL = {"train": 40, "validation": 20, "test": 30}
FAST = {"statistics": {"bootstrap_samples": 100}}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return made.write_results(tmp_path_factory.mktemp("made"), made.config(**FAST), sizes=SMALL)


@pytest.fixture(scope="module")
def report(original):
    return build(read_run(made.config(**FAST), original)).model_dump(mode="json")


@pytest.fixture
def results(original, tmp_path):
    return shutil.copytree(original, tmp_path / "results")


def find(records, **keys):
    found = [record for record in records if all(record[key] == value for key, value in keys.items())]
    assert len(found) == 1, f"{len(found)} records for {keys}"
    return found[0]


def rows(results, lineage, name="pubmedqa.test"):
    with open(results / lineage / "predictions" / f"{name}.csv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def run(results, *settings, output=None):
    settings = settings or [made.config(**FAST).model_dump_json(exclude_defaults=True)]
    output = output or results / "report_metrics.json"
    return step.main(["--settings", *settings, "--results", str(results), "--output", str(output)])


def reseal(folder):
    """Renew the receipt of a predictions folder after a change that should be found by other means."""
    receipt = json.loads((folder / "receipt.json").read_text())
    receipt.pop("files")
    write_receipt(folder, receipt)


def test_valid_against_the_published_schema(report):
    schema = json.loads((made.ROOT / "schemas/report_metrics.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(report, schema)
    ReportMetrics.model_validate(report)


def test_a_score_for_everything_that_answered(report):
    keys = {(s["lineage"], s["task"], s["split"]) for s in report["scores"]}
    scorers = (BASE, FIRST, SECOND, *BASELINES)
    assert keys == {(s, t, p) for s in scorers for t in ("pubmedqa", "dreaddit") for p in ("validation", "test")}
    assert find(report["scores"], lineage=SECOND, task="dreaddit", split="test")["stage"] == 2
    assert find(report["scores"], lineage="tfidf", task="dreaddit", split="test")["stage"] is None


def test_scores_recomputed_from_the_csv(report, original):
    for score in report["scores"]:
        if score["kind"] == "baseline":
            continue
        answers = rows(original, score["lineage"], f"{score['task']}.{score['split']}")
        gold, answer = [r["label"] for r in answers], [r["prediction"] for r in answers]
        labels = find(report["tasks"], task=score["task"])["labels"]
        macro = f1_score(gold, answer, labels=labels, average="macro", zero_division=0)
        assert score["accuracy"]["value"] == pytest.approx(accuracy_score(gold, answer), abs=1e-12)
        assert score["macro_f1"]["value"] == pytest.approx(macro, abs=1e-12)


def test_forgetting_recomputed_from_the_csv(report, original):
    record = find(report["forgetting"], comparison="paired", after_split="test")
    assert (record["before_lineage"], record["after_lineage"]) == (FIRST, SECOND)
    before, after = (
        [row["prediction"] == row["label"] for row in rows(original, lineage)] for lineage in (FIRST, SECOND)
    )
    lost = sum(b and not a for b, a in zip(before, after, strict=True))
    gained = sum(a and not b for b, a in zip(before, after, strict=True))
    assert (record["pairs"]["lost"], record["pairs"]["gained"]) == (lost, gained)
    expected = mcnemar([[0, lost], [gained, 0]], exact=True).pvalue
    assert record["pairs"]["mcnemar_p"] == pytest.approx(expected, abs=1e-12)
    change = find(record["changes"], measure="accuracy")
    assert change["difference"]["value"] == pytest.approx((sum(after) - sum(before)) / len(before), abs=1e-12)
    learnt = find(report["learning"], lineage=FIRST, task="pubmedqa", split="test", against="majority")
    assert record["over_majority"] == find(learnt["changes"], measure="accuracy")["difference"]


def test_the_published_comparison_is_marked_and_claims_nothing(report):
    record = find(report["forgetting"], comparison="published")
    assert not record["comparable"]
    assert (record["before_split"], record["after_split"]) == ("test", "validation")
    assert (record["before_items"], record["after_items"]) == (30, 20)
    assert record["pairs"] is None
    assert record["claim"] == "not claimed"
    assert all(change["difference"]["low"] is None for change in record["changes"])


def test_matrix_has_every_stage_and_task(report):
    cells = [c for c in report["matrix"] if c["split"] == "test"]
    assert [(c["stage"], c["task"], c["learnt"]) for c in cells] == [
        (0, "pubmedqa", False),
        (0, "dreaddit", False),
        (1, "pubmedqa", True),
        (1, "dreaddit", False),
        (2, "pubmedqa", True),
        (2, "dreaddit", True),
    ]
    for cell in cells:
        score = find(report["scores"], lineage=cell["lineage"], task=cell["task"], split="test")
        assert cell["macro_f1"] == score["macro_f1"]["value"]


def test_published_figures_stand_beside_ours(report):
    record = find(report["published"], stage=1, split="test", metric="accuracy")
    score = find(report["scores"], lineage=FIRST, task="pubmedqa", split="test")
    assert (record["published"], record["published_items"], record["our_items"]) == (0.6286, 105, 30)
    assert record["ours"] == score["accuracy"]
    assert (record["arm"], record["seed"], record["seeds"]) == ("sequential", 0, 1)
    record = find(report["published"], stage=2, task="pubmedqa", metric="confusion", gold="no", label="yes")
    score = find(report["scores"], lineage=SECOND, task="pubmedqa", split="validation")
    assert (record["published"], record["ours"]["value"]) == (72, score["confusion"]["counts"][1][0])
    record = find(report["published"], stage=2, metric="best_eval_step")
    assert (record["published"], record["ours"]["value"]) == (400, 40)
    majority = find(report["published"], stage=1, metric="majority_accuracy")
    assert majority["published"] == pytest.approx(0.6286, abs=1e-4)
    assert majority["lineage"] == "majority"


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


def test_facts_of_the_experiment(report):
    experiment = report["experiment"]
    assert experiment["sample"]
    assert "mirror" not in experiment["config"]
    assert experiment["config"]["arms"]["sequential"]["stages"][1]["task"] == "dreaddit"
    task = find(report["tasks"], task="pubmedqa")
    assert {s["reason"]: s["rows"] for s in task["set_aside"]} == {"empty text": 3, "unknown label": 1}
    split = find(report["splits"], task="dreaddit", split="train")
    assert sum(label["items"] for label in split["labels"]) == split["items"] == 40
    assert task["duplicates_across_splits_exact"] == 0
    assert find(report["scoring"], lineage=FIRST)["method"] == "likelihood"
    assert find(report["training"], lineage=SECOND)["final_loss"] == pytest.approx(0.61)
    assert [(s["stage"], s["lineage"]) for s in report["arms"]] == [(0, BASE), (1, FIRST), (2, SECOND)]


def test_arms_seeds_and_a_task_learnt_again(tmp_path):
    stages = [{"task": "pubmedqa"}, {"task": "dreaddit"}]
    again = [*stages, {"task": "pubmedqa", "name": "again"}, {"task": "dreaddit", "name": "later"}]
    settings = made.config(
        seeds=[0, 1],
        arms={"sequential": {"stages": stages}, "again": {"stages": again}, "reverse": {"stages": stages[::-1]}},
        evaluation={"splits": ["test"]},
        **FAST,
    )
    report = build(read_run(settings, made.write_results(tmp_path, settings, sizes=SMALL))).model_dump(mode="json")
    jsonschema.validate(report, ReportMetrics.model_json_schema(mode="serialization"))
    assert len(report["adapters"]) == 2 * 6
    assert find(report["adapters"], lineage=FIRST)["arms"] == ["sequential", "again"]
    found = [(f["seed"], f["task"], f["before_stage"], f["after_stage"]) for f in report["forgetting"]]
    assert [f[1:] for f in found if f[0] == 0] == [
        ("pubmedqa", 1, 2),
        ("pubmedqa", 1, 2),
        ("dreaddit", 2, 3),
        ("pubmedqa", 3, 4),
        ("dreaddit", 1, 2),
    ]
    assert len(found) == 2 * 5
    published = find(report["published"], stage=1, split="test", metric="accuracy", arm="again")
    values = [
        find(report["scores"], lineage=f"base/seed-{s}/pubmedqa", task="pubmedqa", split="test")["accuracy"]["value"]
        for s in (0, 1)
    ]
    assert (published["seed"], published["ours"]["value"], published["seeds"]) == (0, values[0], 2)
    assert published["mean_over_seeds"] == pytest.approx(sum(values) / 2)
    unscored = find(report["published"], stage=2, split="validation", metric="accuracy", arm="again")
    assert unscored["ours"]["reason"] == "the validation split was not scored"
    assert [entry["reason"] for entry in report["omitted"]] == [
        "evaluation.splits leaves out validation",
        "they are fitted on validation, which evaluation.splits leaves out",
    ]
    assert {d["rule"] for d in report["decisions"]} == {"argmax", "batch-calibrated", "contextual"}
    assert {d["log_loss_fitted"]["reason"] for d in report["discrimination"]} == {"the validation split was not scored"}


def test_generated_answers_without_probabilities(results):
    for lineage in (BASE, FIRST, SECOND):
        folder = results / lineage / "predictions"
        for name in ("pubmedqa.test", "pubmedqa.validation"):
            task, split = name.split(".")
            answers = [(row, "" if n % 3 == 0 else "yes", None) for n, row in enumerate(rows(results, lineage, name))]
            made.write_answers(folder / f"{name}.csv", task, split, ["yes", "no", "maybe"], answers)
        reseal(folder)
    report = build(read_run(made.config(**FAST), results)).model_dump(mode="json")
    score = find(report["scores"], lineage=FIRST, task="pubmedqa", split="test")
    assert score["shortened"] == 0
    assert (score["invalid"], score["confusion"]["columns"][-1]) == (10, "invalid")
    assert score["ece"] == {"value": None, "reason": "no label probabilities"}
    record = find(report["forgetting"], comparison="paired", after_split="test")
    assert record["claim"] == "not claimed"
    assert "did not beat the majority class" in record["reason"]
    assert record["auroc"] is None
    for part in ("decisions", "discrimination", "rule_changes"):
        assert {r["task"] for r in report[part]} <= {"dreaddit"}
    assert {s["rule"] for s in report["arm_summaries"]} == {"argmax"}
    what = {entry["what"]: entry["reason"] for entry in report["omitted"]}
    assert "were generated" in what["decision rules and discrimination on pubmedqa"]


def test_two_runs_write_the_same_bytes(results, tmp_path):
    assert run(results, output=tmp_path / "one.json") == 0
    assert run(results, output=tmp_path / "two.json") == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert "NaN" not in (tmp_path / "one.json").read_text()


def test_a_handful_of_items(tmp_path):
    settings = made.config(**FAST)
    report = build(read_run(settings, made.write_results(tmp_path, settings, sizes=dict.fromkeys(SMALL, 2))))
    assert json.loads(report.model_dump_json())["omitted"] is not None


def test_published_figures_of_something_else(original, tmp_path):
    path = tmp_path / "figures.json"
    evaluation = {"stage": 1, "task": "pubmedqa", "split": "test", "labels": [{"label": "perhaps", "f1": 0.5}]}
    other = {"stage": 2, "task": "third", "split": "test", "accuracy": 0.5}
    path.write_text(
        json.dumps({"title": "t", "source": "s", "stages": ["pubmedqa", "third"], "evaluations": [evaluation, other]})
    )
    report = build(read_run(made.config(published=str(path), **FAST), original))
    assert [record.ours.reason for record in report.published] == [
        "the task has no label 'perhaps'",
        "no arm without remedies learns these tasks in this order",
    ]


def test_settings_from_files(results, tmp_path):
    others = {name: None for name in read_yaml(made.ROOT / "config.yaml")["arms"] if name != "sequential"}
    (tmp_path / "overlay.yaml").write_text(json.dumps({"arms": others}))
    assert run(results, str(made.ROOT / "config.yaml"), str(tmp_path / "overlay.yaml")) == 0
    report = json.loads((results / "report_metrics.json").read_text())
    assert report["experiment"]["splits"] == read_yaml(made.ROOT / "config.yaml")["evaluation"]["splits"]
    assert (report["published"], report["published_source"]) == ([], None)
