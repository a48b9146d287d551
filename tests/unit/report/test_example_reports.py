"""The example reports agree with their figures, and README.md quotes them to the letter."""

import json
import re

import jsonschema
import pytest

from stagewise.metrics.schema import read_metrics
from stagewise.report import markdown
from stagewise.report.lookup import View
from stagewise.report.tables import arms
from tests.helpers.project_copy import ROOT

EXAMPLES = sorted(path.parent for path in (ROOT / "docs" / "example-reports").glob("*/report_metrics.json"))


def short_table(folder) -> str:
    """Draw the rows of the short table of arms from the figures."""
    text = markdown.table(arms.short(View(read_metrics(folder / "report_metrics.json"), {})))
    return "\n".join(line for line in text.splitlines() if line.startswith("|"))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_an_example_report_agrees_with_its_figures(folder):
    metrics = json.loads((folder / "report_metrics.json").read_text())
    jsonschema.validate(metrics, json.loads((ROOT / "schemas" / "report_metrics.schema.json").read_text()))
    assert short_table(folder) in (folder / "report.md").read_text(encoding="utf-8")
    assert not (folder / "items.html").exists()  # it holds the data's text


def test_the_readme_quotes_the_default_run_and_links_every_report():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert short_table(ROOT / "docs" / "example-reports" / "sample") in readme
    report = (ROOT / "docs" / "example-reports" / "sample" / "report.md").read_text(encoding="utf-8")
    quotes = [
        "".join(quote).replace("\n> ", " ").strip("> \n") for quote in re.findall(r"((?:^> .*\n)+)", readme, re.M)
    ]
    assert quotes and all(quote in report.replace("\N{NO-BREAK SPACE}", " ") for quote in quotes)
    assert EXAMPLES
    for folder in EXAMPLES:
        assert f"(docs/example-reports/{folder.name}/report.md)" in readme
