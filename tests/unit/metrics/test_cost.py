"""Costs of arms: every adapter counts once, shared ones in each arm."""

import pytest

from tests.helpers import fake_results as made
from tests.helpers.records import find
from tests.unit.metrics.conftest import SMALL

FIRST, SECOND = "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"


def test_costs_count_every_adapter_once(one):
    _, report = one
    training = find(report.training, lineage=FIRST)
    merge = find(report.training, lineage=f"{SECOND}/merged-blend-0.5").seconds
    assert merge != training.seconds
    reference = find(report.costs, arm="sequential")
    for arm, trainings, merges, adapters in (
        ("sequential", 2, 0, 1),
        ("isolated", 2, 0, 2),
        ("multitask", 1, 0, 1),
        ("blend-0.5", 2, 1, 1),
    ):
        found = find(report.costs, arm=arm)
        assert (found.trainings, found.merges, found.adapters) == (trainings, merges, adapters)
        assert found.tokens == trainings * training.tokens
        assert found.seconds == trainings * training.seconds + merges * merge
        assert found.seconds_over_reference == pytest.approx(found.seconds / reference.seconds)
    sizes = {adapter.lineage: adapter.bytes for adapter in report.adapters}
    assert find(report.costs, arm="isolated").bytes == sizes[FIRST] + sizes["base/seed-0/dreaddit"]


def test_ratios_are_to_each_arms_own_reference(tmp_path):
    arms = {name: made.ARMS[name] for name in ("sequential", "multitask")}
    arms |= {"merged": made.ARMS["blend-0.5"] | {"reference": "multitask"}}
    arms |= {"rehearsal-10": made.ARMS["rehearsal-10"]}
    _, report = made.experiment(tmp_path, SMALL, arms=arms, statistics={"bootstrap_samples": 100})
    costs = {cost.arm: cost for cost in report.costs}
    assert costs["merged"].steps == 2 * costs["multitask"].steps
    for arm, ratio in (("sequential", 1), ("rehearsal-10", 1), ("multitask", 0.5), ("merged", 2)):
        assert (costs[arm].steps_over_reference, costs[arm].tokens_over_reference) == (ratio, ratio)
    assert report.experiment.references == {"merged": "multitask"}
    against = {record.arm: record.against for record in report.arm_comparisons}
    assert against == {"multitask": "sequential", "merged": "multitask", "rehearsal-10": "sequential"}
    # The difference is from the arm that is named.
    by_arm = {s.arm: s.average["accuracy"].value for s in report.arm_summaries if s.rule == "argmax"}
    for record in report.arm_comparisons:
        if (record.rule, record.task) == ("argmax", None):
            difference = record.measures["accuracy"].difference.value
            assert difference == pytest.approx(by_arm[record.arm] - by_arm[record.against])


def test_steps_that_early_stopping_saved_are_planned_and_not_counted(tmp_path, monkeypatch):
    training = made._training
    stopped = {"steps": 30, "planned_steps": 80}
    monkeypatch.setattr(made, "_training", lambda a, *rest: training(a, *rest) | (stopped if a.stage == 2 else {}))
    arms = {name: made.ARMS[name] for name in ("sequential", "multitask")}
    _, report = made.experiment(tmp_path, SMALL, arms=arms, statistics={"bootstrap_samples": 100})
    costs = {cost.arm: (cost.steps, cost.planned_steps) for cost in report.costs}
    assert costs == {"sequential": (40 + 30, 40 + 80), "multitask": (40, None)}
    assert find(report.costs, arm="multitask").steps_over_reference == pytest.approx(40 / 70)
