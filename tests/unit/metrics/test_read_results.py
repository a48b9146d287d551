"""Inputs that the metrics step refuses, each in one sentence with exit code 2; folds and their items."""

import json
import shutil

import pytest

from scripts import metrics as step
from stagewise.errors import InputError
from stagewise.lineage import data_folder
from stagewise.metrics.read_results import read_results
from stagewise.provenance.files import write_json
from stagewise.provenance.receipts import write_receipt
from tests.helpers import fake_results as made

BASE, FIRST, SECOND = "base", "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
FAST = {"statistics": {"bootstrap_samples": 100}}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    sizes = {"train": 40, "validation": 20, "test": 30}
    return made.write_results(tmp_path_factory.mktemp("made"), made.config(**FAST), sizes=sizes)


@pytest.fixture
def results(original, tmp_path):
    return shutil.copytree(original, tmp_path / "results")


def run(results, settings=None):
    settings = (settings or made.config(**FAST)).model_dump_json(exclude_defaults=True)
    output = str(results / "report_metrics.json")
    return step.main(["--settings", settings, "--results", str(results), "--output", output])


def reseal(folder):
    """Renew the receipt of a predictions folder after a change that should be found by other means."""
    receipt = json.loads((folder / "receipt.json").read_text())
    receipt.pop("files")
    write_receipt(folder, receipt)


def edit_csv(results, lineage, change):
    folder = results / lineage / "predictions"
    path = folder / "pubmedqa.test.csv"
    path.write_text(change(path.read_text()))
    reseal(folder)


def edit_json(path, **values):
    write_json(path, json.loads(path.read_text()) | values)


def edit_inputs(path, **values):
    """Change what an output says that it was made from."""
    edit_json(path, inputs=json.loads(path.read_text())["inputs"] | values)


def edit_weights(path):
    adapter = json.loads(path.read_text())["inputs"]["adapter"]
    edit_inputs(path, adapter=adapter | {"weights": "3" * 64})


def swap_rows(text):
    lines = text.splitlines(keepends=True)
    return "".join([lines[0], lines[2], lines[1], *lines[3:]])


def in_first_row(old, new):
    def change(text):
        head, first, *rest = text.splitlines(keepends=True)
        assert old in first
        return "".join([head, first.replace(old, new, 1), *rest])

    return change


