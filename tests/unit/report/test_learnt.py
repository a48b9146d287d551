"""Reports in which no task is an earlier one: they say whether each was learnt, beside the untuned model."""

import json

import pytest

from stagewise.report import markdown
from stagewise.report.figures.registry import draw_figures
from stagewise.report.tables import arms, setup
from stagewise.report.text.verdicts import headline
from tests.helpers import report_experiments
from tests.helpers.report_experiments import claim, shows, view

NO_BREAK = "\N{NO-BREAK SPACE}"


@pytest.fixture
def values():
    return report_experiments.metrics("one")


def said(values) -> str:
    return headline(view(values)).text.replace(NO_BREAK, " ")


@pytest.fixture
def set_verdicts(values):
    """Let the claims of learning show something: a function of the verdicts against majority class and base."""

    def change(majority: str, base: str) -> None:
        for against, verdict in (("majority", majority), ("base", base)):
            low, value, high = (-0.3, -0.2, -0.1) if verdict == "worse" else (0.1, 0.2, 0.3)
            record = claim(values, "learnt", "dreaddit", "mine", against)
            shows(record, verdict, low, value, high, detectable=0.15)

    return change


def test_the_headline_says_that_the_task_is_learnt(values, set_verdicts):
    set_verdicts("better", "better")
    assert said(values) == (
        "In this one training the model learnt dreaddit (accuracy 53.3% → 91.7%, +20.0 points [+10.0, +30.0], "
        "corrected p = 0.010)."
    )


@pytest.mark.parametrize(
    "verdicts, text",
    [
        (("better", "not shown"), "In this one training the model beats the majority class on dreaddit (accuracy"),
        (("worse", "better"), "In this one training the model stays below the majority class on dreaddit (accuracy"),
        (("not shown", "better"), "That in this one training the model learnt dreaddit (accuracy"),
    ],
)
def test_the_headline_says_no_more_than_the_claims_show(values, set_verdicts, verdicts, text):
    set_verdicts(*verdicts)
    assert said(values).startswith(text)
    assert "against the majority class" in said(values) and "against the untuned model" in said(values)
    assert ("less than about 15.0 points would mostly go unseen" in said(values)) == ("not shown" in verdicts)


def test_the_short_table_stands_beside_the_untuned_model(values, set_verdicts):
    set_verdicts("not shown", "better")
    text = markdown.table(arms.short(view(values))).replace(NO_BREAK, " ")
    assert "| Arm | dreaddit | Against the untuned model | Against the majority class |" in text
    assert "| mine | 53.3 → 91.7 | ◆ +20.0 [+10.0, +30.0] | +20.0 [+10.0, +30.0] |" in text
    assert "Tasks: untuned → when learnt." in text and "◆ shown to be better." in text


def test_the_picture_goes_from_the_untuned_model_to_what_was_learnt(values, set_verdicts):
    set_verdicts("better", "better")
    figures = draw_figures(view(values))
    (row,) = figures["learnt-tasks"].data.to_dict("records")
    assert (round(row["before"], 3), round(row["after"], 3), row["verdict"]) == (0.533, 0.917, "better")
    assert (row["change_low"], row["change_high"]) == (0.1, pytest.approx(0.3))
    assert "earlier-tasks" not in figures and "when learnt, better" in figures["learnt-tasks"].svg
    assert "learnt-tasks" not in draw_figures(view(report_experiments.metrics("small")))


def test_several_tasks_and_arms_are_each_named():
    shown = view(report_experiments.metrics("together"))
    text = headline(shown).text
    assert text.startswith("Arm mixed learnt pubmedqa (accuracy ") and " and dreaddit (accuracy " in text
    assert text.endswith("; no other arm is shown to end better or worse on pubmedqa and dreaddit.")
    table = arms.short(shown)
    assert [column.text for column in table.columns] == ["Arm", "pubmedqa", "dreaddit", "Average"]
    assert len(draw_figures(shown)["learnt-tasks"].data) == 4


@pytest.mark.parametrize("limits, shown", [({"dreaddit": 128}, "128"), ({}, "256")])
def test_settings_show_the_length_that_holds(values, limits, shown):
    config = values["experiment"]["config"]
    config["training"]["max_length"] = 256
    for task, limit in limits.items():
        config["tasks"][task]["max_length"] = limit
    rows = {row[0].text: row[1].text for row in setup.settings(view(values)).rows}
    assert rows["max length"] == shown


def test_settings_show_the_length_of_each_task_of_a_stage():
    values = json.loads(json.dumps(report_experiments.metrics("together")))
    values["experiment"]["config"]["training"]["max_length"] = 256
    values["experiment"]["config"]["tasks"]["dreaddit"]["max_length"] = 128
    rows = {row[0].text: row[1].text for row in setup.settings(view(values)).rows}
    assert rows["max length"] == "256 (pubmedqa), 128 (dreaddit)"
