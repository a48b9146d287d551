"""Inputs at the edge: every record is a number or has its reason, and nothing warns."""

import dataclasses
import json
import warnings

import numpy as np
import pytest

from stagewise.metrics.bootstrap import TOO_FEW
from stagewise.metrics.build import build_metrics, flatten_metrics, format_metrics
from stagewise.metrics.read_results import read_results
from stagewise.metrics.schema import ReportMetrics
from tests.helpers import fake_results as made
from tests.helpers.records import find

TWO_RUNS = {"seeds": [0, 1], "statistics": {"bootstrap_samples": 100}}
ONE_RUN = {"statistics": {"bootstrap_samples": 100}}


def one_label(answers):
    """Every model answers the first label, as surely as numbers allow."""
    logprobs = np.full((len(answers), len(answers.labels)), -np.inf)
    logprobs[:, 0] = 0.0
    return dataclasses.replace(answers, answer=np.zeros(len(answers), dtype=int), logprobs=logprobs)


def ties(answers):
    return dataclasses.replace(
        answers,
        answer=np.zeros(len(answers), dtype=int),
        logprobs=np.full((len(answers), len(answers.labels)), -np.log(len(answers.labels))),
    )


def invalid(answers):
    return dataclasses.replace(answers, answer=np.full(len(answers), len(answers.labels)), logprobs=None)


def perfect(answers):
    logprobs = np.where(np.arange(len(answers.labels)) == answers.gold[:, None], 0.0, -np.inf)
    return dataclasses.replace(answers, answer=answers.gold, logprobs=logprobs)


EDGES = [one_label, ties, invalid, perfect]
ARMS = {name: made.ARMS[name] for name in ("sequential", "rehearsal-10")}
SIZES = {"train": 30, "validation": 6, "test": 7}


def numbers(values):
    if isinstance(values, dict):
        return [number for value in values.values() for number in numbers(value)]
    if isinstance(values, list):
        return [number for value in values for number in numbers(value)]
    return [values] if isinstance(values, float) else []


def build(results) -> ReportMetrics:
    """Metrics, with every warning of the numerical libraries an error; they are written and read without a NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = build_metrics(results)
    text = format_metrics(report)
    assert np.isfinite(numbers(json.loads(text))).all()
    json.dumps(flatten_metrics(report), allow_nan=False)
    for score in report.scores:
        for value in score.measures.values():
            assert value.value is not None or value.reason
            assert value.low is not None or value.reason
    return report


def written(folder, sizes=SIZES, **overlay):
    settings = made.config(arms=ARMS, **overlay)
    return read_results(settings, made.write_results(folder, settings, sizes=sizes))


@pytest.mark.parametrize(
    ("sizes", "overlay"), [((30, 6, 1), TWO_RUNS), ((30, 1, 2), ONE_RUN), ((1, 1, 1), ONE_RUN)], ids=str
)
def test_splits_of_one_item(tmp_path, sizes, overlay):
    report = build(written(tmp_path, dict(zip(SIZES, sizes, strict=True)), **overlay))
    absent = {entry.what: entry.reason for entry in report.omitted}
    for split in SIZES:
        what = f"scores of labels no, maybe on pubmedqa's {split} split"
        assert (what in absent) == (split != "train" and dict(zip(SIZES, sizes, strict=True))[split] == 1)
    assert "scores of label maybe on pubmedqa's validation split" not in absent


def test_items_of_one_label(tmp_path, monkeypatch):
    monkeypatch.setitem(made.SHARES, "pubmedqa", [1 - 2e-9, 1e-9, 1e-9])
    report = build(written(tmp_path, **TWO_RUNS))
    for record in report.discrimination:
        if record.task == "pubmedqa":
            assert record.auroc.reason == "all items have the same label"


@pytest.mark.parametrize("group", [lambda n: 0, lambda n: max(n, 1)], ids=["one group", "a pair"])
def test_groups_of_items(tmp_path, monkeypatch, group):
    make_items = made.make_items

    def grouped(*arguments):
        return [item | {"group": group(n)} for n, item in enumerate(make_items(*arguments))]

    monkeypatch.setattr(made, "make_items", grouped)
    report = build(written(tmp_path, **ONE_RUN))
    reasons = {score.measures["accuracy"].reason for score in report.scores}
    assert (reasons == {TOO_FEW}) == (group(5) == 0)


@pytest.fixture(scope="module", params=[ONE_RUN, TWO_RUNS], ids=["one run", "two runs"])
def results(request, tmp_path_factory):
    return written(tmp_path_factory.mktemp("edges"), **request.param)


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.__name__)
def test_answers_at_the_edge(results, edge):
    predictions = {key: edge(answers) for key, answers in results.predictions.items()}
    report = build(dataclasses.replace(results, predictions=predictions))
    score = find(report.scores, lineages=["base"], task="dreaddit", split="test", rule="argmax")
    expected = {
        "invalid": ("macro_f1", 0),
        "perfect": ("macro_f1", 1),
        "one_label": ("mcc", 0),
        "ties": ("brier", 0.5),
    }.get(edge.__name__)
    if expected:
        assert score.measures[expected[0]].value == pytest.approx(expected[1])
