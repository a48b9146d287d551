"""Probes on the page and in the Markdown file: their section, picture, sentences and claims."""

import csv
import io

import pytest

from stagewise.report import markdown
from stagewise.report.figures.figure import DrawnFigure
from stagewise.report.figures.registry import declared_figures
from stagewise.report.tables import arms, claims, probes, setup
from stagewise.report.text.observations import observations
from stagewise.report.text.verdicts import conclusions, headline
from tests.helpers import report_experiments
from tests.helpers.records import find
from tests.helpers.report_experiments import PROBES, SECOND, Page, claim, render, shows, signed, view

NAMES = ["topics", "pubmedqa", "arc_easy", "prose"]


@pytest.fixture
def values():
    """One run."""
    return report_experiments.metrics("probes")


@pytest.fixture
def several():
    """Two seeds."""
    return report_experiments.metrics("probed")


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def said(values, arm="sequential") -> str:
    (text,) = [paragraph.text for paragraph in conclusions(view(values)) if paragraph.lead == f"Arm {arm}"]
    return plain(text)


def test_a_page_without_probes_says_nothing_of_them(shown):
    assert "probes" not in shown.tables and "Probe" not in shown.text


def test_the_section_has_a_row_for_each_arm_and_probe(values):
    table = Page(render(values)).tables["probes"]
    assert [part.split(":")[0] for part in table.parts] == NAMES
    assert table.parts[-1] == "prose: bits per byte, lower is better, 60 items"
    assert [row[0] for row in table.rows].count("1 sequential reference") == 3  # it learns the fourth
    record = find(values["probe_changes"], probe="arc_easy", lineages=[SECOND], against="base")
    row = next(row for row in table.rows if row[:2] == ["1 sequential reference", "lower"])
    change = record["change"]
    assert row[5] == f"{signed(change['value'])} [{signed(change['low'])}, {signed(change['high'])}]"
    isolated = [row for row in table.rows if row[0] == "2 isolated"]
    assert len(isolated) == 3 and all(row[1].startswith("–") and row[2] == row[4] for row in isolated)


def test_values_after_each_stage_are_those_of_the_records(values):
    table = probes.probes(view(values))
    row = table.rows[-2]
    assert row[0].text == "3 rehearsal-10"
    lineages = [s["lineage"] for s in values["arms"] if s["arm"] == "rehearsal-10"]
    shown = [find(values["probe_scores"], lineages=[name], probe="prose")["value"]["value"] for name in lineages]
    assert [cell.text for cell in row[2:5]] == [f"{value:.3f}" for value in shown]


def test_a_probe_is_no_learnt_task(values):
    shown = view(values)
    assert shown.tasks == ["pubmedqa", "dreaddit"] and shown.every_task == ("pubmedqa", "dreaddit", "topics")
    columns = [column.text for column in arms.short(shown).columns]
    assert columns == ["Arm", "Task 1", "Task 2", "Average", "Backward transfer", "Probes lost"]
    row = arms.short(shown).rows[0]
    assert (row[-1].text, row[-1].detail, row[-1].sign) == ("2 of 3", "arc_easy, prose", "■")
    rows = {row[0].text: row[1].text for row in setup.run(shown).rows}
    assert rows["Tasks"] == "pubmedqa, dreaddit"
    assert rows["Probes, which are scored and not learnt"] == ", ".join(NAMES)
    page = Page(render(values))
    assert "scores-test-topics" in page.tables  # it has its scores and baselines like any task
    assert "Probes, change" in [cell for row in page.tables["matrix-metrics"].head for cell in row]


def test_sentences_are_what_the_claims_say(values, several):
    shows(claim(values, "probe", "prose"), "worse", 0.02, 0.031, 0.04)
    assert "This adapter lost on the probe prose: bits per byte 0.869 → " in said(values)
    assert ", +0.031 bits [+0.020, +0.040], corrected p = 0.010." in said(values)
    shows(claim(values, "probe", "topics"), "not shown", -0.02, 0.03, 0.08, p_corrected=0.2, detectable=0.094)
    text = "+3.0 points [−2.0, +8.0], corrected p = 0.200; less than about 9.4 points would mostly go unseen."
    assert "No change on the probe topics is shown: accuracy" in said(values) and text in said(values)
    shows(claim(values, "probe", "arc_easy"), "better", 0.02, 0.03, 0.08)
    assert "This adapter gained on the probe arc_easy" in said(values)
    shows(claim(several, "probe", "arc_easy"), "worse", -0.3, -0.2, -0.1)
    assert "It loses on the probe arc_easy: accuracy" in said(several) and "forgets arc_easy" not in said(several)
    shows(claim(several, "probe", "prose"), "better", -0.3, -0.2, -0.1)
    assert "It gains on the probe prose" in said(several)
    shows(claim(several, "arms", "prose", "rehearsal-10"), "better", -0.3, -0.2, -0.1)
    assert "Against sequential it is better on the probe" in said(several, "rehearsal-10")


