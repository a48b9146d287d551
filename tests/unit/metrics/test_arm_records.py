"""Records of arms: costs, flips, rules before and after, annotators' agreement; runs over several folds."""

import json
import shutil

import jsonschema
import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from stagewise.errors import InputError
from stagewise.lineage import data_folder
from stagewise.metrics.annotator_agreement import groups
from stagewise.metrics.build import build
from stagewise.metrics.read_results import read_run
from stagewise.metrics.schema import RULES, ReportMetrics
from stagewise.provenance.files import write_json
from stagewise.provenance.receipts import write_receipt
from tests.helpers import fake_results as made

SIZES = {"train": 60, "validation": 40, "test": 80}
FAST = {"statistics": {"bootstrap_samples": 200}}
BASE, FIRST, SECOND = "base", "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
BLEND, REHEARSAL = f"{SECOND}/merged-blend-0.5", f"{SECOND}+rehearsal-10"
FOLDS = {"folds": [3, 5], "tasks": {"pubmedqa": {"source": "original", "split": "official"}}}


def find(records, **keys):
    found = [r for r in records if all(getattr(r, key) == value for key, value in keys.items())]
    assert len(found) == 1, f"{len(found)} records for {keys}"
    return found[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = made.config(arms=made.ARMS, **FAST)
    return read_run(settings, made.write_results(tmp_path_factory.mktemp("arms"), settings, sizes=SIZES))


@pytest.fixture(scope="module")
def report(run):
    return build(run)


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    settings = made.config(arms=made.ARMS, **FOLDS, **FAST)
    return settings, made.write_results(tmp_path_factory.mktemp("folds"), settings, sizes=SIZES)


def test_every_arm_after_every_stage(report):
    found = {(a.arm, a.stage): a for a in report.arms}
    assert found["isolated", 2].answers == {"pubmedqa": FIRST, "dreaddit": "base/seed-0/dreaddit"}
    assert found["multitask", 1].tasks == ["pubmedqa", "dreaddit"]
    assert found["blend-0.5", 2].lineage == BLEND
    merged = find(report.adapters, lineage=BLEND)
    assert (merged.sources, merged.remedies) == ([FIRST, SECOND], {"blend": {"alpha": 0.5}})
    assert find(report.adapters, lineage=REHEARSAL).remedies == {"rehearsal": {"share": 0.1}}
    assert all(a.bytes for a in report.adapters)
    cell = find(report.matrix, arm="isolated", stage=2, task="pubmedqa", split="test")
    assert (cell.lineage, cell.learnt) == (FIRST, True)


def test_costs_count_every_adapter_once(report):
    cost = {c.arm: c for c in report.costs}
    one = find(report.training, lineage=FIRST)
    merge = find(report.training, lineage=BLEND).seconds
    assert merge != one.seconds
    for arm, trainings, merges, adapters in (
        ("sequential", 2, 0, 1),
        ("isolated", 2, 0, 2),
        ("multitask", 1, 0, 1),
        ("blend-0.5", 2, 1, 1),
    ):
        found = cost[arm]
        assert (found.trainings, found.merges, found.adapters) == (trainings, merges, adapters)
        assert found.tokens == trainings * one.tokens
        assert found.seconds == trainings * one.seconds + merges * merge
        assert found.seconds_over_reference == pytest.approx(found.seconds / cost["sequential"].seconds)
    sizes = {a.lineage: a.bytes for a in report.adapters}
    assert cost["isolated"].bytes == sizes[FIRST] + sizes["base/seed-0/dreaddit"]


def test_flips_name_the_items(run, report):
    found = find(report.flips, arm="blend-0.5")
    assert (found.task, found.split, found.after_lineage) == ("pubmedqa", "test", BLEND)
    before, after = (run.answers[x, "pubmedqa", "test"].right for x in (FIRST, BLEND))
    ids = [item["id"] for item in run.items_of(BLEND, "pubmedqa", "test")]
    assert found.lost == [i for i, b, a in zip(ids, before, after, strict=True) if b and not a]
    assert found.gained == [i for i, b, a in zip(ids, before, after, strict=True) if a and not b]
    pairs = find(report.forgetting, arm="blend-0.5", comparison="paired", after_split="test").pairs
    assert (len(found.lost), len(found.gained)) == (pairs.lost, pairs.gained)


def test_rules_before_and_after(report):
    for rule in RULES:
        found = find(report.rule_changes, arm="sequential", split="test", rule=rule)
        for change in found.changes:
            before = find(report.decisions, lineage=FIRST, task="pubmedqa", split="test", rule=rule)
            after = find(report.decisions, lineage=SECOND, task="pubmedqa", split="test", rule=rule)
            assert change.before == getattr(before, change.measure).value
            assert change.after == getattr(after, change.measure).value
            assert change.difference.low < change.difference.value < change.difference.high
    argmax = find(report.rule_changes, arm="sequential", split="test", rule="argmax")
    forgotten = find(report.forgetting, arm="sequential", comparison="paired", after_split="test")
    for change, other in zip(argmax.changes, forgotten.changes, strict=True):
        assert change == other


def test_decisions_recomputed(run, report):
    answers = run.answers[SECOND, "pubmedqa", "test"]
    for rule in RULES:
        found = find(report.decisions, lineage=SECOND, task="pubmedqa", split="test", rule=rule)
        answer = (answers.logprobs + found.bias).argmax(1)
        macro = f1_score(answers.gold, answer, labels=[0, 1, 2], average="macro", zero_division=0)
        assert found.macro_f1.value == pytest.approx(macro)
        maybe = find(found.recalls, label="maybe")
        assert maybe.recall.value == pytest.approx((answer[answers.gold == 2] == 2).mean())
        assert maybe.predicted_share == pytest.approx((answer == 2).mean())
        assert (found.tau is None) == (rule != "prior-adjusted")
    assert find(report.decisions, lineage=BASE, task="dreaddit", split="test", rule="argmax").kind == "base"


def test_discrimination_recomputed(run, report):
    answers = run.answers[SECOND, "pubmedqa", "test"]
    found = find(report.discrimination, lineage=SECOND, task="pubmedqa", split="test")
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = []
    for first, second in pairs:
        kept = np.isin(answers.gold, (first, second))
        odds = answers.logprobs[kept, first] - answers.logprobs[kept, second]
        expected.append(roc_auc_score(answers.gold[kept] == first, odds))
    assert [pair.auroc.value for pair in found.pairs] == pytest.approx(expected, abs=1e-6)
    assert found.auroc.value == pytest.approx(np.mean(expected), abs=1e-6)
    assert found.auroc.low < found.auroc.value < found.auroc.high
    score = find(report.scores, lineage=SECOND, task="pubmedqa", split="test")
    assert found.log_loss.value == pytest.approx(score.log_loss.value)
    assert found.log_loss_fitted.value is not None
    other = find(report.discrimination, lineage=FIRST, task="pubmedqa", split="test")
    change = find(report.forgetting, arm="sequential", comparison="paired", after_split="test").auroc
    assert (change.before, change.after) == pytest.approx((other.auroc.value, found.auroc.value))


def test_retained_needs_both_lower_bounds(report):
    for record in report.forgetting:
        if record.comparison == "published":
            assert record.retained == "not shown"
            continue
        bounds = record.retained_over_majority.low, record.retained_over_base.low
        assert (record.retained == "retained") == all(low is not None and low > 0 for low in bounds)
    assert {record.retained for record in report.forgetting} == {"retained", "not shown"}


def test_agreement_with_annotators(run, report):
    found = find(report.agreement, task="pubmedqa", split="test")
    values = [item["agreement"]["other_label"] for item in run.items_of(BASE, "pubmedqa", "test")]
    assert (found.column, found.items) == ("other_label", len(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert found.low < found.mean < found.high
    assert [(g.low, g.high) for g in found.groups] == [(0, 0), (1, 1)]
    right = run.answers[SECOND, "pubmedqa", "test"].right
    assert found.groups[1].accuracy[SECOND] == pytest.approx(right[np.array(values) == 1].mean())
    assert set(found.groups[0].accuracy) == set(run.lineages)
    shares = find(report.agreement, task="dreaddit", split="test")
    assert 2 < len(shares.groups) <= 4
    assert sum(group.items for group in shares.groups) == shares.items


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 0, 1], [[1], [0, 2]]),
        ([1, 1], [[0, 1]]),
        ([0.5, 1, 0.75], [[0], [2], [1]]),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], [[0, 1], [2, 3], [4, 5], [6, 7]]),
        ([0.4, 0.5, 0.6, 0.7, 0.8, 1, 1, 1, 1, 1], [[0, 1, 2], [3, 4], [5, 6, 7, 8, 9]]),
    ],
)
def test_groups_of_agreement(values, expected):
    assert [group.tolist() for group in groups(np.array(values, dtype=float))] == expected


