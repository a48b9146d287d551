"""What a planned study could show, against the report of a study like it and against simulation."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.claims import Cell, run_cell
from stagewise.config.load_config import load
from stagewise.metrics.design import Assumed, Comparisons, Design, TaskItems, plan_of
from tests.helpers import fake_results as made
from tests.unit.metrics.conftest import SMALL

ITEMS = {"pubmedqa": TaskItems(120), "dreaddit": TaskItems(120)}


def design(runs=3, items=500, number=7, **more) -> Design:
    groups = [Comparisons("arms", "first", number), Comparisons("kept", "first", number)]
    return Design(runs, 0.0, 0.05, {"first": TaskItems(items, **more)}, groups, 40)


@pytest.mark.parametrize("outcome", ["tasks", "average"])
@pytest.mark.parametrize("arms", [{"arms": made.ARMS}, {"arms": made.SWEPT, "orders": made.ORDERS}])
def test_the_family_is_that_of_the_report(tmp_path, arms, outcome):
    overlay = arms | {"statistics": {"primary_outcome": outcome, "bootstrap_samples": 100}}
    _, metrics = made.experiment(tmp_path, SMALL, **overlay)
    planned = plan_of(made.config(**overlay), ITEMS)
    assert planned.family == len(metrics.claims)
    counts = {(g.kind, g.task, g.against): g.number for g in planned.comparisons}
    claims = [(c.kind, c.task, c.against) for c in metrics.claims if c.kind in ("kept", "arms")]
    assert counts == {key: claims.count(key) for key in claims}


def mean_design(runs, items=200) -> Design:
    tasks = {"first": TaskItems(items), "second": TaskItems(items)}
    return Design(runs, 0.0, 0.05, tasks, [Comparisons("arms", None, 3, "arm-0"), Comparisons("kept", "first", 1)], 6)


@pytest.mark.parametrize(("runs", "noise"), [(1, 0), (3, 2)])
def test_the_planned_mean_over_tasks_is_found_as_often_as_promised(runs, noise):
    """Against simulation, whose training noise is independent from task to task."""
    group, _ = mean_design(runs).comparisons
    detectable = mean_design(runs).detectable(group, Assumed(noise / 100, task_correlation=0.0))
    cell = Cell(4, 200, runs, noise, effect=detectable, outcome="average")
    assert 0.65 < np.mean(run_cell(cell, 60, seed=7, earlier=False).found) < 0.95


def test_a_mean_over_tasks_finds_less_than_a_task():
    mean = mean_design(3)
    group, _ = mean.comparisons
    alone = Comparisons("arms", "first", 3, "arm-0")
    assert mean.detectable(group, Assumed(0.03)) < mean.detectable(alone, Assumed(0.03))
    # Noise that both tasks have in common does not average out.
    together, apart = (mean.detectable(group, Assumed(0.03, task_correlation=c)) for c in (1.0, 0.0))
    assert together > mean.detectable(group, Assumed(0.03)) > apart
    needed = mean.items_for(0.06, group, Assumed(0.01))
    assert mean_design(3, items=needed // 2).detectable(group, Assumed(0.01)) == pytest.approx(0.06, abs=0.004)


@pytest.mark.parametrize("runs", [3, 5])
def test_more_runs_and_items_find_less_and_more_noise_finds_more(runs):
    now = design(runs)
    for group in now.comparisons:
        found = now.detectable(group, Assumed(0.03))
        assert replace(now, runs=runs + 1).detectable(group, Assumed(0.03)) < found
        assert design(runs, items=2000).detectable(group, Assumed(0.03)) < found
        assert now.detectable(group, Assumed(0.06)) > found
        assert design(runs, group_size=3.0).detectable(group, Assumed(0.03)) > found


def test_what_the_old_report_called_hidden_is_a_fraction_of_what_hides():
    # 80 items, three seeds, three points of training noise: reports said that 8.5 points could go unseen.
    group, *_ = design(3, items=80).comparisons
    assert 0.15 < design(3, items=80).detectable(group, Assumed(0.03)) < 0.25


def test_the_planned_difference_is_that_of_the_report():
    cell = Cell(8, 200, 3, 3.0)
    outcome = run_cell(cell, 12, seed=5, earlier=False)
    group = Comparisons("arms", "first", 7)
    planned = Design(3, 0.0, 0.05, {"first": TaskItems(200)}, [Comparisons("arms", "first", 31)], 65)
    assert planned.detectable(group, Assumed(0.03)) == pytest.approx(np.mean(outcome.detectable), rel=0.15)


def test_seeds_and_items_that_would_do():
    planned = design(3)
    group = planned.comparisons[0]
    needed = planned.runs_for(0.1, group, Assumed(0.03))
    assert replace(planned, runs=needed).detectable(group, Assumed(0.03)) <= 0.1
    assert replace(planned, runs=needed - 1).detectable(group, Assumed(0.03)) > 0.1
    assert planned.runs_for(0.01, group, Assumed(0.2)) is None
    items = planned.items_for(0.1, group, Assumed(0.0))
    assert design(3, items=items).detectable(group, Assumed(0.0)) <= 0.1
    # No number of test items makes up for training noise.
    assert planned.items_for(0.05, group, Assumed(0.06)) is None


def test_folds_count_once_and_share_training_items():
    folded = load("config.yaml").model_copy(update={"folds": [0, 1, 2], "seeds": [0, 1]})
    assert plan_of(folded, ITEMS, overlap=1 / 9).runs == 3
    group = design().comparisons[0]
    overlapping = replace(design(), overlap=1 / 9)
    assert overlapping.detectable(group, Assumed(0.03)) > design().detectable(group, Assumed(0.03))
