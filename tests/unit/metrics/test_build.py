"""report_metrics.json of made-up experiments: its contents, its schema, and a measure that is declared once."""

import csv
import json
import shutil

import jsonschema
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from scripts import metrics as step
from stagewise import measures
from stagewise.config.yaml_files import read_yaml
from stagewise.measures import evaluate, measure, measures_of
from stagewise.metrics.build import build_metrics, flatten_metrics, format_metrics
from stagewise.metrics.read_results import read_results
from stagewise.metrics.schema import BASELINES, CLASSIFICATION_VERSION, ReportMetrics
from stagewise.provenance.receipts import write_receipt
from stagewise.provenance.sealed_json import is_sealed
from stagewise.report import html, markdown
from stagewise.report.figures.registry import draw_figures
from stagewise.report.lookup import View
from tests.helpers import fake_results as made
from tests.helpers.records import find
from tests.helpers.report_experiments import Page
from tests.unit.metrics.conftest import SIZES, SMALL

BASE, FIRST, SECOND = "base", "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
FAST = {"statistics": {"bootstrap_samples": 100}}


@pytest.fixture(scope="module")
def report(small):
    """The metrics as they are written."""
    return json.loads(format_metrics(small[2]))


@pytest.fixture
def results(small, tmp_path):
    return shutil.copytree(small[0], tmp_path / "results")


