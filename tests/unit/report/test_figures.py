"""The numbers behind the pictures: each CSV holds those of the records and of the training logs."""

import base64
import csv
import io

import pytest

from stagewise.provenance.receipts import read_receipt
from stagewise.report import html
from stagewise.report.figures import registry
from stagewise.report.figures.figure import Data
from tests.helpers import report_experiments
from tests.helpers.report_experiments import FIRST, SECOND, Page, find, view


@pytest.fixture(scope="module")
def metrics():
    return report_experiments.metrics("arms")


@pytest.fixture(scope="module")
def shown_view(metrics):
    return view(metrics, report_experiments.experiment("arms"))


@pytest.fixture(scope="module")
def figures(shown_view):
    return registry.figures(shown_view)


def rows(figures, name) -> list[dict]:
    return list(csv.DictReader(io.StringIO(figures[name].data.text)))


def same(cell: str, value) -> bool:
    return cell == "" if value is None else float(cell) == value


def test_every_picture_has_a_caption_and_its_numbers(figures):
    assert list(figures) == [
        "stability-plasticity",
        "stage-task-matrix",
        "cost-and-kept",
        "earlier-task-in-training",
        "item-flips",
        "rare-label-recall",
        "curves",
        "reliability",
    ]
    for name, figure in figures.items():
        assert figure.caption.endswith(".") and len(figure.caption) > 60
        assert len(rows(figures, name)) == len(figure.data.rows) > 0 and figure.pictures


def test_the_tradeoff_is_that_of_the_arms(metrics, figures):
    found = rows(figures, "stability-plasticity")
    for arm in report_experiments.made.ARMS:
        for measure in ("accuracy", "macro_f1"):
            learnt, kept = (
                find(metrics["arm_tasks"], arm=arm, task=task, rule="argmax", measure=measure, split="test")["final"]
                for task in ("dreaddit", "pubmedqa")
            )
            row = find(found, arm=arm, measure=measure, seed="")
            assert (row["task_learnt"], row["task_kept"]) == ("dreaddit", "pubmedqa")
            for side, entry in (("learnt", learnt), ("kept", kept)):
                assert same(row[side], entry["value"])
                assert same(row[f"{side}_low"], entry["both"]["low"])
                assert same(row[f"{side}_high"], entry["both"]["high"])
            for seed in (0, 1):
                row = find(found, arm=arm, measure=measure, seed=str(seed))
                assert same(row["learnt"], learnt["values"][seed]) and same(row["kept"], kept["values"][seed])


def test_the_matrix_holds_means_over_runs(metrics, figures):
    for row in rows(figures, "stage-task-matrix"):
        cells = [
            cell[row["measure"]]
            for cell in metrics["matrix"]
            if (cell["arm"], str(cell["stage"]), cell["task"], cell["split"])
            == (row["arm"], row["stage"], row["task"], "test")
        ]
        assert len(cells) == 2 == int(row["runs"])
        assert float(row["mean"]) == pytest.approx(sum(cells) / 2)


def test_an_earlier_task_during_training_is_that_of_the_log(figures):
    found = [row for row in rows(figures, "earlier-task-in-training") if row["lineage"] == SECOND]
    assert {row["arms"] for row in found} == {"sequential blend-0.5"}
    for measure, first in (("accuracy", 0.7), ("macro_f1", 0.6)):
        line = {int(row["step"]): float(row["value"]) for row in found if row["measure"] == measure}
        assert line == pytest.approx({step: first - step / 100 for step in range(0, 41, 10)})
    assert not [row for row in rows(figures, "earlier-task-in-training") if row["lineage"] == FIRST]


def test_flips_recalls_and_costs_are_those_of_the_records(metrics, figures):
    for row in rows(figures, "item-flips"):
        own = {"arm": row["arm"], "seed": int(row["seed"]), "task": row["task"], "split": "test"}
        record = find(metrics["flips"], **own)
        assert (int(row["lost"]), int(row["gained"])) == (len(record["lost"]), len(record["gained"]))
    recalls = rows(figures, "rare-label-recall")
    assert {(row["task"], row["label"]) for row in recalls} == {("pubmedqa", "maybe")}
    row = find(recalls, arm="sequential", seed="1", rule="prior-adjusted", stage="2")
    lineage = SECOND.replace("seed-0", "seed-1")
    own = {"lineage": lineage, "task": "pubmedqa", "split": "test", "rule": "prior-adjusted"}
    recall = find(find(metrics["decisions"], **own)["recalls"], label="maybe")["recall"]
    assert same(row["recall"], recall["value"]) and same(row["low"], recall["low"])
    for row in rows(figures, "cost-and-kept"):
        cost = find(metrics["costs"], arm=row["arm"])
        assert (
            float(row["tokens"]) == cost["tokens"] + cost["extra_tokens"] and float(row["seconds"]) == cost["seconds"]
        )


def test_curves_scores_and_reliability_are_written_too(metrics, figures):
    loss = [
        (int(r["step"]), float(r["value"]))
        for r in rows(figures, "curves")
        if (r["lineage"], r["split"], r["metric"]) == (SECOND, "validation", "loss")
    ]
    assert loss == [(step, 0.5 + abs(step - 30) / 50) for step in range(0, 41, 10)]
    entry = find(metrics["scores"], lineage=SECOND, task="pubmedqa", split="test")
    bins = [r for r in rows(figures, "reliability") if (r["lineage"], r["task"]) == (SECOND, "pubmedqa")]
    assert [(int(r["items"]), float(r["accuracy"])) for r in bins] == [
        (e["items"], e["accuracy"]) for e in entry["calibration"]
    ]
    small = report_experiments.metrics("small")
    drawn = rows(registry.figures(view(small)), "scores")
    row = find(drawn, lineage=FIRST, task="pubmedqa", measure="macro_f1")
    score = find(small["scores"], lineage=FIRST, task="pubmedqa", split="test")["macro_f1"]
    assert (float(row["value"]), float(row["low"])) == (score["value"], score["low"])


def test_the_page_offers_the_very_files_of_the_folder(shown_view, figures, tmp_path):
    registry.write_data(figures, tmp_path / "figures", {"made_from": "0"})
    receipt = read_receipt(tmp_path / "figures", "the figures")
    assert receipt["made_from"] == "0"
    links = [values for values in Page(html.render(shown_view, figures)).all("a") if "download" in values]
    assert {link["download"] for link in links} == set(receipt["files"])
    for link in links:
        encoded = link["href"].removeprefix("data:text/csv;charset=utf-8;base64,")
        assert base64.b64decode(encoded) == (tmp_path / "figures" / link["download"]).read_bytes()


def test_cells_with_commas_quotes_and_line_breaks_survive():
    data = Data("odd", ("arm", "value"))
    data.add('a, "b"\nc', None)
    assert list(csv.reader(io.StringIO(data.text, newline=""))) == [["arm", "value"], ['a, "b"\nc', ""]]
    with pytest.raises(ValueError, match="odd: 1 cells for 2 columns"):
        data.add("a")


def test_arms_are_told_apart_without_colour(figures):
    study = view(report_experiments.metrics("study"))
    from stagewise.report.figures.style import arm_style, label

    assert len({arm_style(study, [arm]) for arm in study.arms}) == 12
    assert len({label(study, arm) for arm in study.arms}) == 12
    svg = str(figures["stability-plasticity"].pictures[0].svg)
    assert all(f">{arm}</text>" in svg for arm in report_experiments.made.ARMS)
