"""Tasks of several kinds on the page: each by the measures of its kind, means by the tasks' own ones."""

import csv
import io
import json
import re

import pytest

from stagewise.report import html, items_page, markdown
from stagewise.report.figures.registry import draw_figures
from stagewise.report.items_page import read_changes
from tests.helpers import report_experiments
from tests.helpers.records import find
from tests.helpers.report_experiments import Page, estimate, render, score, view

OWN = {"grades": "rank_error", "notes": "token_f1", "topics": "jaccard", "pubmedqa": "accuracy", "quiz": "accuracy"}
LEARNT = ("grades", "notes", "topics", "pubmedqa")
LAST, NOTES = "base/seed-0/grades/notes/topics/pubmedqa", "base/seed-0/grades/notes"


@pytest.fixture(scope="module")
def kinds():
    return report_experiments.experiment("kinds")


@pytest.fixture
def values(kinds):
    return json.loads((kinds / "report_metrics.json").read_text())


@pytest.fixture(scope="module")
def page(kinds):
    return Page(render(report_experiments.metrics("kinds"), kinds))


@pytest.fixture(scope="module")
def figures(kinds):
    return draw_figures(view(report_experiments.metrics("kinds"), kinds))


def numbers(figure):
    return list(csv.DictReader(io.StringIO(figure.csv)))


def test_each_table_has_the_measures_of_the_tasks_kind(page):
    heads = {task: page.tables[f"scores-test-{task}"].head[-1][1:] for task in OWN}
    assert heads["notes"] == ["Token F1", "Exact match", "Numeric match", "ROUGE-L"]
    assert heads["topics"][:2] == ["Jaccard index", "Subset accuracy"]
    assert heads["grades"][0] == "Rank error" and "Quadratic kappa" in heads["grades"]
    assert heads["quiz"] == ["Accuracy", "Brier score"]
    assert not any("Task score" in head for head in heads.values())


def test_no_column_is_empty(page):
    for name, table in page.tables.items():
        for column in range(1, len(table.head[-1])):
            cells = [row[column] for row in table.rows if len(row) > column]
            if "others" in name or name.startswith(("scores-", "arms")):
                assert any(cell not in ("–", "") for cell in cells), (name, table.head[-1][column])


def test_final_scores_are_each_tasks_own_and_the_average_is_their_task_score(page, values):
    table = page.tables["arms"]
    assert [head for head in table.head[0] if head] == ["Rank error", "Token F1", "Jaccard index", "Accuracy"]
    row = table.rows[0]
    for column, task in enumerate(LEARNT, start=1):
        assert row[column].startswith(estimate(score(values, LAST, task)["measures"][OWN[task]]).split(" ")[0])
    rank, *others = (score(values, LAST, task)["measures"][OWN[task]]["value"] for task in LEARNT)
    assert row[5].split(" ")[0] == f"{100 * (1 - rank + sum(others)) / 4:.1f}"
    caption = "rank error of grades, token F1 of notes, Jaccard index of topics, accuracy of pubmedqa"
    assert f"Each task's own measure ({caption})" in page.text


def test_tasks_without_label_probabilities_are_left_out_of_their_tables(page, values):
    for prefix in ("calibration-test", "decisions"):
        assert {task for task in OWN if f"{prefix}-{task}" in page.tables} == {"grades", "pubmedqa", "quiz"}
    assert {task for task in OWN if f"labels-test-{task}" in page.tables} == {"grades", "pubmedqa", "topics"}
    assert not any(name.startswith("confusion-test-topics") for name in page.tables)
    assert "Answers are generated, not one of the labels, so there is no matrix." in page.text
    assert "Labels stand in rank order" in page.text and "letters of options" in page.text
    assert all(entry["reason"].rstrip(".") in page.text for entry in values["omitted"])


def test_sentences_name_the_baseline_of_the_kind(page, values):
    assert "against the most frequent answer" in page.text
    assert "against the majority class" in page.text
    claim = next(c for c in values["claims"] if (c["kind"], c["task"]) == ("learnt", "notes"))
    assert claim["measure"] == "token_f1" and "token F1" in page.text
    kept = next(
        c for c in values["claims"] if (c["kind"], c["task"]) == ("kept", "grades") and "sequential" in c["arms"]
    )
    assert kept["verdict"] == "worse" and kept["difference"]["value"] > 0
    assert re.search(r"lost part of grades \(\+\S+ points \[[^]]*\] of rank error\)", page.text)


def test_pictures_of_several_tasks_show_task_scores(figures, values):
    rows = numbers(figures["earlier-tasks"])
    grades = find(rows, arm="sequential", task="grades")
    assert grades["measure"] == "task_score"
    assert float(grades["after"]) == pytest.approx(
        1 - score(values, LAST, "grades")["measures"]["rank_error"]["value"], abs=1e-12
    )
    assert (
        "Task score (rank error of grades, token F1 of notes, Jaccard index of topics)"
        in figures["earlier-tasks"].caption
    )
    assert "Kept: notes, task score (token F1), %" in figures["stability-plasticity"].svg


def test_matrices_have_the_tasks_that_have_the_measure(figures):
    pictures = {picture.caption for picture in figures["stage-task-matrix"].pictures}
    assert pictures == {"sequential", "rehearsal"}
    headings = [heading for heading, _ in figures["stage-task-matrix"].drawing.panels]
    assert headings[0] == "Task score" and "Token F1" not in headings and "Accuracy" in headings
    measures = {row["measure"] for row in numbers(figures["stage-task-matrix"])}
    assert {"rank_error", "token_f1", "jaccard"} <= measures


def test_items_whose_score_fell_by_half_are_lost(kinds, values, page):
    flips = find(values["flips"], arm="sequential", task="notes")
    scores = {}
    for lineage in (NOTES, LAST):
        with open(kinds / lineage / "predictions" / "notes.test.csv", encoding="utf-8", newline="") as handle:
            scores[lineage] = {row["id"]: float(row["score:token_f1"]) for row in csv.DictReader(handle)}
    changes = {name: scores[LAST][name] - before for name, before in scores[NOTES].items()}
    assert flips["lost"] == [name for name, change in changes.items() if change <= -0.5]
    assert flips["gained"] == [name for name, change in changes.items() if change >= 0.5]
    assert (
        flips["lost"] and "Of notes items are lost, or gained, whose token F1 fell, or rose, by 50 points" in page.text
    )


def test_the_local_page_alone_shows_references_and_answers(kinds, values):
    shown = view(values, kinds)
    texts = items_page.render(shown, kinds, "report.html")
    lost = find(values["flips"], arm="sequential", task="notes")["lost"][0]
    item = items_page.read_items(shown, kinds)["notes"][lost]
    change = read_changes(shown, kinds)["notes"][lost][0]
    assert all(text in texts for text in (*item["references"], change.before, change.after))
    assert "References:" in texts and "Gold labels" in texts
    report = html.render(shown) + markdown.render(shown)
    assert not any(text in report for text in (*item["references"], change.before))


def test_the_local_page_needs_no_prediction_files(kinds, values, tmp_path):
    (tmp_path / "data").symlink_to(kinds / "data")
    assert read_changes(view(values), tmp_path) == {}
    assert "References:" in items_page.render(view(values), tmp_path, "report.html")


def test_the_markdown_report_names_the_measures_too(values):
    text = markdown.render(view(values))
    assert "| Arm | Rank error: grades | Token F1: notes | Jaccard index: topics | Accuracy: pubmedqa |" in text
    assert re.search(r"\*\*grades: rank error\*\*", text)
