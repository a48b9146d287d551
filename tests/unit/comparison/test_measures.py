"""Experiments whose tasks have measures of their own, which need not be the same ones."""

import pytest

from stagewise.comparison import tables
from stagewise.comparison.experiments import load_experiments
from stagewise.comparison.page import Comparison
from stagewise.config.yaml_files import merge
from stagewise.metrics.build import format_metrics
from tests.helpers import fake_results
from tests.helpers.kinds_of_tasks import MIXED

SIZES = {"train": 30, "validation": 20, "test": 20}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Mixed kinds, and the same with another measure, out of 2, as pubmedqa's own."""
    folder = tmp_path_factory.mktemp("measures")
    paths = []
    for name, overlay in {"first": {}, "other": {"tasks": {"pubmedqa": {"measure": "brier"}}}}.items():
        overlay = merge(MIXED | {"statistics": {"bootstrap_samples": 100}, "experiment": name}, overlay)
        _, metrics = fake_results.experiment(folder / name, sizes=SIZES, **overlay)
        paths.append(folder / name / "report_metrics.json")
        paths[-1].write_text(format_metrics(metrics), encoding="utf-8")
    return Comparison.of(load_experiments(paths))


def row(table, arm: str, experiment: str) -> dict:
    (cells,) = (cells for cells in table.rows if [str(cell.text) for cell in cells[:2]] == [arm, experiment])
    return dict(zip([column.text for column in table.columns], cells, strict=True))


def test_a_tasks_scores_are_by_one_measure_in_every_experiment(compared):
    table = tables.scores(compared.experiments, compared.measure)
    for e in compared.experiments:
        accuracy = e.score("sequential", "pubmedqa", "accuracy")
        assert row(table, "sequential", e.label)["pubmedqa"].text == f"{100 * accuracy.value:.1f}"
    assert table.caption.startswith("Accuracy of pubmedqa, Jaccard index of topics, token F1 of notes, %, after")
    measures = dict.fromkeys(zip(compared.figure.data.task, compared.figure.data.measure, strict=True))
    assert list(measures) == [("pubmedqa", "accuracy"), ("topics", "jaccard"), ("notes", "token_f1")]


def test_a_mean_of_other_measures_is_not_shown(compared):
    for make, column in ((tables.scores, "Average"), (tables.changes, "Backward transfer")):
        table = make(compared.experiments, compared.measure)
        assert row(table, "sequential", "first")[column].reason != tables.OTHER_MEASURES
        assert row(table, "sequential", "other")[column].reason == tables.OTHER_MEASURES
