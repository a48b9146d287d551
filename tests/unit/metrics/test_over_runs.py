"""Decision rules and discrimination of every adapter over seeds and folds, in the record and in the report."""

import csv
import io

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import log_loss

from stagewise.lineage import BASE
from stagewise.metrics.build import build
from stagewise.metrics.discrimination import fit_bias
from stagewise.metrics.read_results import read_run
from stagewise.metrics.schema import RULES
from stagewise.report import html
from stagewise.report.figures.registry import draw_figures
from stagewise.report.tables import decision_rules
from tests.helpers import fake_results as made
from tests.helpers import report_experiments
from tests.helpers.report_experiments import Page, view

SAMPLES = 3000
SIZES = {"train": 60, "validation": 40, "test": 120}
LAST = [f"base/seed-{seed}/pubmedqa/dreaddit" for seed in range(3)]
TEST = {"lineages": LAST, "task": "pubmedqa", "split": "test"}


def find(records, **keys):
    (found,) = [r for r in records if all(getattr(r, key) == value for key, value in keys.items())]
    return found


def experiment(folder, **overlay):
    settings = made.config(**{"statistics": {"bootstrap_samples": SAMPLES}} | overlay)
    run = read_run(settings, made.write_results(folder, settings, sizes=SIZES))
    return run, build(run)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return experiment(tmp_path_factory.mktemp("three"), seeds=[0, 1, 2])


def answers(run, split="test"):
    return [run.answers[lineage, "pubmedqa", split] for lineage in LAST]


