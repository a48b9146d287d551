"""Figures: numbers are those of the records and of the training logs, and a module is all that a figure needs."""

import csv
import io
import json
import re
import sys
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import pytest

from scripts import report as step
from stagewise.measures import measures_of
from stagewise.provenance.receipts import read_receipt
from stagewise.report import figures as package
from stagewise.report import html, markdown
from stagewise.report.figures import earlier_tasks
from stagewise.report.figures.figure import DrawnFigure, frame
from stagewise.report.figures.registry import draw_figures, write_figures
from stagewise.report.figures.style import arm_style, label
from tests.helpers import report_experiments
from tests.helpers.records import find
from tests.helpers.report_experiments import FIRST, SECOND, Page, arguments, arm_score, render, score, view


@pytest.fixture(scope="module")
def metrics():
    return report_experiments.metrics("arms")


@pytest.fixture(scope="module")
def shown_view(metrics):
    return view(metrics, report_experiments.experiment("arms"))


@pytest.fixture(scope="module")
def figures(shown_view):
    return draw_figures(shown_view)


def rows(figures, name) -> list[dict]:
    """Rows of a figure's CSV."""
    return list(csv.DictReader(io.StringIO(figures[name].csv)))


def same(cell: str, value) -> bool:
    return cell == "" if value is None else float(cell) == value


def test_every_picture_has_a_caption_and_its_numbers(figures):
    for name, figure in figures.items():
        assert figure.caption.endswith(".") and len(figure.caption) > 60
        assert len(rows(figures, name)) == len(figure.data) > 0 and figure.pictures


def test_the_tradeoff_is_that_of_the_arms(metrics, figures):
    found = rows(figures, "stability-plasticity")
    for arm in report_experiments.made.ARMS:
        for measure in measures_of("classification"):
            learnt, kept = (arm_score(metrics, arm, task)[measure] for task in ("dreaddit", "pubmedqa"))
            row = find(found, arm=arm, measure=measure, seed="")
            assert (row["task_learnt"], row["task_kept"]) == ("dreaddit", "pubmedqa")
            for side, entry in (("learnt", learnt), ("kept", kept)):
                assert same(row[side], entry["value"])
                assert same(row[f"{side}_low"], entry["low"])
                assert same(row[f"{side}_high"], entry["high"])
            for seed in (0, 1):
                row = find(found, arm=arm, measure=measure, seed=str(seed))
                steps = find(metrics["arms"], arm=arm, seed=seed, stage=1 if arm == "multitask" else 2)
                for side, task in (("learnt", "dreaddit"), ("kept", "pubmedqa")):
                    assert same(row[side], score(metrics, steps["answers"][task], task)["measures"][measure]["value"])


def test_the_first_picture_holds_each_earlier_task_before_and_after(metrics, figures):
    found = rows(figures, "earlier-tasks")
    assert {row["task"] for row in found} == {"pubmedqa"}
    for arm in report_experiments.made.ARMS:
        row = find(found, arm=arm)
        assert same(row["after"], arm_score(metrics, arm, "pubmedqa")["accuracy"]["value"])
        if arm == "multitask":  # one stage, so there is no score before
            assert row["before"] == row["change"] == ""
            continue
        assert same(row["before"], arm_score(metrics, arm, "pubmedqa", stage=1)["accuracy"]["value"])
        task = find(metrics["arm_tasks"], arm=arm, task="pubmedqa", rule="argmax", split="test")
        change = task["change"]["accuracy"]
        assert [row["change"], row["change_low"]] == [str(change["value"]), str(change.get("low", ""))]
        claims = [claim for claim in metrics["claims"] if claim["kind"] == "kept" and arm in claim["arms"]]
        assert row["verdict"] == (claims[0]["verdict"] if claims else "")


def test_arms_of_each_order_stand_with_their_own_earlier_tasks():
    figures = draw_figures(view(report_experiments.metrics("labels")))
    before = {(row["arm"], row["task"]): row["before"] for row in rows(figures, "earlier-tasks")}
    assert {key for key, value in before.items() if value and key[1] != "mean"} == {
        ("sequential", "pubmedqa"),
        ("reverse", "banking"),
    }
    # No two arms of one order: there is no trade-off to compare.
    assert not {"stability-plasticity", "cost-and-kept"} & set(figures)
    heads = [re.findall(r">(pubmedqa|banking)</text>", str(p.svg)) for p in figures["stage-task-matrix"].pictures[:2]]
    assert heads == [["pubmedqa", "banking"], ["banking", "pubmedqa"]]


def test_the_tradeoff_compares_arms_of_one_order(values_of_two_orders):
    found = rows(draw_figures(view(values_of_two_orders)), "stability-plasticity")
    assert {row["arm"] for row in found} == {"sequential", "gentle", "base"}
    assert {(row["task_kept"], row["task_learnt"]) for row in found} == {("pubmedqa", "dreaddit")}


