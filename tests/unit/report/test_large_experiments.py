"""Large experiments: many arms, many tasks in several orders, many labels; the page stays small and readable."""

import csv
import io
import re
import time

import pytest

from stagewise.report import html, markdown
from stagewise.report.figures.registry import draw_figures
from tests.helpers import report_experiments
from tests.helpers.report_experiments import Page, view, without_folds
from tests.helpers.report_records import add_sweep

NAMES = ("study", "twenty", "orders", "labels")
SETTINGS = ["strength=0.01", "strength=0.1", "strength=1"]
MAX_BYTES, MAX_SECONDS, MAX_COLUMNS, MAX_TEXTS = 2_000_000, 20, 10, 150


@pytest.fixture(scope="module")
def rendered():
    """By experiment: what is shown, its figures, its page, and the seconds of processor time that drawing took."""
    found = {}
    for name in NAMES:
        values = report_experiments.metrics(name)
        if name == "twenty":
            for number, arm in enumerate(view(values).arms):
                add_sweep(values, arm, SETTINGS, SETTINGS[number % 3])
        shown = view(values, report_experiments.experiment(name))
        start = time.process_time()
        figures = draw_figures(shown)
        page = html.render(shown, figures, items="items.html")
        found[name] = shown, figures, page, time.process_time() - start
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_small_and_quickly_made(rendered, name):
    _, _, page, seconds = rendered[name]
    assert len(page.encode()) < MAX_BYTES and seconds < MAX_SECONDS
    ids = [values["id"] for _, values in Page(page).elements if "id" in values]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", NAMES)
def test_no_table_is_wide_and_no_picture_crowded(rendered, name):
    _, _, page, _ = rendered[name]
    for table, shown in Page(page).tables.items():
        assert len(shown.head[-1]) <= MAX_COLUMNS, table
    for picture in re.findall(r"<svg .*?</svg>", page, re.S):
        assert picture.count("<text") <= MAX_TEXTS


@pytest.mark.parametrize("name", NAMES)
def test_details_of_single_adapters_are_folded_away(rendered, name):
    shown, _, page, _ = rendered[name]
    everything, at_once = Page(page), Page(without_folds(page))
    assert {"arms-short", "run", "splits", "arms", "kept", "cost"} <= set(at_once.tables)
    folded = {"forgetting-test", "learning-test", "training", "fingerprints", "claims"}
    folded |= {f"{table}-{task}" for table in ("decisions", "scores-test", "calibration-test") for task in shown.tasks}
    assert folded <= set(everything.tables) and not folded & set(at_once.tables)
    assert all(len(table.rows) <= 5 * len(shown.arms) + 20 for table in at_once.tables.values())


def test_of_many_labels_the_most_frequent_confusions_are_shown(rendered):
    shown, _, page, _ = rendered["labels"]
    table = Page(page).tables["confusion-test-banking"]
    answers = shown.predictions("base/seed-0/pubmedqa/banking", "banking", "test").confusion
    wrong = max(n for row, counts in enumerate(answers.counts) for column, n in enumerate(counts) if row != column)
    start = table.parts.index("After pubmedqa → banking: stage 2, arm sequential")
    assert len(table.rows) == 10 * len(table.parts)
    assert table.rows[10 * start][2] == str(wrong)
    assert len(Page(page).tables["labels-test-banking"].rows) == 10 * len(shown.scorers)
    splits = " ".join(" ".join(row) for row in Page(page).tables["splits"].rows)
    assert "and 74 other labels" in splits


def test_the_numbers_of_a_figure_hold_every_one_of_many_labels(rendered):
    shown, figures, page, _ = rendered["labels"]
    rows = list(csv.DictReader(io.StringIO(figures["label-recall"].csv)))
    assert {row["task"] for row in rows} == {"banking"} and len(rows) == 77 * (1 + len(shown.adapters))
    last = [row for row in rows if row["lineage"] == "base/seed-0/pubmedqa/banking"]
    recalls = {row["label"]: row["recall"] for row in last}
    for entry in shown.score("base/seed-0/pubmedqa/banking", "banking", "test").labels:
        assert recalls[entry.label] == ("" if entry.recall.value is None else str(entry.recall.value))
    assert "label-recall" not in rendered["orders"][1] and 'id="figure-label-recall"' in page


def test_many_labels_make_no_large_files(rendered):
    shown, _, page, _ = rendered["labels"]
    figures_file = report_experiments.experiment("labels") / "report_metrics.json"
    assert figures_file.stat().st_size < 1_200_000 and len(page.encode()) < 1_000_000
    by_task = {record.task: record.pairs for record in shown.metrics.discrimination}
    assert len(by_task["pubmedqa"]) == 3 and by_task["banking"] == []
    named = [entry.what for entry in shown.metrics.omitted if entry.what.startswith("scores of labels")]
    assert named and all(what.count("request of kind") == 10 and "more on banking" in what for what in named)


def test_twenty_arms_with_sweeps_have_a_small_picture_each(rendered):
    _, figures, page, _ = rendered["twenty"]
    for name in ("trade-off-curves", "earlier-task-in-training"):
        assert len(figures[name].pictures) == 20 and figures[name].drawing.style == "small"
        assert all(picture.width <= 160 and picture.svg.count("<text") <= 15 for picture in figures[name].pictures)
    assert "tried" in Page(page).tables and "tried" not in Page(without_folds(page)).tables


def test_an_arm_of_many_is_found_everywhere(rendered):
    shown, figures, page, _ = rendered["twenty"]
    assert "20 rehearsal-19" in str(figures["earlier-tasks"].pictures[0].svg)
    assert "Arm rehearsal-19." in Page(page).text and "20 rehearsal-19" in markdown.render(shown)