def rows(results, lineage, name="pubmedqa.test"):
    with open(results / lineage / "predictions" / f"{name}.csv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def run(results, *settings, output=None):
    settings = settings or [made.config(**FAST).model_dump_json(exclude_defaults=True)]
    output = output or results / "report_metrics.json"
    flat = str(output.with_name(f"{output.stem}.flat.json"))
    arguments = ["--results", str(results), "--output", str(output), "--flat", flat]
    return step.main(["--settings", *settings, *arguments])


def without_probabilities(results):
    """Replace every answer on pubmedqa by generated text, of which every third is no label."""
    for lineage in (BASE, FIRST, SECOND):
        folder = results / lineage / "predictions"
        for name in ("pubmedqa.test", "pubmedqa.validation"):
            task, split = name.split(".")
            answers = [(row, "" if n % 3 == 0 else "yes", None) for n, row in enumerate(rows(results, lineage, name))]
            made.write_answers(folder / f"{name}.csv", task, split, ["yes", "no", "maybe"], answers)
        receipt = json.loads((folder / "receipt.json").read_text())
        receipt.pop("files")
        write_receipt(folder, receipt)


def test_valid_against_the_published_schema(report):
    schema = json.loads((made.ROOT / "schemas/report_metrics.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(report, schema)
    assert report["schema_version"] == CLASSIFICATION_VERSION


def test_the_schema_knows_every_measure_and_no_other(report):
    schema = ReportMetrics.model_json_schema(mode="serialization")
    changed = json.loads(json.dumps(report))
    changed["scores"][0]["measures"]["surprise"] = {"value": 1.0}
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        jsonschema.validate(changed, schema)


def test_several_arms_seeds_and_folds_keep_the_shape(three, folded):
    schema = ReportMetrics.model_json_schema(mode="serialization")
    for metrics in (three[1], folded[2]):
        jsonschema.validate(json.loads(format_metrics(metrics)), schema)


def test_a_file_holds_a_record_a_line_and_reads_back(small):
    text = format_metrics(small[2])
    metrics = ReportMetrics.model_validate(json.loads(text))
    assert metrics.model_copy(update={"checksum": None}) == small[2] and is_sealed(json.loads(text))
    lines = text.splitlines()
    assert sum(line.startswith('{"lineages":') for line in lines) == len(small[2].scores) + len(small[2].discrimination)


def test_a_score_for_everything_that_answered(report):
    scores = [s for s in report["scores"] if s["rule"] == "argmax"]
    keys = {(*s["lineages"], s["task"], s["split"]) for s in scores}
    models = (BASE, FIRST, SECOND, *BASELINES)
    assert keys == {(m, t, p) for m in models for t in ("pubmedqa", "dreaddit") for p in ("validation", "test")}
    assert len(keys) == len(scores) == len(report["predictions"])
    assert all(set(score["measures"]) == set(measures_of("classification")) for score in scores)


def test_scores_recomputed_from_the_csv(report, small):
    for score in report["scores"]:
        if score["rule"] != "argmax" or score["lineages"][0] in BASELINES:
            continue
        answers = rows(small[0], score["lineages"][0], f"{score['task']}.{score['split']}")
        gold, answer = [r["label"] for r in answers], [r["prediction"] for r in answers]
        labels = find(report["tasks"], task=score["task"])["labels"]
        macro = f1_score(gold, answer, labels=labels, average="macro", zero_division=0)
        assert score["measures"]["accuracy"]["value"] == pytest.approx(accuracy_score(gold, answer), abs=1e-12)
        assert score["measures"]["macro_f1"]["value"] == pytest.approx(macro, abs=1e-12)


def numbers(values):
    """Every number of the file with the part that it stands in."""
    if isinstance(values, dict):
        return [number for value in values.values() for number in numbers(value)]
    if isinstance(values, list):
        return [number for value in values for number in numbers(value)]
    return [values] if isinstance(values, float) else []


def test_one_accuracy_stands_in_one_place(one):
    """The published figures are copies by design: two experiments side by side."""
    report = json.loads(format_metrics(one[1]))
    parts = {name: numbers(part) for name, part in report.items() if name not in ("published", "experiment")}
    for lineage in (FIRST, SECOND):
        score = find(report["scores"], lineages=[lineage], task="pubmedqa", split="test", rule="argmax")
        for name in ("macro_f1", "brier"):
            value = score["measures"][name]["value"]
            assert [(part, found.count(value)) for part, found in parts.items() if value in found] == [("scores", 1)]


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
    assert [m["name"] for m in report["measures"]] == list(measures_of("classification"))


def test_every_arm_after_every_stage(one):
    _, report = one
    steps = {(step.arm, step.stage): step for step in report.arms}
    assert steps["isolated", 2].answers == {"pubmedqa": FIRST, "dreaddit": "base/seed-0/dreaddit"}
    assert steps["multitask", 1].tasks == ["pubmedqa", "dreaddit"]
    blend = f"{SECOND}/merged-blend-0.5"
    assert steps["blend-0.5", 2].lineage == blend
    merged = find(report.adapters, lineage=blend)
    assert (merged.sources, merged.remedies) == ([FIRST, SECOND], {"blend": {"alpha": 0.5}})
    assert find(report.adapters, lineage=f"{SECOND}+rehearsal-10").remedies == {"rehearsal": {"share": 0.1}}
    assert all(adapter.bytes for adapter in report.adapters)


def test_generated_answers_without_probabilities(results):
    without_probabilities(results)
    report = json.loads(format_metrics(build_metrics(read_results(made.config(**FAST), results))))
    keys = {"task": "pubmedqa", "split": "test"}
    answers = find(report["predictions"], lineage=FIRST, **keys)
    assert (answers["shortened"], answers["control_tokens"], answers["invalid"]) == (0, 0, 10)
    assert answers["confusion"]["columns"][-1] == "invalid"
    assert answers["ece"] == {"reason": "no label probabilities"}
    score = find(report["scores"], lineages=[FIRST], **keys)
    assert score["measures"]["brier"] == {"reason": "no label probabilities"}
    record = find(report["forgetting"], comparison="paired", after_split="test")
    assert "auroc" not in record
    # Every stage answers the same, so nothing is lost.
    claim = find(report["claims"], kind="kept", task="pubmedqa")
    assert (claim["p"], claim["verdict"]) == (1, "not shown") and "answered as well as before" in claim["reason"]
    assert {r["lineages"][0] for r in report["discrimination"] if r["task"] == "pubmedqa"} == set(BASELINES[1:])
    assert {s["rule"] for s in report["arm_summaries"]} == {"argmax"}
    what = {entry["what"]: entry["reason"] for entry in report["omitted"]}
    assert "were generated" in what["decision rules and discrimination on pubmedqa"]


def test_claims_are_about_the_measure_that_the_configuration_names(results):
    settings = made.config(statistics={"bootstrap_samples": 100, "primary_measure": "macro_f1"})
    report = build_metrics(read_results(settings, results))
    assert report.experiment.primary_measure == "macro_f1"
    assert {claim.measure for claim in report.claims if claim.against != "majority"} == {"macro_f1"}
    for claim in report.claims:
        ours, theirs = (
            find(report.scores, lineages=names, task=claim.task, split="test", rule="argmax").measures[claim.measure]
            for names in (claim.lineages, claim.against_lineages)
        )
        assert claim.difference.value == pytest.approx(ours.value - theirs.value)


@pytest.mark.parametrize("name", ["macro_f1", "brier"])
def test_tau_is_chosen_by_the_measure_that_the_configuration_names(results, name):
    read = read_results(made.config(statistics={"bootstrap_samples": 100, "primary_measure": name}), results)
    report = build_metrics(read)
    validation, taus = read.predictions[SECOND, "pubmedqa", "validation"], np.linspace(0, 3, 61)
    trained_on = [item["label"] for item in read.items_of(SECOND, "pubmedqa", "train")]
    shares = np.array([trained_on.count(label) for label in ("yes", "no", "maybe")]) / len(trained_on)
    adjusted = [validation.logprobs - tau * np.log(shares) for tau in taus]
    values = [(-1 if name == "brier" else 1) * evaluate(validation.gold, logs)[name] for logs in adjusted]
    score = find(report.scores, lineages=[SECOND], task="pubmedqa", split="test", rule="prior-adjusted")
    assert score.tau.value == pytest.approx(taus[np.argmax(np.array(values) >= max(values) - 1e-9)])


def test_without_content_free_answers(results):
    path = results / SECOND / "predictions/receipt.json"
    receipt = json.loads(path.read_text())
    receipt["content_free"].pop("pubmedqa")
    path.write_text(json.dumps(receipt))
    report = build_metrics(read_results(made.config(**FAST), results))
    reason = find(report.omitted, what="the decision rule contextual on pubmedqa").reason
    assert reason.startswith("1 of 3 predictions")
    assert "contextual" not in {summary.rule for summary in report.arm_summaries}
    assert "contextual" in {score.rule for score in report.scores if score.lineages == [FIRST]}


def test_two_runs_write_the_same_bytes(results, tmp_path):
    for name in ("one", "two"):
        assert run(results, output=tmp_path / name / "metrics.json") == 0
    for name in ("metrics.json", "metrics.flat.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert "NaN" not in (tmp_path / "one" / "metrics.json").read_text()


def test_the_flat_file_holds_the_main_figures_by_name(small):
    flat, report = flatten_metrics(small[2]), small[2]
    final = find(report.scores, lineages=[SECOND], task="pubmedqa", split="test", rule="argmax")
    change = find(report.arm_tasks, task="pubmedqa", rule="argmax").change
    entry = flat["sequential"]["pubmedqa"]
    for name in measures_of("classification"):
        assert entry[name] == final.measures[name].model_dump(include={"value", "low", "high"})
        assert entry[f"{name}_change"]["value"] == change[name].value
    assert "accuracy_change" not in flat["sequential"]["dreaddit"]


def test_a_handful_of_items(tmp_path):
    _, report = made.experiment(tmp_path, dict.fromkeys(SMALL, 2), **FAST)
    assert json.loads(format_metrics(report))["omitted"] is not None


def test_settings_from_files(results, tmp_path):
    others = {name: None for name in read_yaml(made.ROOT / "config.yaml")["arms"] if name != "sequential"}
    (tmp_path / "overlay.yaml").write_text(json.dumps({"arms": others}))
    assert run(results, str(made.ROOT / "config.yaml"), str(tmp_path / "overlay.yaml")) == 0
    report = json.loads((results / "report_metrics.json").read_text())
    assert report["experiment"]["splits"] == read_yaml(made.ROOT / "config.yaml")["evaluation"]["splits"]
    assert (report["published"], report["published_source"]) == ([], None)


@pytest.fixture
def zeal():
    """A measure that nobody else knows, declared as any other."""

    @measure("zeal", title="zeal", range=(0, 1))
    def zeal(confusion):
        """Share of answers that are the first label."""
        return confusion[..., 0].sum(-1) / confusion.sum((-2, -1))

    yield zeal
    del measures.MEASURES["zeal"]


def test_a_measure_that_is_declared_is_everywhere(zeal, tmp_path):
    """In scores, comparisons, every table that lists measures, figures, Markdown, metrics.json and the schema."""
    arms = {name: made.ARMS[name] for name in ("sequential", "rehearsal-10")}
    results, metrics = made.experiment(tmp_path, SIZES, arms=arms, seeds=[0, 1], **FAST)
    report = json.loads(format_metrics(metrics))
    jsonschema.validate(report, ReportMetrics.model_json_schema(mode="serialization"))
    answers = results.predictions[SECOND, "pubmedqa", "test"].answer
    for part in ("scores", "arm_comparisons"):
        assert all("zeal" in record["measures"] for record in report[part])
    for part in ("learning", "forgetting"):
        assert all("zeal" in record["changes"] for record in report[part])
    assert all("zeal" in record["average"] for record in report["arm_summaries"])
    score = find(report["scores"], lineages=[SECOND], task="pubmedqa", split="test", rule="argmax")
    assert score["measures"]["zeal"]["value"] == pytest.approx(np.mean(answers == 0))
    assert "zeal" in flatten_metrics(metrics)["sequential"]["pubmedqa"]

    view = View(ReportMetrics.model_validate(report), {})
    figures = draw_figures(view)
    page = Page(html.render(view, figures))
    for name in ("scores-test-pubmedqa", "forgetting-others-test", "learning-others-test", "decisions-pubmedqa"):
        assert any("Zeal" in cell for row in page.tables[name].head for cell in row), name
    assert "Zeal" in page.tables["arms-zeal"].caption
    for name in ("stability-plasticity", "stage-task-matrix"):
        assert any("Zeal" in picture.svg for picture in figures[name].pictures), name
    text = markdown.render(view)
    assert "| Brier score | Zeal |" in text and "balanced accuracy and zeal in percent" in text