@pytest.fixture(scope="module")
def values_of_two_orders(tmp_path_factory):
    """Two arms of one order and one of the other."""
    first, second = report_experiments.FIRST_STAGE, report_experiments.SECOND_STAGE
    arms = {
        "sequential": {"stages": [first, second]},
        "gentle": {"stages": [first, second | {"name": "slow"}]},
        "reverse": {"stages": [second, first]},
    }
    results = report_experiments.write(tmp_path_factory.mktemp("orders"), arms=arms)
    return json.loads((results / "report_metrics.json").read_text())


def test_many_rows_become_the_mean_of_each_arm_with_the_tasks_folded_away(monkeypatch):
    monkeypatch.setattr(earlier_tasks, "MAX_ROWS", 10)
    shown = view(report_experiments.metrics("orders"))
    figure = draw_figures(shown)["earlier-tasks"]
    assert [picture.folded for picture in figure.pictures] == [False] + [True] * 5
    for row in (row for row in rows({"f": figure}, "f") if row["task"] == "mean"):
        transfer = shown.arm_summary(row["arm"], "backward_transfer", "accuracy")
        assert same(row["change"], transfer.value) and same(row["change_high"], transfer.high)
        assert float(row["after"]) - float(row["before"]) == pytest.approx(transfer.value)