def test_folds(folded):
    settings, results = folded
    run = read_run(settings, results)
    report = build(run)
    jsonschema.validate(report.model_dump(mode="json"), ReportMetrics.model_json_schema(mode="serialization"))
    assert (report.experiment.folds, report.experiment.reference) == ([3, 5], "sequential")
    other = "base/fold-5/seed-0/pubmedqa"
    assert run.data(other) == data_folder(5)
    # The base model answers the first fold's validation items: no pairs with another fold's, but with what folds share.
    assert run.items_of(BASE, "pubmedqa", "validation") != run.items_of(other, "pubmedqa", "validation")
    assert {r.split for r in report.learning if r.lineage == other} == {"test"}
    later = "base/fold-5/seed-0/pubmedqa/dreaddit"
    assert {r.split for r in report.learning if r.lineage == later} == {"test", "validation"}
    record = find(report.forgetting, arm="sequential", fold=5, comparison="paired", after_split="validation")
    assert (record.over_majority, record.retained, record.claim) == (None, "not shown", "not claimed")
    assert "another fold" in record.reason
    summary = find(report.arm_summaries, arm="sequential", rule="argmax", measure="accuracy", split="test")
    assert (summary.average.runs, len(summary.average.values)) == (2, 2)
    assert {s.split for s in report.arm_summaries} == {"test"}
    assert "statistics of arms on validation" in [entry.what for entry in report.omitted]
    found = find(report.agreement, task="pubmedqa", split="validation")
    assert other not in found.groups[0].accuracy


