"""Probes of a made-up experiment: records, claims, and what stays about learnt tasks alone."""

import csv
import json

import numpy as np
import pytest

from stagewise.config.yaml_files import merge
from stagewise.lineage import Step
from stagewise.metrics.arms import ArmScores
from stagewise.metrics.bootstrap import Bootstrap
from stagewise.metrics.build import build_metrics, flatten_metrics, format_metrics
from stagewise.metrics.claims import claim_records
from stagewise.metrics.decision_rules import DecisionRules
from stagewise.metrics.design import TaskItems, plan_of
from stagewise.metrics.item_scores import ItemScores, ProbeTable
from stagewise.metrics.prediction_table import AnswerFormat
from stagewise.metrics.read_results import read_results
from stagewise.metrics.schema import BASELINES, ReportMetrics, read_metrics
from stagewise.metrics.scores import ScoreTable
from stagewise.metrics.significance import holm
from stagewise.metrics.task_measures import TaskMeasures
from tests.helpers import fake_results as made
from tests.helpers.records import find
from tests.helpers.report_experiments import FAST, PROBES, experiment

BASE, FIRST, SECOND = "base", "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
ALONE = "base/seed-0/dreaddit"
NAMES = ["topics", "pubmedqa", "arc_easy", "prose"]


def read(name) -> ReportMetrics:
    return read_metrics(experiment(name) / "report_metrics.json")


@pytest.fixture(scope="module")
def one() -> ReportMetrics:
    return read("probes")


@pytest.fixture(scope="module")
def two() -> ReportMetrics:
    """Two seeds."""
    return read("probed")


@pytest.fixture(scope="module", params=["probes", "probed"])
def report(request) -> ReportMetrics:
    return read(request.param)