BAD = {
    "other order": (lambda r: edit_csv(r, FIRST, swap_rows), "row 1: id is 'pubmedqa-test-1'"),
    "too few": (lambda r: edit_csv(r, FIRST, lambda t: t[: t.rindex("pubmedqa-test-29")]), "29 predictions for the 30"),
    "no column": (lambda r: edit_csv(r, BASE, lambda t: t.replace("logprob:no,", "lp,", 1)), "'logprob:no' is missing"),
    "not a label": (lambda r: edit_csv(r, BASE, in_first_row(",True,", "x,True,")), "row 1: prediction"),
    "not a probability": (lambda r: edit_csv(r, BASE, in_first_row(",-", ",")), "row 1: log-probabilities"),
    "not a number": (lambda r: edit_csv(r, BASE, in_first_row(",-", ",minus ")), "not a number"),
    "missing predictions": (lambda r: shutil.rmtree(r / SECOND / "predictions"), "receipt of the predictions"),
    "damaged predictions": (
        lambda r: (r / BASE / "predictions/dreaddit.test.csv").write_text("id\n"),
        "does not match its receipt",
    ),
    "unlisted predictions": (
        lambda r: ((r / BASE / "predictions/dreaddit.test.csv").unlink(), reseal(r / BASE / "predictions")),
        "does not vouch for dreaddit.test.csv",
    ),
    "other adapter": (
        lambda r: edit_inputs(r / FIRST / "predictions/receipt.json", adapter={"recipe": "3" * 64}),
        "predictions are of another adapter",
    ),
    "other model": (
        lambda r: edit_inputs(r / FIRST / "predictions/receipt.json", model="3" * 64),
        "predictions are of another base model",
    ),
    "other weights": (
        lambda r: edit_weights(r / FIRST / "predictions/receipt.json"),
        "predictions are of other weights",
    ),
    "stale child": (
        lambda r: edit_inputs(r / SECOND / "adapter/receipt.json", parents=["3" * 64]),
        "made from other weights of its parent",
    ),
    "other data": (
        lambda r: edit_inputs(r / FIRST / "predictions/receipt.json", files={"pubmedqa.validation": "3" * 64}),
        "predictions are of another validation split of pubmedqa",
    ),
    "other method": (
        lambda r: [edit_json(r / x / "predictions/receipt.json", method="generation") for x in (BASE, FIRST, SECOND)],
        "not made by evaluation.method",
    ),
    "other settings": (
        lambda r: edit_inputs(r / FIRST / "predictions/receipt.json", settings={}),
        "made with other settings",
    ),
    "other training": (
        lambda r: edit_json(r / FIRST / "adapter/training.json", fingerprint="3" * 64),
        "made by another recipe",
    ),
    "odd training": (
        lambda r: edit_json(r / FIRST / "adapter/training.json", steps="many"),
        "adapter/training.json: 'steps'",
    ),
    "edited recipe": (lambda r: edit_json(r / FIRST / "recipe.json", seed=5), "does not match its fingerprint"),
    "edited split": (
        lambda r: (r / "data/pubmedqa/test.jsonl").write_text(""),
        "test.jsonl: does not match",
    ),
    "broken split": (
        lambda r: (r / "data/pubmedqa/test.jsonl").write_text('{"id": "1"}\n'),
        "test.jsonl: line 1 is not an item",
    ),
    "unknown label": (
        lambda r: (r / "data/pubmedqa/test.jsonl").write_text('{"id": "1", "label": "x", "fields": {}}\n'),
        "line 1: the label 'x'",
    ),
    "no summary": (lambda r: (r / "data/summary.json").unlink(), "the data summary is missing"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused_in_one_sentence(results, capsys, case):
    spoil, message = BAD[case]
    spoil(results)
    assert run(results) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (results / "report_metrics.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "figures is missing"),
        ("[", "not valid JSON"),
        ('{"title": "t", "source": "s", "stages": ["a"], "figure": []}', "'figure' is not a setting"),
        (
            '{"title": "t", "source": "s", "stages": ["a"], "trainings": [{"stage": 2, "figures": {}}]}',
            "stage 2 is none of its 1 stages",
        ),
        (
            '{"title": "t", "source": "s", "stages": ["a"], "trainings": [{"stage": 1, "figures": {"loss": 1}}]}',
            "'loss' is no figure of a training",
        ),
    ],
)
def test_bad_published_figures(results, tmp_path, capsys, content, message):
    path = tmp_path / "figures.json"
    if content is not None:
        path.write_text(content)
    settings = made.config(published=str(path), **FAST)
    assert run(results, settings) == 2
    assert message in capsys.readouterr().err


def test_folds_share_test_items_and_nothing_else(folded):
    _, results, report = folded
    assert (report.experiment.folds, report.experiment.reference) == ([3, 5], "sequential")
    other = "base/fold-5/seed-0/pubmedqa"
    assert results.data(other) == data_folder(5)
    # The base model answers the first fold's validation items: no pairs with another fold's, but with what folds share.
    assert results.items_of(BASE, "pubmedqa", "validation") != results.items_of(other, "pubmedqa", "validation")
    assert results.shared_splits() == ["test"]
    assert {record.split for record in report.learning if record.lineage == other} == {"test"}
    later = "base/fold-5/seed-0/pubmedqa/dreaddit"
    assert {record.split for record in report.learning if record.lineage == later} == {"test", "validation"}


def test_folds_that_test_on_other_items(folded, tmp_path):
    original, experiment, _ = folded
    results = shutil.copytree(original, tmp_path / "results")
    fold = results / "data/fold-5"
    test = fold / "pubmedqa/test.jsonl"
    test.write_text("".join(test.read_text().splitlines(keepends=True)[1:]))
    summary = json.loads((fold / "summary.json").read_text())
    files = write_receipt(fold / "pubmedqa", {})["files"]
    summary["tasks"]["pubmedqa"]["splits"]["test"]["sha256"] = files["test.jsonl"]
    write_json(fold / "summary.json", summary)
    with pytest.raises(InputError, match="fold-5/pubmedqa/test.jsonl: not the test items of .*fold-3/pubmedqa"):
        read_results(experiment.config, results)


@pytest.mark.parametrize("spoil", [{"logprobs": [-1.0]}, {"input": "N/A"}, {"logprobs": [0.5, -1.0, -2.0]}])
def test_odd_content_free_answers(original, tmp_path, spoil):
    settings = made.config(**FAST)
    results = shutil.copytree(original, tmp_path / "results")
    path = results / BASE / "predictions/receipt.json"
    receipt = json.loads(path.read_text())
    receipt["content_free"]["pubmedqa"] = [spoil]
    write_json(path, receipt)
    with pytest.raises(InputError, match="content_free of pubmedqa does not hold"):
        read_results(settings, results)