def test_folds_that_test_on_other_items(folded, tmp_path):
    settings, original = folded
    results = shutil.copytree(original, tmp_path / "results")
    place = results / "data/fold-5"
    test = place / "pubmedqa/test.jsonl"
    test.write_text("".join(test.read_text().splitlines(keepends=True)[1:]))
    summary = json.loads((place / "summary.json").read_text())
    files = write_receipt(place / "pubmedqa", {})["files"]
    summary["tasks"]["pubmedqa"]["splits"]["test"]["sha256"] = files["test.jsonl"]
    write_json(place / "summary.json", summary)
    with pytest.raises(InputError, match="fold-5/pubmedqa/test.jsonl: not the test items of .*fold-3/pubmedqa"):
        read_run(settings, results)


@pytest.mark.parametrize("spoil", [{"logprobs": [-1.0]}, {"input": "N/A"}, {"logprobs": [0.5, -1.0, -2.0]}])
def test_odd_content_free_answers(run, tmp_path, spoil):
    settings = made.config(**FAST)
    results = made.write_results(tmp_path, settings, sizes=SIZES)
    path = results / BASE / "predictions/receipt.json"
    receipt = json.loads(path.read_text())
    receipt["content_free"]["pubmedqa"] = [spoil]
    write_json(path, receipt)
    with pytest.raises(InputError, match="content_free of pubmedqa does not hold"):
        read_run(settings, results)


def test_without_content_free_answers(tmp_path):
    settings = made.config(**FAST)
    results = made.write_results(tmp_path, settings, sizes=SIZES)
    path = results / SECOND / "predictions/receipt.json"
    receipt = json.loads(path.read_text())
    write_json(path, receipt | {"content_free": {"dreaddit": receipt["content_free"]["dreaddit"]}})
    report = build(read_run(settings, results))
    (reason,) = (o.reason for o in report.omitted if o.what == "the decision rule contextual on pubmedqa")
    assert reason.startswith("1 of 3 predictions")
    assert "contextual" not in {s.rule for s in report.arm_summaries}
    assert "contextual" in {d.rule for d in report.decisions if d.lineage == FIRST}
