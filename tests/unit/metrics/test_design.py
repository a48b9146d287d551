"""What a planned study could show, against the report of a study like it and against simulation."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.claims import Cell, run_cell
from stagewise.config.load_config import load
from stagewise.metrics.design import Assumed, Comparisons, Design, TaskItems, plan_of
from tests.helpers import fake_results as made

ITEMS = {"pubmedqa": TaskItems(120), "dreaddit": TaskItems(120)}


def design(runs=3, items=500, number=7, **more) -> Design:
    groups = [Comparisons("arms", "first", number), Comparisons("kept", "first", number)]
    return Design(runs, 0.0, 0.05, {"first": TaskItems(items, **more)}, groups, 40)


def test_the_family_is_that_of_the_report(tmp_path):
    config = made.config(arms=made.ARMS)
    _, metrics = made.experiment(tmp_path, {"train": 60, "validation": 40, "test": 60}, arms=made.ARMS)
    planned = plan_of(config, ITEMS)
    assert planned.family == len(metrics.claims)
    counts = {(g.kind, g.task): g.number for g in planned.comparisons}
    for kind, task in counts:
        assert counts[kind, task] == sum((c.kind, c.task) == (kind, task) for c in metrics.claims)


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
