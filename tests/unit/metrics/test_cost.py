"""Costs of arms: every adapter counts once, shared ones in each arm."""

import pytest

from tests.helpers.records import find

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