def test_of_many_probes_only_what_is_shown_is_told(values):
    names = [f"task_{n}" for n in range(8)]
    for part in ("probes", "probe_scores", "probe_changes"):
        (values[part], old) = ([r for r in values[part] if r["probe"] != "arc_easy"], values[part])
        values[part] += [r | {"probe": name} for r in old if r["probe"] == "arc_easy" for name in names]
    for step in values["arms"]:
        step["answers"] |= dict.fromkeys(names, step["answers"]["arc_easy"])
    old = claim(values, "probe", "arc_easy")
    values["claims"] += [
        old | {"task": name, "verdict": "worse" if name == "task_3" else "not shown"} for name in names
    ]
    shows(claim(values, "probe", "prose"), "not shown", -0.1, 0.1, 0.2)
    text = said(values)
    assert "lost on the probe task_3" in text and "task_2" not in text
    assert "No change is shown on 9 other probes." in text


def test_the_headline_names_a_shown_loss(several):
    for probe in ("topics", "arc_easy", "prose"):
        shows(claim(several, "probe", probe), "not shown", -0.1, 0.1, 0.2)
    assert "probe" not in headline(view(several)).text
    shows(claim(several, "probe", "arc_easy"), "worse", -0.3, -0.2, -0.1)
    assert "; it loses on the probe arc_easy (−20.0 points [−30.0, −10.0])" in headline(view(several)).text
    # Where there is no earlier task, the probes are what there is to say.
    several["claims"] = [c for c in several["claims"] if c["kind"] != "kept"]
    assert headline(view(several)).text.startswith("Arm sequential loses on the probe arc_easy")
    shows(claim(several, "probe", "arc_easy"), "not shown", -0.3, -0.2, 0.1)
    assert headline(view(several)).text.startswith("Arm sequential is not shown to lose on any of 3 probes")


def test_without_a_claim_the_change_stands_as_a_figure(several):
    several["claims"] = [c for c in several["claims"] if "rehearsal-10" not in c["arms"] or c["kind"] != "probe"]
    assert "Nothing is claimed about its probes: topics +" in said(several, "rehearsal-10")


def test_claims_of_probes_have_a_part_and_words_by_direction(values):
    table = claims.claims(view(values))
    assert "Probes at the end, against the untuned model" in table.parts.values()
    lost = claim(values, "probe", "prose")
    shows(lost, "worse", 0.02, 0.031, 0.04)
    row = next(row for row in claims.claims(view(values)).rows if row[3].text == "+0.031")
    assert (row[1].text, row[1].detail, row[-1].text) == ("prose", "bits per byte", "higher")


def test_the_picture_has_the_changes_and_the_claims(several):
    shown, figure = view(several), declared_figures()["probes"]
    data = figure.data(shown)
    drawn = DrawnFigure("probes", figure, data, figure.draw(shown, data))
    rows = list(csv.DictReader(io.StringIO(drawn.csv)))
    assert [p.caption for p in drawn.pictures] == [
        "topics, 120 items",
        "pubmedqa, 120 items",
        "arc_easy, 150 items",
        "prose, 60 items; lower is better",
    ]
    since = [r for r in several["probe_changes"] if r["against"] == "base"]
    assert len(rows) == len(since)
    for row, record in zip(rows, sorted(since, key=lambda r: NAMES.index(r["probe"])), strict=True):
        assert (row["arms"], row["change"]) == (" ".join(record["arms"]), str(record["change"]["value"]))
    last = find(rows, probe="prose", arms="sequential", stage="2")
    assert last["verdict"] == claim(several, "probe", "prose")["verdict"] == "worse"
    assert find(rows, probe="prose", arms="sequential rehearsal-10", stage="1")["verdict"] == ""


def test_changes_between_stages_are_observed_without_a_claim(values):
    text = "\n".join(plain(sentence.text) for sentence in observations(view(values)))
    assert "After stage 1 (pubmedqa) the probe prose had changed by +" in text
    table = probes.every_change(view(values))
    assert [column.text for column in table.columns][-2:] == ["Since the stage before", "p"]
    assert len(table.rows) == len([r for r in values["probe_changes"] if r["against"] == "base"])


def test_the_markdown_file_has_the_section(values):
    text = markdown.render(view(values))
    assert "### Probes" in text and "**prose: bits per byte, lower is better, 60 items**" in text
    assert set(PROBES["probes"]["texts"]) == {"prose"} and "prose.txt" not in text


def test_an_arm_that_learns_nothing_has_its_probes(tmp_path):
    stages = [{"adapter": "runs/mine"}, {"adapter": "runs/later"}]
    overlay = {"arms": {"sequential": None, "mine": {"stages": stages}}}
    results = report_experiments.write(tmp_path, **overlay, probes={"harness": ["arc_easy"]})
    record = report_experiments.json.loads((results / "report_metrics.json").read_text())
    assert [(c["kind"], c["task"]) for c in record["claims"]] == [("probe", "arc_easy")]
    page = Page(render(record, results))
    assert [cell for row in page.tables["arms-short"].head for cell in row] == ["Arm", "Probes lost"]
    assert len(page.tables["probes"].rows) == 1 and "lost on the probe arc_easy" in page.text