def scores(results, lineage, probe) -> tuple[np.ndarray, np.ndarray]:
    with open(results / lineage / "probes" / f"{probe}.csv", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    return tuple(np.array([float(row[key]) for row in rows]) for key in ("score", "weight"))


def test_every_probe_has_a_record(one):
    assert [(p.probe, p.kind, p.measure, p.higher_is_better, p.items) for p in one.probes] == [
        ("topics", "task", "accuracy", True, 120),
        ("pubmedqa", "task", "accuracy", True, 120),
        ("arc_easy", "harness", "acc", True, 150),
        ("prose", "text", "bits_per_byte", False, 60),
    ]
    assert [p.range for p in one.probes] == [(0, 1), (0, 1), (0, 1), None]


def test_values_and_changes_are_those_of_the_files(one):
    for probe in ("arc_easy", "prose"):
        values = {}
        for lineage in (BASE, FIRST, SECOND):
            score, weight = scores(experiment("probes"), lineage, probe)
            values[lineage] = np.average(score, weights=weight)
            record = find(one.probe_scores, lineages=[lineage], probe=probe).value
            assert record.value == pytest.approx(values[lineage]) and record.low < record.value < record.high
        for against, other in (("base", BASE), ("before", FIRST)):
            change = find(one.probe_changes, probe=probe, stage=2, lineages=[SECOND], against=against)
            assert change.against_lineages == [other]
            assert change.change.value == pytest.approx(values[SECOND] - values[other])


def test_a_task_that_an_arm_learns_is_no_probe_of_it(report):
    arms = {arm for record in report.probe_changes if record.probe == "pubmedqa" for arm in record.arms}
    assert arms == {"second"}
    assert {arm for c in report.claims if (c.kind, c.task) == ("probe", "pubmedqa") for arm in c.arms} == {"second"}
    assert find(report.claims, kind="kept", task="pubmedqa", arms=["sequential"])


def test_adapters_that_arms_share_change_once(report):
    for probe in ("topics", "arc_easy", "prose"):
        (shared,) = [c for c in report.probe_changes if (c.probe, c.stage, c.arms[0]) == (probe, 1, "sequential")]
        # An arm with an adapter for each task answers probes with the untuned model, so nothing changes.
        assert shared.arms == ["sequential", "rehearsal-10"] and shared.against == "base"
    assert not any("isolated" in record.arms for record in report.probe_changes)
    keys = [(c.probe, c.against, *c.lineages, *c.against_lineages) for c in report.probe_changes]
    assert len(set(keys)) == len(keys)


def test_claims_are_about_the_last_stage_and_in_the_one_family(report):
    claims = [c for c in report.claims if c.kind == "probe"]
    assert [c.task for c in claims if "sequential" in c.arms] == ["topics", "arc_easy", "prose"]
    assert [c.task for c in claims if "second" in c.arms] == NAMES
    for claim in claims:
        change = find(report.probe_changes, probe=claim.task, lineages=claim.lineages, against="base")
        assert claim.difference == change.change and set(claim.against_lineages) == {BASE}
        assert (claim.split is None) == (claim.task in ("arc_easy", "prose"))
    tested = [c for c in report.claims if c.p is not None]
    assert [c.p_corrected for c in tested] == pytest.approx(holm([c.p for c in tested]))
    lost = {c.task for c in claims if c.verdict == "worse" and "sequential" in c.arms}
    assert lost == {"arc_easy", "prose"}  # accuracy fell and bits per byte rose
    assert all(c.detectable is not None for c in claims)


def test_arms_are_compared_on_probes_with_their_reference(report):
    compared = {(c.task, *c.arms) for c in report.claims if c.kind == "arms"}
    assert {(probe, "rehearsal-10") for probe in ("topics", "arc_easy", "prose")} <= compared
    better = find(report.claims, kind="arms", task="prose", arms=["rehearsal-10"])
    assert better.verdict == "better" and better.difference.value < 0
    assert better.measure == "bits_per_byte" and better.against == "sequential"


def test_several_runs_vary_by_items_and_training(two):
    (claim,) = [c for c in two.claims if (c.kind, c.task, c.arms[0]) == ("probe", "prose", "sequential")]
    runs = [SECOND, SECOND.replace("seed-0", "seed-1")]
    assert claim.lineages == runs and claim.test == "crossed" and claim.difference.runs == 2
    singles = [find(two.probe_scores, lineages=[lineage], probe="prose").value.value for lineage in (BASE, *runs)]
    assert claim.difference.value == pytest.approx(np.mean(singles[1:]) - singles[0])
    assert find(two.probe_scores, lineages=runs, probe="prose").value.value == pytest.approx(np.mean(singles[1:]))


def test_means_are_over_learnt_tasks_and_probes_have_their_own(one):
    def accuracy(lineage, task):
        score = find(one.scores, lineages=[lineage], task=task, split="test", rule="argmax")
        return score.measures["accuracy"].value

    summary = find(one.arm_summaries, arm="second", rule="argmax")
    change = np.mean([accuracy(ALONE, task) - accuracy(BASE, task) for task in ("topics", "pubmedqa")])
    assert summary.probe_change["accuracy"].value == pytest.approx(change)
    assert summary.average["accuracy"].value == pytest.approx(accuracy(ALONE, "dreaddit"))
    mean = find(one.arm_comparisons, arm="second", task=None, rule="argmax").measures["accuracy"].difference.value
    both = [accuracy(ALONE, task) - accuracy(SECOND, task) for task in ("pubmedqa", "dreaddit")]
    assert mean == pytest.approx(np.mean(both))
    baselines = {s.lineages[0] for s in one.scores if s.task == "topics"} & set(BASELINES)
    assert baselines == set(BASELINES)


def test_without_probes_nothing_is_said_of_them(small):
    assert small[2].probes == small[2].probe_scores == small[2].probe_changes == []
    assert all(summary.probe_change is None for summary in small[2].arm_summaries)
    assert "probe_change" not in json.loads(format_metrics(small[2]))["arm_summaries"][0]


def test_the_flat_file_holds_probes_by_arm(one):
    flat = flatten_metrics(one)
    assert set(flat["sequential"]) == {"pubmedqa", "dreaddit", "topics", "arc_easy", "prose"}
    (claim,) = [c for c in one.claims if (c.kind, c.task, c.arms[0]) == ("probe", "prose", "sequential")]
    prose = flat["sequential"]["prose"]
    assert prose["bits_per_byte_change"]["value"] == claim.difference.value
    assert prose["bits_per_byte"]["value"] == find(one.probe_scores, lineages=[SECOND], probe="prose").value.value
    assert flat["second"]["pubmedqa"]["accuracy_change"]["value"] > 0
    # The change of a task that the arm learnt is that since it was learnt.
    assert flat["sequential"]["pubmedqa"]["accuracy_change"]["value"] < 0
    assert set(flat["isolated"]["prose"]) == {"bits_per_byte"}


@pytest.mark.parametrize("outcome", ["tasks", "average"])
def test_a_plan_counts_the_claims_of_probes(one, tmp_path, outcome):
    overlay = merge(FAST, PROBES) | {"statistics": {"primary_outcome": outcome, "bootstrap_samples": 100}}
    if outcome == "average":
        settings = made.config(**overlay)
        report = build_metrics(read_results(settings, experiment("probes")))
        # One claim an arm about the mean over the tasks learnt; probes are claims of the reference arm alone.
        assert {tuple(c.arms) for c in report.claims if c.kind == "probe"} == {("sequential",)}
        assert {c.task for c in report.claims if c.kind == "arms"} == {None}
    else:
        report = one
    sizes = {task: TaskItems(120) for task in ("pubmedqa", "dreaddit", "topics")}
    plan = plan_of(made.config(**overlay), sizes)
    assert plan.family == len(report.claims)
    kinds = ("kept", "probe", "arms")
    assert plan.others + sum(g.number for g in plan.comparisons) == len([c for c in report.claims if c.kind in kinds])
    assert plan.averaged == ("pubmedqa", "dreaddit")
    # With the number of its items a probe has its own difference.
    counted = plan_of(made.config(**overlay), sizes | {"arc_easy": TaskItems(150)})
    assert counted.others < plan.others and counted.step == pytest.approx(plan.step)


def test_a_report_of_the_version_before_is_read(small, tmp_path):
    values = json.loads(format_metrics(small[2]))
    for key in ("probes", "probe_scores", "probe_changes"):
        del values[key]
    path = tmp_path / "report_metrics.json"
    path.write_text(json.dumps(values | {"schema_version": 4}))
    assert read_metrics(path).probes == []


def drawn_study(seed: int, runs: int, effect: float) -> ArmScores:
    """Three arms whose adapters move the scores of a text's 80 segments by chance, the second by `effect` more."""
    rng = np.random.default_rng(seed)
    scores, steps = {BASE: rng.normal(1, 0.3, 80)}, {}
    for number in range(3):
        item, steps[f"arm-{number}"] = rng.normal(effect if number == 1 else 0, 0.05, 80), []
        for run in range(runs):
            lineage, noise = f"run-{run}/arm-{number}", 0.02 * rng.normal() if runs > 1 else 0.0
            scores[lineage] = scores[BASE] + item + noise + rng.normal(0, 0.05, 80)
            untuned, tuned = Step(0, [], BASE, {"prose": BASE}), Step(1, [], lineage, {"prose": lineage})
            steps[f"arm-{number}"].append([untuned, tuned])
    weights = rng.integers(50, 400, 80).astype(float)
    items = ItemScores("text", None, "bits_per_byte", False, "0" * 64, weights, scores)
    bootstrap = Bootstrap(300, seed, 0.95, [])
    table = ScoreTable({}, DecisionRules({}, {}, {}), bootstrap)
    return ArmScores(steps, [], "test", [BASE], table, item_probes=ProbeTable({"prose": items}, bootstrap))


def drawn_claims(seed: int, runs: int, effect: float = 0.0) -> list:
    study = drawn_study(seed, runs, effect)
    claims = claim_records(study, dict.fromkeys(study.steps, "arm-0"), TaskMeasures.alike([], AnswerFormat([])), 0)
    return [claim for claim in claims if claim.kind == "probe"]


@pytest.mark.parametrize("runs", [1, 3])
def test_what_is_detectable_is_found_as_often_as_promised_and_nothing_is_not(runs):
    studies = [drawn_claims(seed, runs) for seed in range(60)]
    assert np.mean([any(claim.verdict in ("better", "worse") for claim in claims) for claims in studies]) <= 0.1
    differences = [claim.difference for claims in studies for claim in claims]
    assert 0.9 < np.mean([d.low <= 0 <= d.high for d in differences]) < 0.99
    detectable = np.mean([claim.detectable for claims in studies for claim in claims])
    lost = [drawn_claims(seed, runs, detectable)[1].verdict == "worse" for seed in range(100, 160)]
    assert 0.65 < np.mean(lost) < 0.95
