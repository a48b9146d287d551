"""The report: its figures are those of report_metrics.json, and what may be missing does no harm."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from markdown_it import MarkdownIt

from forgetting.config import Config, merge, read_yaml
from forgetting.metrics.schema import ReportMetrics
from forgetting.report import markdown, page
from forgetting.report.curves import read_logs
from forgetting.report.view import View
from scripts import report as step
from tests import report_lab
from tests.workspace import ROOT

BASE, FIRST, SECOND = "base", "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
SECTIONS = (
    "result run data before-after forgetting confusion curves published calibration training provenance"
).split()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return report_lab.write(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def metrics(results):
    return json.loads((results / "report_metrics.json").read_text())


@pytest.fixture
def values(metrics):
    return json.loads(json.dumps(metrics))


@pytest.fixture(scope="module")
def html(results, metrics):
    return render(metrics, results)


@pytest.fixture(scope="module")
def shown(html):
    return report_lab.Page(html)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    results = report_lab.write(tmp_path_factory.mktemp("many"), **report_lab.MANY)
    return View(
        ReportMetrics.model_validate_json((results / "report_metrics.json").read_text()),
        read_logs(
            results, [a["lineage"] for a in json.loads((results / "report_metrics.json").read_text())["adapters"]]
        ),
    )


def view(values, results=None) -> View:
    metrics = ReportMetrics.model_validate(values)
    return View(metrics, read_logs(results, [a.lineage for a in metrics.adapters]) if results else {})


def render(values, results=None) -> str:
    return page.render(view(values, results))


def arguments(metrics, results, out) -> list[str]:
    return ["--metrics", str(metrics), "--results", str(results), "--html", str(out / "r.html"),
            "--markdown", str(out / "r.md")]  # fmt: skip


def find(records, **keys):
    (found,) = [record for record in records if all(record[key] == value for key, value in keys.items())]
    return found


def signed(value) -> str:
    text = f"{100 * value:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def estimate(value, write=lambda v: f"{100 * v:.1f}") -> str:
    return f"{write(value['value'])} [{write(value['low'])}, {write(value['high'])}]"


# The figures


def test_scores_of_every_adapter_and_task_are_those_of_the_metrics(metrics, shown):
    rows = {
        BASE: "untuned base model stage 0",
        FIRST: "after pubmedqa stage 1",
        SECOND: "after pubmedqa → dreaddit stage 2",
        "majority": "majority class",
        "tfidf": "TF-IDF + logistic regression",
    }
    for split in ("test", "validation"):
        for lineage, name in rows.items():
            cells = [cell.removeprefix("● ") for cell in shown.tables[f"scores-{split}"].row(name)[1:]]
            expected = []
            for task in ("pubmedqa", "dreaddit"):
                score = find(metrics["scores"], lineage=lineage, task=task, split=split)
                expected += [estimate(score["accuracy"]), estimate(score["macro_f1"])]
            assert cells == expected, (split, lineage)


def test_a_dot_marks_what_was_learnt(shown):
    table = shown.tables["scores-test"]
    assert not any("●" in cell for cell in table.row("untuned base model stage 0"))
    assert ["●" in cell for cell in table.row("after pubmedqa stage 1")[1:]] == [True, True, False, False]
    assert all("●" in cell for cell in table.row("after pubmedqa → dreaddit stage 2")[1:])


def test_forgetting_is_that_of_the_metrics(metrics, shown):
    record = find(metrics["forgetting"], comparison="paired", before_split="test")
    (row,) = shown.tables["forgetting-test"].rows
    accuracy, macro_f1 = record["changes"]
    pairs = record["pairs"]
    assert row[0] == "pubmedqa learnt at stage 1, 120 test items"
    assert row[1].endswith(record["claim"])
    assert row[2] == f"{100 * accuracy['before']:.1f} → {100 * accuracy['after']:.1f}"
    assert row[3] == estimate(accuracy["difference"], signed)
    assert row[5] == estimate(macro_f1["difference"], signed)
    assert row[6:9] == [str(pairs["right_both"]), str(pairs["lost"]), str(pairs["gained"])]
    assert row[9] == ("< 0.001" if pairs["mcnemar_p"] < 0.001 else f"{pairs['mcnemar_p']:.3f}")
    assert row[10] == estimate(record["over_majority"], signed)


def test_the_published_way_is_shown_but_claims_nothing(metrics, shown):
    (row,) = shown.tables["published-way"].rows
    assert "not claimed" in row[1] and row[6].startswith("–")
    assert "120 test items, then 40 validation items" in row[0]


def test_learning_is_that_of_the_metrics(metrics, shown):
    rows = shown.tables["learning-test"].rows
    records = [record for record in metrics["learning"] if record["split"] == "test"]
    assert len(rows) == len(records) == 8
    for row, record in zip(rows, records, strict=True):
        assert row[1].startswith(("▲", "≈", "▼", "○")) and record["claim"] in row[1]
        assert row[3] == estimate(record["changes"][0]["difference"], signed)


def test_confusion_counts_and_their_totals(metrics, shown):
    for lineage in (BASE, FIRST, SECOND):
        for task in ("pubmedqa", "dreaddit"):
            score = find(metrics["scores"], lineage=lineage, task=task, split="test")
            table = shown.tables[f"confusion-test-{task}-{lineage}".replace("/", ":")]
            counts = [[int(cell.split()[0]) for cell in row[1:]] for row in table.rows]
            assert counts == score["confusion"]["counts"]
            assert sum(map(sum, counts)) == score["items"]


def test_invalid_answers_are_counted_and_shown(values):
    score = find(values["scores"], lineage=SECOND, task="dreaddit", split="test")
    score["confusion"]["columns"].append("invalid")
    for row in score["confusion"]["counts"]:
        row[0] -= 3
        row.append(3)
    score["invalid"] = 6
    found = view(values)
    shown = report_lab.Page(page.render(found))
    table = shown.tables["confusion-test-dreaddit-base:seed-0:pubmedqa:dreaddit"]
    assert table.head[-1][-1] == "invalid" and "6 invalid answers" in table.caption
    assert "On dreaddit 6 of 120 answers of the adapter pubmedqa → dreaddit are no label (5.0%)" in shown.text
    assert "| invalid |" not in markdown.render(found) and "Answer: invalid" in markdown.render(found)


def test_calibration_and_training_are_those_of_the_metrics(metrics, shown):
    score = find(metrics["scores"], lineage=SECOND, task="pubmedqa", split="test")
    row = shown.tables["calibration-test"].row("after pubmedqa → dreaddit stage 2")
    assert row[1:4] == [
        f"{100 * score['ece']['value']:.1f}",
        f"{score['log_loss']['value']:.4g}",
        f"{100 * score['label_mass']['value']:.1f}",
    ]
    training = metrics["training"][0]
    row = shown.tables["training"].row("pubmedqa stage 1")
    assert row[1:3] == [str(training["items"]), str(training["steps"])]
    assert row[7] == f"{training['final_loss']:.4g}"
    assert row[9] == f"{training['best_eval_loss']:.4g} at step {training['best_eval_step']}"


def test_data_shows_what_was_set_aside_and_every_label(metrics, shown):
    row = shown.tables["sources"].row("pubmedqa")
    task = metrics["tasks"][0]
    assert row[4:7] == [str(task["rows"]), "4", "empty text 3, unknown label 1"]
    labels = " ".join(cell for row in shown.tables["splits"].rows for cell in row)
    for split in metrics["splits"]:
        for entry in split["labels"]:
            assert f"{entry['label']} {entry['items']} ({100 * entry['share']:.1f}%)" in labels
    checksums = {cell for row in shown.tables["checksums"].rows for cell in row}
    assert {split["sha256"] for split in metrics["splits"]} <= checksums


def test_published_figures_say_what_differs(values, shown):
    table = shown.tables["published"]
    accuracy = find(values["published"], stage=1, task="pubmedqa", metric="accuracy")
    row = next(row for row in table.rows if row[0] == "accuracy")
    assert row[1:3] == ["62.9 n = 105", estimate(accuracy["ours"])]
    assert row[4] == "model; data (embedded sample); items (105 against 120)"
    # No model has a part in the majority class's accuracy.
    majority = next(row for row in table.rows if row[0] == "accuracy of the majority class")
    assert majority[4] == "data (embedded sample); items (105 against 120)"
    values["experiment"]["model"] = "llama-3.2-1b-instruct"
    values["tasks"][0] |= {"sample": False, "source": "original", "split": "published"}
    accuracy["our_items"] = 105
    row = next(row for row in report_lab.Page(render(values)).tables["published"].rows if row[0] == "accuracy")
    assert row[4] == "nothing known"


def test_without_published_figures_a_sentence_says_so(values):
    values |= {"published_source": None, "published": []}
    shown = report_lab.Page(render(values))
    assert "names no published figures" in shown.text and "published" not in shown.tables
    assert "names no published figures" in markdown.render(view(values))


def test_markdown_has_the_shape_of_a_training_report_and_the_same_figures(metrics, results):
    text = markdown.render(view(metrics, results))
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "## Overview",
        "## Stage 1: pubmedqa",
        "## Stage 2: dreaddit",
        "## Cross-task evaluation",
        "## Observations",
        "## Provenance",
    ]
    score = find(metrics["scores"], lineage=FIRST, task="pubmedqa", split="test")
    assert f"| ● {estimate(score['accuracy'])} | ● {estimate(score['macro_f1'])} |" in text
    # Every table is whole: as many cells in each row as in its head.
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert len(tables) > 15
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert rendered.count("<table>") == len(tables)
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_a_training_that_overfits_is_noticed(metrics, results):
    values = json.loads(json.dumps(metrics))
    values["training"][0]["best_eval_step"] = 30
    assert "validation loss was lowest at step 30" in report_lab.Page(render(values, results)).text
    # Without a later evaluation there is nothing to say.
    values["training"][0]["best_eval_step"] = 40
    assert "validation loss was lowest" not in report_lab.Page(render(values, results)).text


# The page


def test_sections_stand_in_order_and_headings_skip_no_level(shown):
    assert [values["id"] for values in shown.all("section")] == SECTIONS
    levels = [int(tag[1]) for tag, _ in shown.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_the_page_is_self_contained_and_accessible(html, shown):
    assert not shown.all("script") and not shown.all("iframe") and not re.search(r"@import|https?://", css(html))
    for tag, values in shown.elements:
        assert not any(name.startswith("on") for name in values)
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert values.get(name, "#").startswith(("#", "data:,")), (tag, values)
    assert not re.search(r"url\((?!#)", html)
    ids = [values["id"] for _, values in shown.elements if "id" in values]
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]+)"', html)) | set(re.findall(r"url\(#([^)]+)\)", html))
    named = {name for _, values in shown.elements for name in (values.get("aria-labelledby") or "").split()}
    assert targets | named <= set(ids)
    assert all(table.caption.strip() for table in shown.tables.values())
    assert all(values.get("scope") for values in shown.all("th"))
    for values in shown.all("svg"):
        assert values.get("aria-hidden") == "true" or (values["role"] == "img" and values["aria-labelledby"])
    assert len(re.findall(r"<svg [^>]*role=\"img\"[^>]*><title", html)) == 4 + 4 + 6


def css(html: str) -> str:
    return re.search(r"<style>(.*?)</style>", html, re.S)[1]


def test_colours_can_be_read_in_both_modes(html):
    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    blocks = re.findall(r":root \{(.*?)\}", css(html), re.S)
    assert len(blocks) == 2
    for block in blocks:
        colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for name in ("ink", "muted", "link", "up", "down"):
            assert contrast(colors[name], colors["paper"]) >= 4.5, name
            assert contrast(colors[name], colors["card"]) >= 4.5, name
        for number in range(6):
            assert contrast(colors[f"c{number}"], colors["paper"]) >= 3, number
    assert not re.search(r"#fe00[01]", html)


def test_a_banner_stands_where_the_data_is_a_sample_and_nowhere_else(values, shown, html):
    assert "Figures on a sample are no scientific result." in shown.text
    values["tasks"][0] |= {"sample": False, "source": "original"}
    assert "embedded sample for dreaddit: made-up" in report_lab.Page(render(values)).text
    values["tasks"][1] |= {"sample": False, "source": "original"}
    values["experiment"]["sample"] = False
    plain = report_lab.Page(render(values))
    assert "no scientific result" not in plain.text and not [v for v in plain.all("p") if v.get("role") == "note"]
    assert "> **Sample.**" not in markdown.render(view(values))


def test_no_text_of_an_item_is_in_the_report(results, metrics, html):
    text = html + markdown.render(view(metrics, results))
    items = [json.loads(line) for path in results.glob("data/*/*.jsonl") for line in path.read_text().splitlines()]
    assert len(items) > 300
    for item in items:
        for field in item["fields"].values():
            assert field not in text and " ".join(field.split()[:5]) not in text


def test_the_resolved_configuration_gives_the_same_experiment_again(metrics, html):
    text = re.search(r'<pre id="config"><code>(.*?)</code>', html, re.S)[1]
    import html as entities

    overlay = yaml.safe_load(entities.unescape(text))
    assert overlay == metrics["experiment"]["config"]
    again = Config.model_validate(merge(read_yaml(ROOT / "config.yaml"), overlay))
    assert again.model_dump(mode="json", exclude={"mirror"}) == metrics["experiment"]["config"]


def test_markup_in_labels_licences_and_names_is_shown_not_obeyed(values):
    evil = '<script>alert("x")</script> & | `*b*` [a](http://evil.example)'
    text = json.dumps(values).replace("no stress", json.dumps(evil)[1:-1])
    values = json.loads(text)
    values["tasks"][0]["licence"] = evil
    values["omitted"] = [{"what": evil, "reason": evil}]
    html = render(values)
    shown = report_lab.Page(html)
    assert not shown.all("script") and "&lt;script&gt;alert(" in html and evil in shown.text
    text = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown.render(view(values)))
    assert "<script" not in text and "<a " not in text and "<code>*b*" not in text and "<em>b" not in text
    assert evil in " ".join(report_lab.Page(text.replace("<table>", '<table id="t">')).text.split())


def test_three_arms_two_seeds_and_three_stages(many):
    html = page.render(many)
    shown = report_lab.Page(html)
    ids = [values["id"] for _, values in shown.elements if "id" in values]
    assert len(ids) == len(set(ids))
    assert len(many.adapters) == 12
    table = shown.tables["scores-test"]
    assert [row[0] for row in table.rows] == [
        "untuned base model stage 0",
        *["seed 0", "seed 1"] * 6,
        "majority class",
        "TF-IDF + logistic regression",
        "TF-IDF + logistic regression, balanced",
    ]
    assert table.parts[:2] == [
        "After pubmedqa: stage 1, arms sequential, gentle",
        "After pubmedqa → dreaddit: stage 2, arm sequential",
    ]
    scores = {(s.lineage, s.task, s.split): s for s in many.metrics.scores}
    for row, lineage in zip(table.rows[1:13], many.adapters, strict=True):
        assert row[0] == f"seed {many.adapters[lineage].seed}"
        for task, cell in (("pubmedqa", row[1]), ("dreaddit", row[3])):
            assert cell.removeprefix("● ") == estimate(scores[lineage, task, "test"].accuracy.model_dump())
    settings = shown.tables["settings"]
    assert settings.head[0][1:] == ["every other stage", "pubmedqa → dreaddit-slow"]
    assert settings.row("learning rate")[1:] == ["0.0005", "1e-05"]
    # Arms that share an adapter share its row, its sentence and its comparison.
    leads = re.findall(r"<p><strong>([^<]+)\.</strong>", html)
    assert leads == ["Arms sequential and gentle", "Arm sequential", "Arm gentle", "Arm reverse"]
    assert len(shown.tables["forgetting-test"].rows) == 8
    assert "over 2 seeds" in shown.text
    assert "## Stage 3: pubmedqa" in markdown.render(many)


# What may be missing


def test_everything_that_may_be_null_is_shown_as_a_dash_with_its_reason(values):
    for record in values["training"]:
        for key in record:
            if key not in ("lineage", "stage", "task", "seed", "packages"):
                record[key] = None
    for score in values["scores"]:
        missing = {"value": None, "reason": "no label probabilities"}
        score |= {"ece": missing, "log_loss": missing, "label_mass": missing, "calibration": []}
        score["macro_f1"] |= {"low": None, "high": None, "reason": "too few items to resample"}
    values["scores"] = [score for score in values["scores"] if score["lineage"] != "tfidf"]
    values["learning"] = [record for record in values["learning"] if record["against"] != "tfidf"]
    values["omitted"] = [
        {"what": f"baseline tfidf on {task}", "reason": "one label"} for task in ("pubmedqa", "dreaddit")
    ]
    values["forgetting"][0] |= {"pairs": None, "over_majority": None, "over_base": None, "changes": []}
    values["tasks"][0] |= {"licence": None, "files": [], "set_aside": []}
    values["experiment"]["config"] = {}
    found = view(values)
    shown = report_lab.Page(page.render(found))
    text = shown.text
    for reason in ("no label probabilities", "too few items to resample", "not recorded", "no licence is stated"):
        assert reason in text, reason
    assert shown.tables["training"].row("pubmedqa stage 1")[1:] == ["–a"] * 12
    assert "Not computed is baseline tfidf on pubmedqa; one label" in text
    assert "no training log was read" in text and "there are no label probabilities" in text
    assert "None" not in text and not re.search(r"\bnan\b", text)
    assert "None" not in markdown.render(found)


def test_a_missing_baseline_is_named_with_its_reason(values):
    keep = [s for s in values["scores"] if (s["lineage"], s["task"]) != ("tfidf", "dreaddit")]
    values |= {"scores": keep, "omitted": [{"what": "baseline tfidf on dreaddit", "reason": "one label only"}]}
    shown = report_lab.Page(render(values))
    row = shown.tables["scores-test"].row("TF-IDF + logistic regression")
    assert row[3:] == ["–a", "–a"] and row[1] != "–a" and "a one label only" in shown.text


def test_one_stage_alone_is_no_case_of_forgetting(tmp_path):
    results = report_lab.write(tmp_path, arms={"sequential": {"stages": [{"task": "pubmedqa"}]}})
    values = json.loads((results / "report_metrics.json").read_text())
    shown = report_lab.Page(render(values, results))
    assert "nothing is said about forgetting" in shown.text
    assert "there is nothing to compare" in shown.text and "there is nothing to compare" in markdown.render(
        view(values)
    )


def test_missing_and_empty_training_logs_become_a_reason(tmp_path, metrics, results):
    folder = tmp_path / SECOND / "adapter"
    folder.mkdir(parents=True)
    (folder / "training_log.csv").write_text("step,epoch,split,metric,value\n")
    text = report_lab.Page(render(metrics, tmp_path)).text
    assert "no training log: training_log.csv is not there" in text and "the training log is empty" in text


# The step


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
    for file in ("r.html", "r.md"):
        first = (tmp_path / "one" / file).read_bytes()
        assert len(first) > 5000
        assert first == (tmp_path / "two" / file).read_bytes() == (tmp_path / "three" / file).read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "report_metrics.json is missing"),
        ("{", "is not valid JSON"),
        ("[]", "'the whole file' does not fit the schema"),
        ({"schema_version": 2}, "'schema_version' does not fit the schema"),
        ({"surprise": 1}, "'surprise' does not fit the schema"),
        ({"scores": None}, "'scores' does not fit the schema"),
        ({"scores": [{"lineage": "base"}]}, "'scores.0.kind' does not fit the schema"),
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
    from types import SimpleNamespace

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
