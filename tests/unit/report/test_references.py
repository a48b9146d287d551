"""Arms of several orders, each with its own reference, and claims about the mean over all tasks."""

import json

import pytest

from stagewise.report import html
from stagewise.report.figures import earlier_task_in_training, earlier_tasks
from stagewise.report.tables import arm_details, arms, claims, setup
from stagewise.report.text import verdicts
from tests.helpers import report_experiments
from tests.helpers.records import find
from tests.helpers.report_experiments import Page, signed, view
from tests.helpers.report_records import claim_average


@pytest.fixture(scope="module")
def metrics():
    return report_experiments.metrics("swept")


@pytest.fixture(scope="module")
def shown_view(metrics):
    return view(metrics, report_experiments.experiment("swept"))


def claim_of(metrics: dict, arm: str) -> dict:
    """The claim about an arm's mean over all tasks."""
    (claim,) = [c for c in metrics["claims"] if c["kind"] == "arms" and arm in c["arms"]]
    return claim


def test_each_arm_has_its_own_reference(shown_view):
    assert shown_view.references == ["sequential-forward", "sequential-reverse"]
    assert [arm for arm in shown_view.arms if shown_view.is_reference(arm)] == shown_view.references
    assert shown_view.reference_of("anchor-reverse") == "sequential-reverse"
    assert shown_view.named_reference == "each arm's reference (sequential-forward, sequential-reverse)"
    row = next(row for row in setup.run(shown_view).rows if row[0].text == "Compared with")
    assert row[1].text == "arms sequential-forward, sequential-reverse"


def test_tables_of_arms_have_a_part_for_each_order(shown_view):
    orders = ["pubmedqa\u00a0→\u00a0dreaddit", "dreaddit\u00a0→\u00a0pubmedqa"]
    final = arms.final_scores(shown_view, shown_view.primary, ["argmax"], "arms")
    for table in (arms.short(shown_view), final, arm_details.cost(shown_view)):
        assert list(table.parts.values()) == orders
        assert [row[0].text.rpartition("-")[2] for row in table.rows] == ["forward"] * 3 + ["reverse"] * 3
        assert table.rows[0][0].detail == table.rows[3][0].detail
    rules = arms.final_scores(shown_view, shown_view.primary, ["prior-adjusted"], "arms")
    assert list(rules.parts.values()) == [f"Decision rule: prior-adjusted: {order}" for order in orders]


def test_arms_are_compared_by_the_mean_alone(metrics, shown_view):
    table = arm_details.against_reference(shown_view)
    parts = [f"Mean over all tasks, against sequential-{order}" for order in ("forward", "reverse")]
    assert list(table.parts.values()) == parts
    assert "against each arm's reference (sequential-forward, sequential-reverse)" in table.caption
    for row in table.rows:
        claim = claim_of(metrics, row[0].text.split()[1])
        assert claim["task"] is None and row[1].text == claim["verdict"]
        assert row[2].text == signed(claim["difference"]["value"])
    by_task = arm_details.unclaimed_differences(shown_view)
    keys = {"arm": "anchor-reverse", "task": "dreaddit", "rule": "argmax", "split": "test"}
    difference = find(metrics["arm_comparisons"], **keys)["measures"]["accuracy"]["difference"]
    assert by_task.rows[2][2].text == signed(difference["value"]) and "nothing is claimed" in by_task.caption
    tasks = view(report_experiments.metrics("arms"))
    assert not arm_details.unclaimed_differences(tasks).rows
    assert list(arm_details.against_reference(tasks).parts.values()) == ["pubmedqa", "dreaddit"]


def test_the_sign_stands_at_the_average_and_at_no_task(metrics, shown_view):
    table = arms.short(shown_view)
    signs = {"better": "▲", "worse": "▼"}
    for row in table.rows:
        arm = row[0].text.split()[1]
        verdict = None if arm.startswith("sequential") else claim_of(metrics, arm)["verdict"]
        assert [cell.sign for cell in row[1:3]] == ["", ""] and row[3].sign == signs.get(verdict, "")
    assert any(row[3].sign for row in table.rows) and "average better than that of each arm's" in table.caption
    assert "forgotten" not in table.caption


def test_single_tasks_of_other_arms_have_no_verdict(shown_view):
    rows = {row[0].text: row[1] for row in arm_details.kept(shown_view).rows}
    assert rows["1 sequential-forward"].text != "–" and rows["3 anchor-forward"].text == "–"
    assert rows["3 anchor-forward"].reason == arm_details.NO_TASK_CLAIM
    data = earlier_tasks.compute(shown_view)
    assert set(data[data.verdict.notna()].arm) == set(shown_view.references)


