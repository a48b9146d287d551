"""Look-ups: the order in which arms learnt the tasks."""

import json

import pytest

from tests.helpers import report_experiments
from tests.helpers.report_experiments import FIVE_TASKS, view


def test_arms_are_grouped_by_the_order_of_their_tasks():
    shown = view(report_experiments.metrics("orders"))
    turned = [tuple(FIVE_TASKS[turn:] + FIVE_TASKS[:turn]) for turn in (0, 2, 4)]
    assert shown.orders == {order: [arm] for order, arm in zip(turned, shown.arms, strict=True)}
    assert shown.ordered_tasks == tuple(FIVE_TASKS)
    assert shown.order("order-2") == turned[1]
    assert shown.earlier_tasks("order-2") == list(turned[1][:-1])


@pytest.mark.parametrize("reference", ["sequential", "reverse"])
def test_an_arm_of_one_stage_joins_the_first_order(reference, tmp_path):
    first, second = report_experiments.FIRST_STAGE, report_experiments.SECOND_STAGE
    arms = {
        "multitask": {"stages": [{"task": ["pubmedqa", "dreaddit"]}]},
        "sequential": {"stages": [first, second]},
        "reverse": {"stages": [second, first]},
    }
    results = report_experiments.write(tmp_path, arms=arms)
    values = json.loads((results / "report_metrics.json").read_text())
    values["experiment"]["reference"] = reference
    orders = view(values).orders
    other = {"sequential": "reverse", "reverse": "sequential"}[reference]
    assert {frozenset(arms) for arms in orders.values()} == {frozenset({"multitask", reference}), frozenset({other})}
    assert next(iter(orders)) == (("pubmedqa", "dreaddit") if reference == "sequential" else ("dreaddit", "pubmedqa"))


def test_a_task_counts_where_it_was_learnt_last():
    shown = view(report_experiments.metrics("many"))
    assert shown.order("sequential") == ("dreaddit", "pubmedqa")  # its third stage learns pubmedqa again
    assert shown.earlier_tasks("sequential") == ["dreaddit"] and shown.earlier_tasks("gentle") == ["pubmedqa"]
