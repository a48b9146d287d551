"""The page of several experiments, and the command that writes it."""

import csv
import shutil
from dataclasses import replace
from html import escape

import pytest

from scripts import compare
from stagewise.comparison import tables
from stagewise.comparison.experiments import load_experiments
from stagewise.comparison.page import Comparison, build_sections, render_markdown
from stagewise.provenance.receipts import read_receipt
from stagewise.report import markdown
from tests.helpers import report_experiments
from tests.helpers.compared_experiments import changed
from tests.helpers.report_experiments import Page
from tests.helpers.report_experiments import estimate as written


@pytest.fixture(scope="module")
def output(one_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "comparison"
    assert compare.main([*map(str, one_run), "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def compared(one_run):
    return Comparison.of(load_experiments(one_run))


def test_the_page_and_markdown_say_what_is_shown_and_nothing_else(output, compared):
    (headline,) = [sentence.text for sentence in compared.headlines]
    assert headline.startswith("other against example: in these two trainings sequential is lower on dreaddit (−")
    assert "pubmedqa" not in headline
    page = (output / "comparison.html").read_text(encoding="utf-8")
    assert escape(headline, quote=False) in page and "says nothing about another training" in page
    assert f"**{markdown.escape(headline)}**" in (output / "comparison.md").read_text(encoding="utf-8")


def test_tables_hold_each_experiments_own_figures(output, compared):
    page = Page((output / "comparison.html").read_text(encoding="utf-8"))
    for e in compared.experiments:
        row = page.tables["scores"].row("sequential", e.label)
        for cell, task in zip(row[2:], e.view.ordered_tasks, strict=False):
            assert cell == written(e.score("sequential", task, "accuracy").model_dump())
    assert len(page.tables["costs"].rows) == 2
    change = page.tables["changes"].row("sequential", "other")[2]
    points = compared.experiments[1].view.change("sequential", "pubmedqa", "accuracy")
    assert change.startswith(compared.measure.write_difference(points.value))


def test_the_figure_has_a_dot_for_every_arm_and_experiment(output, compared):
    with open(output / "figures" / "experiments.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    tasks, arms = ("pubmedqa", "dreaddit"), ("untuned base model", "sequential")
    assert [(row["task"], row["arm"], row["experiment"]) for row in rows] == [
        (task, arm, e.label) for task in tasks for arm in arms for e in compared.experiments
    ]
    assert (output / "figures" / "experiments.svg").read_text(encoding="utf-8").startswith("<svg")
    inputs = read_receipt(output / "figures", "the figure")["inputs"]
    assert inputs == {e.label: e.view.metrics.checksum for e in compared.experiments}


def test_settings_that_differ_are_listed(one_run, tmp_path):
    other = changed(
        one_run[1], tmp_path / "other", lambda values: values["experiment"]["config"]["training"].update(epochs=9.0)
    )
    text = render_markdown(Comparison.of(load_experiments([one_run[0], other])), "figures")
    assert "- training.epochs 3.0 -&gt; 9.0." in text


def test_a_headline_names_three_differences_and_counts_the_others(compared):
    (shown,) = [pair for pair in compared.pairs if pair.claim.verdict == "worse"]
    (headline,) = replace(compared, pairs=[shown] * 5).headlines
    assert headline.text.count("is lower on dreaddit") == 3 and headline.text.endswith("; and 2 more.")


def test_nothing_is_claimed_of_what_is_not_paired(one_run, tmp_path):
    alone = shutil.copy(one_run[1] / "report_metrics.json", tmp_path)
    compared = Comparison.of(load_experiments([one_run[0], alone]))
    assert [s.text for s in compared.headlines] == ["other against example: nothing is paired, so nothing is claimed."]
    (section, *_) = build_sections(compared)
    assert "2 comparisons are not paired; the table says why." in [getattr(b, "text", "") for b in section.blocks]


def test_pages_lie_outside_of_the_results(one_run, capsys):
    assert compare.main([*map(str, one_run), "--output", str(one_run[0] / "comparison")]) == 2
    assert "lies in the results of example; name a folder outside of them" in capsys.readouterr().err
    assert not (one_run[0] / "comparison").exists()


def test_probes_stand_side_by_side(tmp_path):
    first = report_experiments.experiment("probes")
    other = changed(first, tmp_path / "other", lambda values: values["experiment"].update(name="other"))
    experiments = load_experiments([first, other])
    table = tables.probes(experiments)
    assert [column.text for column in table.columns[2:]] == list(experiments[0].view.probes)
    arm = experiments[0].view.arms[0]
    rows = [row for row in table.rows if row[0].text == arm]
    assert len(rows) == 2 and rows[0][2:] == rows[1][2:]
    change = experiments[0].view.probes.change(arm, "prose", 2)
    assert rows[0][-1].text == experiments[0].view.probes.measure("prose").write_difference(change.value)
    assert "Probes" in {section.title for section in build_sections(Comparison.of(experiments))}
