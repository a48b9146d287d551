"""Divergence of each stage's adapter: its table, and forgetting against it."""

import pytest

from stagewise.report import html
from stagewise.report.figures import drift_and_forgetting
from stagewise.report.tables import drift
from tests.helpers import report_experiments
from tests.helpers.records import find
from tests.helpers.report_experiments import SECOND, Page, estimate, plain, view


@pytest.fixture(scope="module")
def metrics():
    return report_experiments.metrics("arms")


def test_every_training_has_its_divergence_with_an_interval(metrics):
    table = drift.drift(view(metrics))
    assert len(table.rows) == len(metrics["drifts"]) > 4
    row = next(row for row in table.rows if row[0].text == "pubmedqa → dreaddit, seed 0")
    record = find(metrics["drifts"], lineage=SECOND)
    assert f"{row[1].text} {row[1].detail}" == estimate(record["kl"], plain)
    assert row[0].detail == "from the pubmedqa, seed 0"
    assert "KL(parent || adapter)" in table.caption and "drift" in Page(html.render(view(metrics), {})).tables


def test_forgetting_stands_against_the_divergence_of_the_same_stage(metrics):
    data = drift_and_forgetting.compute(view(metrics))
    row = data[data.lineage == SECOND].iloc[0]
    assert row.kl == find(metrics["drifts"], lineage=SECOND)["kl"]["value"]
    keys = {"comparison": "paired", "after_lineage": SECOND, "before_split": "test"}
    assert row.change == find(metrics["forgetting"], **keys)["changes"]["accuracy"]["value"]
    assert not set(data.lineage) & {a["lineage"] for a in metrics["adapters"] if a["sources"]}, "a merge has no drift"


def test_only_a_change_since_the_parent_is_drawn():
    values = report_experiments.metrics("many")
    data = drift_and_forgetting.compute(view(values))
    parents = {adapter["lineage"]: adapter["parent"] for adapter in values["adapters"]}
    for row in data.itertuples():
        assert any(
            record["before_lineage"] == parents[row.lineage] and record["task"] == row.task
            for record in values["forgetting"]
            if record["after_lineage"] == row.lineage
        )


def test_without_label_probabilities_or_other_adapters_there_is_no_picture():
    values = report_experiments.metrics("small")
    assert values["drifts"] and not len(drift_and_forgetting.compute(view(values))), "one point shows nothing"
    values["drifts"] = []
    assert (
        not len(drift_and_forgetting.compute(view(values)))
        and "drift" not in Page(html.render(view(values), {})).tables
    )
