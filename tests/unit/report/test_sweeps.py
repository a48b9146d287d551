"""Sweeps in the report: what was tried, how it was chosen, what it cost, and the curves of the trade-off."""

import json

import pytest

from stagewise.report import html
from stagewise.report.figures import trade_off_curves
from stagewise.report.figures.registry import draw_figures
from stagewise.report.tables import arm_details, setup, tried
from stagewise.report.text import verdicts
from stagewise.report.text.tried import choice, unequal_numbers
from tests.helpers import report_experiments
from tests.helpers.records import find
from tests.helpers.report_experiments import Page, estimate, view, without_folds
from tests.helpers.report_records import add_sweep


@pytest.fixture(scope="module")
def metrics():
    return report_experiments.metrics("swept")


@pytest.fixture(scope="module")
def shown_view(metrics):
    return view(metrics, report_experiments.experiment("swept"))


@pytest.fixture(scope="module")
def figures(shown_view):
    return draw_figures(shown_view)


def render(values: dict) -> str:
    """The page without pictures."""
    return html.render(view(values), {})


def draw_curves(values: dict) -> list:
    """Pictures of the trade-off curves."""
    shown = view(values)
    return trade_off_curves.draw(shown, trade_off_curves.compute(shown)).panels


def test_every_setting_stands_with_what_decided_and_its_cost(metrics, shown_view):
    table = tried.tried(shown_view)
    assert [column.text for column in table.columns][:4] == ["Setting", "Validation", "pubmedqa", "dreaddit"]
    assert len(table.rows) == len(metrics["variants"]) == 14
    for variant, row in zip(metrics["variants"], table.rows, strict=True):
        assert (row[0].text, row[0].detail == "chosen") == (variant["variant"], variant["chosen"])
        finals = [variant["final"][task]["accuracy"] for task in ("pubmedqa", "dreaddit")]
        texts = [f"{cell.text} {cell.detail}".strip() for cell in row[1:4]]
        assert texts == [estimate(value) for value in (variant["validation"], *finals)]
        assert row[5].text == f"{variant['tokens'] + variant['extra_tokens']:,.0f}"
    parts = list(table.parts.values())
    assert parts[0] == "1 sequential-forward" and len(parts) == 4, "arms without a sweep have no settings"


def test_many_settings_are_folded_and_few_are_not(metrics):
    values = json.loads(json.dumps(metrics))
    assert "tried" not in Page(without_folds(render(values))).tables and "tried" in Page(render(values)).tables
    values["variants"] = values["variants"][:3]
    assert "tried" in Page(without_folds(render(values))).tables


def test_costs_say_how_many_settings_were_tried(metrics, shown_view):
    table = arm_details.cost(shown_view)
    assert [column.text for column in table.columns if column.group == "Tried"] == ["Settings", "Tokens", "Time"]
    assert len(table.columns) <= 10 and "those of the chosen ones" in table.caption
    for row in table.rows:
        cost = find(metrics["costs"], arm=row[0].text.split()[1])
        assert [row[7].text, row[8].text] == [str(cost["tried"]), f"{cost['tried_tokens']:,.0f}"]


def test_arms_that_tried_more_are_named_beside_the_comparison(metrics, shown_view):
    sentence = unequal_numbers(shown_view)
    assert "favours those with more" in sentence.verdict
    first, second = sentence.figures.split("; ")
    numbers = {"rehearsal-10": "1 setting", "sequential": "3 settings", "anchor": "4 settings"}
    assert first == ", ".join(f"arm {arm}-forward: {number}" for arm, number in numbers.items())
    assert second.count("reverse") == 3
    comparison = render(metrics).split('id="comparison"')[1].split("<h3")[0]
    assert sentence.verdict in comparison
    values = json.loads(json.dumps(metrics))
    for cost in values["costs"]:
        cost["tried"] = 3
    assert unequal_numbers(view(values)) is None


def test_the_conclusions_begin_with_the_choice(metrics, shown_view):
    first = verdicts.lead(shown_view)[0]
    assert first.lead == "Settings" and first.sentences == [choice(shown_view)]
    assert "chosen on validation, out of 3 to 4 that were tried" in first.text and "no test item" in first.text
    values = json.loads(json.dumps(metrics))
    for cost in values["costs"]:
        cost["tried"] = 1
    assert choice(view(values)) is None
    assert "Settings" not in [paragraph.lead for paragraph in verdicts.lead(view(values))]


def test_the_settings_shown_are_the_chosen_ones(metrics, shown_view):
    chosen = find(metrics["variants"], arm="sequential-forward", chosen=True)
    rate = float(chosen["variant"].removeprefix("learning_rate="))
    adapter = find(metrics["adapters"], lineage=chosen["lineages"][0])
    assert adapter["settings"] == {"training": {"learning_rate": rate}}
    table = setup.settings(shown_view, chosen["lineages"])
    assert ["learning rate", f"{rate:g}"] in [[cell.text for cell in row] for row in table.rows]
    row = next(row for row in setup.run(shown_view).rows if row[0].text == "Arm sequential-forward")
    assert row[1].detail == f"{chosen['variant']}, chosen on validation out of 3"


def test_the_curves_hold_every_setting_in_the_order_of_the_swept_value(metrics, figures):
    data = figures["trade-off-curves"].data
    assert len(data) == len(metrics["variants"]) * len(metrics["measures"])
    rows = data[(data.arm == "anchor-reverse") & (data.measure == "accuracy")]
    assert list(rows.setting) == ["strength=0.005", "strength=0.02", "strength=0.05", "strength=0.5"]
    for row in rows.itertuples():
        variant = find(metrics["variants"], arm=row.arm, variant=row.setting)
        assert (row.task_kept, row.kept) == ("dreaddit", variant["final"]["dreaddit"]["accuracy"]["value"])
        assert (row.chosen, row.validation) == (variant["chosen"], variant["validation"]["value"])
    assert len(figures["trade-off-curves"].pictures) == 4
    assert "nothing is claimed" in figures["trade-off-curves"].caption
    assert "What was tried" in figures["stability-plasticity"].caption


def test_several_swept_keys_are_not_joined(metrics):
    values = json.loads(json.dumps(metrics))
    for number, variant in enumerate(values["variants"]):
        variant["variant"] = f"r=8, learning_rate={number}"
    (_, (_, several)), _ = draw_curves(values)
    (_, (_, single)), _ = draw_curves(metrics)
    assert several.svg.count("<path") < single.svg.count("<path")
    assert ">0.02</text>" in single.svg and ">0.02</text>" not in several.svg


def test_one_arm_and_one_run_can_have_a_sweep():
    values = report_experiments.metrics("small")
    assert not draw_curves(values) and "What was tried" not in Page(render(values)).text
    add_sweep(values, "sequential", ["strength=0.1", "strength=1"], chosen="strength=1")
    page = Page(render(values))
    assert len(page.tables["tried"].rows) == 2 and page.tables["tried"].parts == []
    assert "chosen on validation, out of 2 that were tried" in page.text
    ((_, (picture,)),) = draw_curves(values)
    assert picture.caption == "sequential"
    shown = view(values)
    caption = trade_off_curves.draw(shown, trade_off_curves.compute(shown)).caption
    assert "Here: pubmedqa kept, dreaddit learnt." in caption, "one panel has no heading"