def test_the_headline_speaks_of_every_reference_and_of_the_mean(metrics):
    values = json.loads(json.dumps(metrics))
    for claim in values["claims"]:
        if claim["kind"] == "arms":
            claim["verdict"] = "better" if "anchor-forward" in claim["arms"] else "not shown"
        if claim["kind"] == "kept":
            claim["verdict"] = "worse"
    text = verdicts.headline(view(values)).text
    assert (
        text.startswith("Arm sequential-forward forgets pubmedqa (")
        and "; arm sequential-reverse forgets dread" in text
    )
    assert text.endswith("; anchor-forward ends better on the mean over all tasks.")
    for claim in values["claims"]:
        claim["verdict"] = "not shown" if claim["kind"] == "arms" else claim["verdict"]
    text = verdicts.headline(view(values)).text
    assert text.endswith("; no other arm is shown to end better or worse on the mean over all tasks.")


def test_an_arm_s_sentences_claim_its_mean_and_nothing_of_a_task(metrics, shown_view):
    kept, against = verdicts.of_arm(shown_view, "anchor-reverse")
    assert kept.verdict == "Nothing is claimed about forgetting of dreaddit" and kept.figures.startswith(
        "accuracy chang"
    )
    claim, words = claim_of(metrics, "anchor-reverse"), {"better": "better", "not shown": "no difference shown"}
    assert against.verdict == f"Against sequential-reverse, {words[claim['verdict']]} on the mean over all tasks"
    assert against.figures.startswith(signed(claim["difference"]["value"]))
    assert "dreaddit +" in against.figures and against.figures.endswith("of which nothing is claimed")
    learnt = Page(html.render(shown_view, {})).text
    assert "beats the majority class on pubmedqa:" in learnt and "not measurably the untuned model" not in learnt


def test_with_one_run_the_mean_is_that_of_these_adapters():
    values = report_experiments.metrics("arms")
    values["experiment"]["seeds"] = [0]
    claim_average(values, {"isolated": "better", "multitask": "worse", "rehearsal-10": "not shown"})
    shown = view(values)
    said = [verdicts.against_reference(shown, arm).verdict for arm in ("isolated", "multitask", "rehearsal-10")]
    assert said == [
        "This adapter against that of sequential, higher by the mean over all tasks",
        "This adapter against that of sequential, lower by the mean over all tasks",
        "This adapter against that of sequential, no difference shown on the mean over all tasks",
    ]
    signs = {row[0].text: row[3].sign for row in arms.short(shown).rows}
    assert signs == {
        "1 sequential": "", "2 isolated": "◆", "3 multitask": "■", "4 rehearsal-10": "", "5 blend-0.5": "",
    }  # fmt: skip
    assert verdicts.kept(shown, "isolated", "pubmedqa").verdict.startswith("pubmedqa cannot be forgotten")
    assert "one training of each arm says nothing about the arms" in verdicts.headline(shown).text


def test_the_list_of_claims_names_the_mean(metrics, shown_view):
    rows = [row for row in claims.claims(shown_view).rows if row[1].text == arms.MEAN_OVER_TASKS]
    assert len(rows) == 4 and {row[2].text for row in rows} == {"arm sequential-forward", "arm sequential-reverse"}


def test_forgetting_over_time_is_a_picture_per_arm_with_its_reference_in_grey(shown_view):
    figure = earlier_task_in_training.draw(shown_view, earlier_task_in_training.compute(shown_view))
    assert [heading for heading, _ in figure.panels] == [
        "pubmedqa while stage 2 learns dreaddit", "dreaddit while stage 2 learns pubmedqa",
    ]  # fmt: skip
    (_, forward), (_, reverse) = figure.panels
    names = ["1 sequential-forward", "3 anchor-forward", "5 rehearsal-10-forward"]
    assert [picture.caption for picture in forward] == names and len(reverse) == 3
    reference, other = (str(picture.svg) for picture in forward[:2])
    grey = 'style="fill: none; stroke: var(--muted); stroke-opacity: 0.8'
    assert grey not in reference and grey in other, "the reference itself has no grey line"
    assert "each arm's reference (sequential-forward, sequential-reverse)" in figure.caption
    ticks = [[text for text in str(p.svg).split("</text>") if ">" in text][-1] for p in forward]
    assert len({text.rpartition(">")[2] for text in ticks}) == 1, "all on the same axes"


def test_an_arm_that_merges_has_the_training_before_the_merge():
    shown = view(report_experiments.metrics("arms"), report_experiments.experiment("arms"))
    figure = earlier_task_in_training.draw(shown, earlier_task_in_training.compute(shown))
    captions = [picture.caption for _, pictures in figure.panels for picture in pictures]
    assert captions == ["1 sequential", "4 rehearsal-10", "5 blend-0.5, the same training as its reference"]
    assert "the training before the merge" in figure.caption
    assert "Here: pubmedqa while stage 2 learns dreaddit." in figure.caption, "one panel has no heading"
