"""The reports in results-published are what their figures say, and the README quotes them to the letter."""

import json

import jsonschema
import pytest

from stagewise.report import markdown
from stagewise.report.lookup import View
from stagewise.report.read import read_metrics
from stagewise.report.tables import arms
from tests.helpers.project_copy import ROOT

PUBLISHED = sorted(path.parent for path in (ROOT / "results-published").glob("*/report_metrics.json"))


def short_table(folder) -> str:
    """The rows of the short table of arms, drawn anew from the figures."""
    text = markdown.table(arms.short(View(read_metrics(folder / "report_metrics.json"), {})))
    return "\n".join(line for line in text.splitlines() if line.startswith("|"))


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_a_published_report_is_what_its_figures_say(folder):
    metrics = json.loads((folder / "report_metrics.json").read_text())
    jsonschema.validate(metrics, json.loads((ROOT / "schemas" / "report_metrics.schema.json").read_text()))
    assert short_table(folder) in (folder / "report.md").read_text(encoding="utf-8")
    assert not (folder / "items.html").exists()  # it holds the data's text


def test_the_readme_quotes_the_default_run_and_links_every_report():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert short_table(ROOT / "results-published" / "sample") in readme
    assert PUBLISHED
    for folder in PUBLISHED:
        assert f"(results-published/{folder.name}/report.md)" in readme
