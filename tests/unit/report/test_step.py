"""The step that writes the report: what may be missing does no harm, what is wrong is refused in one sentence."""

import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from scripts import report as step
from stagewise.report import html, markdown
from tests.helpers import report_experiments
from tests.helpers.project_copy import ROOT
from tests.helpers.report_experiments import FIRST, SECOND, Page, arguments, render, view


def test_everything_that_may_be_null_is_shown_as_a_dash_with_its_reason(values):
    for record in values["training"]:
        for key in record:
            if key not in ("lineage", "stage", "task", "seed", "packages"):
                record[key] = None
    missing = {"value": None, "reason": "no label probabilities"}
    for answers in values["predictions"]:
        answers |= {"ece": missing, "label_mass": missing, "calibration": []}
    for score in values["scores"]:
        score["measures"]["brier"] = missing
        score["measures"]["macro_f1"] |= {"low": None, "high": None, "reason": "too few items to resample"}
    values["discrimination"] = []
    for part in ("scores", "predictions"):
        values[part] = [r for r in values[part] if "tfidf" not in (r.get("lineage"), *r.get("lineages", []))]
    values["learning"] = [record for record in values["learning"] if record["against"] != "tfidf"]
    values["omitted"] = [
        {"what": f"baseline tfidf on {task}", "reason": "one label"} for task in ("pubmedqa", "dreaddit")
    ]
    values["forgetting"][0] |= {"pairs": None, "changes": {}}
    values["tasks"][0] |= {"licence": None, "files": [], "set_aside": []}
    values["experiment"]["config"] = {}
    found = view(values)
    shown = Page(html.render(found))
    text = shown.text
    for reason in ("no label probabilities", "too few items to resample", "not recorded", "no licence is stated"):
        assert reason in text, reason
    assert shown.tables["training"].row("pubmedqa stage 1")[1:] == ["–a"] * 8
    assert shown.tables["losses"].row("pubmedqa stage 1")[1:] == ["–a"] * 4
    assert "Baseline tfidf on pubmedqa: not computed; one label" in text
    assert "no training log was read" in text and "there are no label probabilities" in text
    assert "None" not in text and not re.search(r"\bnan\b", text)
    assert "None" not in markdown.render(found)


def test_a_missing_baseline_is_named_with_its_reason(values):
    keep = [s for s in values["scores"] if (s["lineages"], s["task"]) != (["tfidf"], "dreaddit")]
    values |= {"scores": keep, "omitted": [{"what": "baseline tfidf on dreaddit", "reason": "one label only"}]}
    shown = Page(render(values))
    first, second = (
        shown.tables[f"scores-test-{task}"].row("TF-IDF + logistic regression") for task in ("pubmedqa", "dreaddit")
    )
    assert second[1:] == ["–c"] * 5 and first[1] != "–c" and "c one label only" in shown.text


def test_one_stage_alone_is_no_case_of_forgetting(tmp_path):
    results = report_experiments.write(tmp_path, arms={"sequential": {"stages": [{"task": "pubmedqa"}]}})
    values = json.loads((results / "report_metrics.json").read_text())
    shown = Page(render(values, results))
    assert "nothing is said about forgetting" in shown.text
    assert "there is nothing to compare" in shown.text and "there is nothing to compare" in markdown.render(
        view(values)
    )


def test_missing_and_empty_training_logs_become_a_reason(tmp_path, metrics, results):
    folder = tmp_path / SECOND / "adapter"
    folder.mkdir(parents=True)
    (folder / "training_log.csv").write_text("step,epoch,split,metric,value\n")
    words = arguments(results / "report_metrics.json", tmp_path, tmp_path)
    assert step.main(words[: words.index("--items")]) == 0
    text = Page((tmp_path / "r.html").read_text()).text
    assert "no training log: training_log.csv is not there" in text and "the training log is empty" in text
    assert not (tmp_path / "figures/curves.csv").exists() and (tmp_path / "figures/scores.svg").exists()


def test_the_same_figures_give_the_same_bytes(results, tmp_path):
    import matplotlib

    metrics = results / "report_metrics.json"
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    assert step.main(arguments(metrics, results, tmp_path / "one")) == 0
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "text.usetex": False}):
        assert step.main(arguments(metrics, results, tmp_path / "two")) == 0
    command = [sys.executable, "-m", "scripts.report", *arguments(metrics, results, tmp_path / "three")]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"})
    pictures = {path.name for path in (tmp_path / "one" / "figures").iterdir()}
    assert len(pictures) > 10 and all(name.endswith((".csv", ".svg")) for name in pictures - {"receipt.json"})
    for file in ("r.html", "r.md", "items.html", *(f"figures/{name}" for name in pictures)):
        first = (tmp_path / "one" / file).read_bytes()
        assert len(first) > 40
        assert first == (tmp_path / "two" / file).read_bytes() == (tmp_path / "three" / file).read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "report_metrics.json is missing"),
        ("{", "is not valid JSON"),
        ("[]", "report_metrics.json is not an object with keys"),
        (
            {"schema_version": 1},
            "has schema_version 1 and this report reads 4, 5, 6; run the step that writes it again",
        ),
        ({"schema_version": None}, "has schema_version None"),
        ({"surprise": 1}, "'surprise' does not fit the schema"),
        ({"scores": None}, "'scores' does not fit the schema"),
        ({"scores": [{"lineages": ["base"]}]}, "'scores.0.task' does not fit the schema"),
    ],
)
def test_a_file_that_is_no_report_metrics_is_refused_in_one_sentence(text, said, metrics, tmp_path, capsys):
    path = tmp_path / "m.json"
    if text is not None:
        path.write_text(text if isinstance(text, str) else json.dumps(metrics | text))
    assert step.main(arguments(path, tmp_path, tmp_path)) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"error: {path}: ") and said in error and "\n" not in error
    assert not list(tmp_path.glob("r.*"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("step,epoch,split,value\n", "needs the column 'metric'"),
        ("step,epoch,split,metric,value\n5,1,train,loss,high\n", "line 2 is no log entry"),
        ("step,epoch,split,metric,value\n5,1\n", "line 2 is no log entry"),
        (b"\xff\xfe\x00", "not a training log"),
    ],
)
def test_a_broken_training_log_is_refused_in_one_sentence(text, said, results, tmp_path, capsys):
    folder = tmp_path / FIRST / "adapter"
    folder.mkdir(parents=True)
    (folder / "training_log.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert step.main(arguments(results / "report_metrics.json", tmp_path, tmp_path)) == 2
    error = capsys.readouterr().err.strip()
    assert "training_log.csv" in error and said in error and "run the training again" in error and "\n" not in error
    assert not list(tmp_path.glob("r.*"))


def test_captions_for_snakemakes_own_report_render(metrics):
    from docutils.core import publish_parts
    from jinja2 import Environment, StrictUndefined

    captions = sorted((ROOT / "report").glob("*.rst"))
    assert [path.stem for path in captions] == ["markdown", "metrics", "report", "workflow"]
    for path in captions:
        text = (
            Environment(undefined=StrictUndefined)
            .from_string(path.read_text())
            .render(snakemake=SimpleNamespace(config=yaml.safe_load((ROOT / "config.yaml").read_text())))
        )
        body = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]
        assert len(body) > 100 and "{" not in body