def test_the_matrix_holds_means_over_runs(metrics, figures):
    for row in rows(figures, "stage-task-matrix"):
        cells = [
            score(metrics, step["answers"][row["task"]], row["task"])["measures"][row["measure"]]["value"]
            for step in metrics["arms"]
            if (step["arm"], str(step["stage"])) == (row["arm"], row["stage"])
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
    recall = find(score(metrics, lineage, "pubmedqa", rule="prior-adjusted")["labels"], label="maybe")["recall"]
    assert same(row["recall"], recall["value"]) and same(row["low"], recall["low"])
    for row in rows(figures, "cost-and-kept"):
        cost = find(metrics["costs"], arm=row["arm"])
        assert (
            float(row["tokens"]) == cost["tokens"] + cost["extra_tokens"] and float(row["seconds"]) == cost["seconds"]
        )


@pytest.mark.parametrize(("best_step", "marked"), [(20, 20), (None, 40)])
def test_curves_mark_the_checkpoint_that_was_kept(monkeypatch, best_step, marked):
    from matplotlib.figure import Figure

    from stagewise.report.figures import curves

    values = report_experiments.metrics("small")
    find(values["training"], lineage=FIRST)["best_step"] = best_step
    shown, drawn = view(values, report_experiments.experiment("small")), []
    monkeypatch.setattr(curves, "picture", lambda id, texts, width, height, draw, margins: drawn.append((id, draw)))
    curves.draw(shown, curves.compute(shown))
    axes = Figure().subplots()
    dict(drawn)[f"loss-{FIRST}"](axes)
    (line,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert list(line.get_xdata()) == [marked, marked]


def test_curves_scores_and_reliability_are_written_too(metrics, figures):
    loss = [
        (int(r["step"]), float(r["value"]))
        for r in rows(figures, "curves")
        if (r["lineage"], r["split"], r["metric"]) == (SECOND, "validation", "loss")
    ]
    assert loss == [(step, 0.5 + abs(step - 30) / 50) for step in range(0, 41, 10)]
    entry = find(metrics["predictions"], lineage=SECOND, task="pubmedqa", split="test")
    bins = [r for r in rows(figures, "reliability") if (r["lineage"], r["task"]) == (SECOND, "pubmedqa")]
    assert [(int(r["items"]), float(r["accuracy"])) for r in bins] == [
        (e["items"], e["right"] / e["items"]) for e in entry["calibration"]
    ]
    small = report_experiments.metrics("small")
    drawn = rows(draw_figures(view(small)), "scores")
    row = find(drawn, lineage=FIRST, task="pubmedqa", measure="macro_f1")
    value = score(small, FIRST, "pubmedqa")["measures"]["macro_f1"]
    assert (float(row["value"]), float(row["low"])) == (value["value"], value["low"])


def test_the_page_and_markdown_offer_the_very_files_of_the_folder(shown_view, figures, tmp_path):
    write_figures(figures, tmp_path / "figures", {"made_from": "0"})
    receipt = read_receipt(tmp_path / "figures", "the figures")
    assert receipt["made_from"] == "0"
    assert set(receipt["files"]) == {f"{name}.{kind}" for name in figures for kind in ("csv", "svg")}
    links = [values for values in Page(html.render(shown_view, figures)).all("a") if "download" in values]
    assert {link["download"] for link in links} == {f"{name}.csv" for name in figures}
    for link in links:
        encoded = link["href"].removeprefix("data:text/csv;charset=utf-8,")
        assert unquote_to_bytes(encoded) == (tmp_path / "figures" / link["download"]).read_bytes()
    text = markdown.render(shown_view, figures, "some where")
    shown = set(re.findall(r"!\[[^]]+\]\(some%20where/([^)]+)\)", text))
    assert shown == {f"{name}.svg" for name in figures}
    assert set(re.findall(r"\(some%20where/([^)]+)\)", text)) == set(receipt["files"])


MADE_UP = """
from stagewise.report.figures.figure import Drawing, Figure, frame
from stagewise.report.figures.svg import picture


def compute(view):
    return frame(("arm", "length"), [(arm, len(arm)) for arm in view.arms])


def draw(view, data):
    texts = "A bar per arm", "Length of names", "Made up."
    drawn = picture("made-up", texts, 200, 100, lambda axes: axes.bar(data.arm, data.length), (20, 5, 5, 20))
    return Drawing("How long the names of arms are.", [("", [drawn])])


FIGURE = Figure("Lengths of names", SECTION, compute, draw)
"""


@pytest.fixture
def drop_in(tmp_path, monkeypatch):
    """Drop a figure's module into the package for the time of a test."""
    folder = tmp_path / "dropped"
    folder.mkdir()
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield lambda section: (folder / "name_lengths.py").write_text(MADE_UP.replace("SECTION", repr(section)))
    sys.modules.pop(f"{package.__name__}.name_lengths", None)
    vars(package).pop("name_lengths", None)


@pytest.mark.parametrize("section", ["result", "cost", "rules", "training"])
def test_a_module_dropped_in_is_on_the_page_in_markdown_and_among_the_files(drop_in, section, tmp_path):
    drop_in(section)
    results = report_experiments.experiment("arms")
    assert step.main(arguments(results / "report_metrics.json", results, tmp_path)) == 0
    head = (tmp_path / "r.html").read_text().split('id="figure-name-lengths"')[0]
    assert re.findall(r'<(?:section|h3)[^>]* id="([\w-]+)"', head)[-1] == section
    page = Page((tmp_path / "r.html").read_text())
    assert "Lengths of names" in page.text and "How long the names of arms are." in page.text
    assert "name-lengths.csv" in {values.get("download") for values in page.all("a")}
    assert "![Lengths of names](figures/name-lengths.svg)" in (tmp_path / "r.md").read_text()
    expected = "arm,length\n" + "".join(f"{arm},{len(arm)}\n" for arm in report_experiments.made.ARMS)
    assert (tmp_path / "figures/name-lengths.csv").read_text() == expected
    assert "A bar per arm" in (tmp_path / "figures/name-lengths.svg").read_text()
    assert {"name-lengths.csv", "name-lengths.svg"} <= set(read_receipt(tmp_path / "figures", "figures")["files"])


def test_a_figure_of_a_section_that_is_not_there_is_an_error(drop_in, shown_view):
    drop_in("nowhere")
    with pytest.raises(ValueError, match="figure name-lengths: the report has no section 'nowhere'"):
        html.render(shown_view)


def test_a_figure_without_numbers_is_left_out():
    one_arm = report_experiments.metrics("small")
    assert {"stability-plasticity", "cost-and-kept"}.isdisjoint(draw_figures(view(one_arm)))
    one_arm["flips"] = []
    assert "item-flips" not in draw_figures(view(one_arm))
    assert "figure-item-flips" not in render(one_arm)


def test_every_figure_stands_alone_as_svg(figures):
    for name, figure in figures.items():
        root = ElementTree.fromstring(figure.svg)
        _, _, width, height = map(float, root.get("viewBox").split())
        inner = root.findall("{http://www.w3.org/2000/svg}svg")
        assert len(inner) == sum(not picture.folded for picture in figure.pictures) > 0, name
        for picture in figure.pictures:  # nothing that only makes the page larger
            assert not re.search(r'<g(?: id="[^"]*")?>|font-family|=\"[^\"]*\d\.\d{3}', str(picture.svg))
        for svg in inner:
            assert 0 <= float(svg.get("x")) and float(svg.get("x")) + float(svg.get("width")) <= width
            assert 0 <= float(svg.get("y")) and float(svg.get("y")) + float(svg.get("height")) <= height
        ids = re.findall(r' id="([^"]+)"', figure.svg)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', figure.svg)) <= set(ids)
        # A background of its own, and every colour in both modes: not each viewer knows variables.
        light, dark = figure.svg.split("@media (prefers-color-scheme:dark)")
        classes = {c for value in re.findall(r'class="([^"]+)"', figure.svg) for c in value.split()}
        assert "fill-paper" in classes and all(f".{c}{{" in light and f".{c}{{" in dark for c in classes)
        assert "var(" not in figure.svg and not re.search(r"#fe00[01]", figure.svg)
        assert all(text in figure.svg for text in (figure.title, *(key.text for key in figure.drawing.legend)))


def test_cells_with_commas_quotes_and_missing_values_survive():
    data = frame(("arm", "seed", "value"), [('a, "b"\nc', None, None), ("d", 1, 1.0)])
    drawn = DrawnFigure("odd", None, data, None)
    cells = list(csv.reader(io.StringIO(drawn.csv, newline="")))
    assert cells == [["arm", "seed", "value"], ['a, "b"\nc', "", ""], ["d", "1", "1.0"]]


def test_arms_are_told_apart_without_colour(figures):
    study = view(report_experiments.metrics("study"))
    assert len({arm_style(study, [arm]) for arm in study.arms}) == 12
    assert len({label(study, arm) for arm in study.arms}) == 12
    svg = str(figures["stability-plasticity"].pictures[0].svg)
    assert all(f">{arm}</text>" in svg for arm in report_experiments.made.ARMS)