def resampled(statistic, items):
    """A percentile bootstrap of somebody else's, over places of items."""
    found = stats.bootstrap(
        (np.arange(items),),
        statistic,
        vectorized=False,
        n_resamples=SAMPLES,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    return pytest.approx((found.low, found.high), abs=0.02)


def bounds(interval):
    return interval.low, interval.high


def test_every_adapter_stands_once_with_its_runs_in_order(three):
    run, report = three
    assert {tuple(d.lineages) for d in report.decisions_over_runs} == {
        tuple(lineage.replace("seed-0", f"seed-{seed}") for seed in range(3))
        for lineage in run.adapters
        if "/seed-0/" in lineage
    }
    assert len(report.discrimination_over_runs) == len(run.adapters) / 3 * 4
    assert {d.rule for d in report.decisions_over_runs if d.split == "test"} == set(RULES)


def test_accuracy_is_that_of_the_arm_which_ends_there(three):
    _, report = three
    for rule in RULES:
        found = find(report.decisions_over_runs, **TEST, rule=rule)
        for measure in ("accuracy", "macro_f1"):
            own = {"arm": "sequential", "task": "pubmedqa", "split": "test", "rule": rule, "measure": measure}
            ours, theirs = getattr(found, measure), find(report.arm_tasks, **own).final
            assert ours.values == theirs.values
            assert bounds(ours.both) == pytest.approx(bounds(theirs.both))
            assert ours.training_share == pytest.approx(theirs.training_share)


def test_recall_recomputed(three):
    run, report = three
    found = find(report.decisions_over_runs, **TEST, rule="argmax")
    known = answers(run)
    gold = known[0].gold

    def recall(places, label):
        own = places[gold[places] == label]
        return float(np.mean([(a.answer[own] == label).mean() for a in known]))

    for label, word in enumerate(run.words("pubmedqa")):
        spread = find(found.recalls, label=word).recall
        singles = [
            find(find(report.decisions, lineage=x, rule="argmax", task="pubmedqa", split="test").recalls, label=word)
            for x in LAST
        ]
        assert spread.values == [single.recall.value for single in singles]
        assert spread.value == pytest.approx(recall(np.arange(len(gold)), label))
        assert bounds(spread.items) == resampled(lambda places: recall(places, label), len(gold))  # noqa: B023
        assert spread.both.low <= spread.items.low < spread.items.high <= spread.both.high


def test_log_loss_recomputed(three):
    run, report = three
    found = find(report.discrimination_over_runs, **TEST)
    known, biases = answers(run), [fit_bias(a.logprobs, a.gold) for a in answers(run, "validation")]

    def losses(bias_by_run):
        """Of every item, the mean over runs."""
        for each, bias in zip(known, bias_by_run, strict=True):
            shares = np.exp(each.logprobs + bias)
            shares /= shares.sum(1, keepdims=True)
            pairs = zip(each.gold, shares, strict=True)
            yield [log_loss([gold], [share], labels=[0, 1, 2]) for gold, share in pairs]

    for spread, shift in ((found.log_loss, [0, 0, 0]), (found.log_loss_fitted, biases)):
        own = np.mean(list(losses(shift)), 0)
        assert spread.value == pytest.approx(own.mean(), abs=1e-4)
        assert bounds(spread.items) == resampled(lambda places: own[places].mean(), len(own))  # noqa: B023
    for lineage, value in zip(LAST, found.log_loss.values, strict=True):
        single = find(report.discrimination, lineage=lineage, task="pubmedqa", split="test")
        assert single.log_loss.value == value and single.log_loss.low < value < single.log_loss.high


def test_no_fitted_loss_on_the_items_that_fitted_it(three):
    found = find(three[1].discrimination_over_runs, **TEST | {"split": "validation"}).log_loss_fitted
    assert (found.value, found.reason) == (None, "the bias is fitted on these items")


def test_a_label_without_items_has_no_recall_and_says_why(tmp_path):
    settings = made.config(seeds=[0, 1], statistics={"bootstrap_samples": 100})
    made.write_results(tmp_path, settings, sizes=SIZES | {"test": 2})
    run = read_run(settings, tmp_path)
    absent = set(run.words("pubmedqa")) - {item["label"] for item in run.items_of(BASE, "pubmedqa", "test")}
    found = find(build(run).decisions_over_runs, lineages=LAST[:2], task="pubmedqa", split="test", rule="argmax")
    assert absent
    for word in absent:
        assert find(found.recalls, label=word).recall.reason == "no item has this label"


def test_one_run_has_its_intervals_in_the_records_themselves(tmp_path):
    _, report = experiment(tmp_path)
    assert report.decisions_over_runs == report.discrimination_over_runs == []


def test_the_report_shows_the_intervals():
    metrics = report_experiments.metrics("arms")
    shown = view(metrics, report_experiments.experiment("arms"))
    last = [lineage for lineage in LAST if "seed-2" not in lineage]
    whole = shown.decisions_over_runs[(*last, "pubmedqa", "prior-adjusted")]
    maybe = find(whole.recalls, label="maybe").recall
    table = decision_rules.decisions(shown, "pubmedqa")
    assert "items and 2 seeds together" in table.caption
    (rows,) = (rows for heading, rows in table.bodies if heading.startswith("After pubmedqa → dreaddit: "))
    cell = rows[1][6]
    assert (cell.text, cell.detail) == (
        f"{100 * maybe.value:.1f}",
        f"[{100 * maybe.both.low:.1f}, {100 * maybe.both.high:.1f}]",
    )
    figure = draw_figures(shown)["rare-label-recall"]
    assert "bars are intervals" in figure.caption
    (row,) = (
        row
        for row in csv.DictReader(io.StringIO(figure.csv))
        if (row["arm"], row["seed"], row["rule"], row["stage"]) == ("sequential", "", "prior-adjusted", "2")
    )
    assert (float(row["recall"]), float(row["low"])) == (maybe.value, maybe.both.low)


def test_records_of_before_show_the_range():
    """Files that were written before these records, and folds with other items, have none."""
    metrics = report_experiments.metrics("arms")
    metrics["decisions_over_runs"] = metrics["discrimination_over_runs"] = []
    table = decision_rules.decisions(view(metrics), "pubmedqa")
    assert "range of the runs" in table.caption and " to " in table.rows[-1][2].detail
    assert "decisions-pubmedqa" in Page(html.render(view(metrics))).tables
