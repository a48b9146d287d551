"""Several arms on the page: their tables, and the items known then lost."""

import json

import pytest

from scripts import report as step
from stagewise.report import html, items_page
from stagewise.report.figures.registry import draw_figures
from stagewise.report.tables import arms
from stagewise.report.task_orders import arms_over_orders
from tests.helpers import report_experiments
from tests.helpers.records import find
from tests.helpers.report_experiments import Page, arguments, arm_score, estimate, render, score, signed, view

ARMS = list(report_experiments.made.ARMS)


@pytest.fixture(scope="module")
def metrics():
    return report_experiments.metrics("arms")


@pytest.fixture(scope="module")
def results():
    return report_experiments.experiment("arms")


@pytest.fixture(scope="module")
def written(results, tmp_path_factory):
    """Folder with everything that the step writes."""
    out = tmp_path_factory.mktemp("report")
    assert step.main(arguments(results / "report_metrics.json", results, out)) == 0
    return out


@pytest.fixture(scope="module")
def shown(written):
    return Page((written / "r.html").read_text())


def test_the_short_table_holds_before_and_after_average_and_backward_transfer(metrics, shown):
    table = shown.tables["arms-short"]
    assert table.head == [["Arm", "pubmedqa", "dreaddit", "Average", "Backward transfer"]]
    assert len(table.rows) == len(ARMS)
    for number, (arm, row) in enumerate(zip(ARMS, table.rows, strict=True), start=1):
        assert row[0] == f"{number} {arm}"
        last = [f"{100 * arm_score(metrics, arm, task)['accuracy']['value']:.1f}" for task in ("pubmedqa", "dreaddit")]
        if arm != "multitask":  # it learns both tasks at once, so neither is an earlier one
            learnt = arm_score(metrics, arm, "pubmedqa", stage=1)["accuracy"]["value"]
            last[0] = f"{100 * learnt:.1f} → {last[0]}"
        assert [cell.removeprefix("▼ ").removeprefix("▲ ") for cell in row[1:3]] == last
        record = find(metrics["arm_summaries"], arm=arm, rule="argmax", split="test")
        assert row[3] == estimate(record["average"]["accuracy"])
        assert row[4].startswith(estimate(record["backward_transfer"]["accuracy"], signed))
    assert table.rows[2][4].startswith("–")


def test_a_sign_in_the_short_table_is_a_claim(metrics):
    values = json.loads(json.dumps(metrics))
    signs = {"worse": "▼ ", "better": "▲ ", "not shown": "", "not claimed": ""}
    for verdict, sign in signs.items():
        for claim in values["claims"]:
            claim["verdict"] = verdict if claim["kind"] == "kept" else "not shown"
        table = arms.short(view(values))
        cell = next(row for row in table.rows if row[0].text == "1 sequential")[1]
        assert f"{cell.sign} ".lstrip() == sign
        assert ("▼ forgotten" in table.caption, "▲ improved" in table.caption) == (
            verdict == "worse",
            verdict == "better",
        )


def test_one_run_has_no_arrow():
    values = report_experiments.metrics("small")
    for claim in values["claims"]:
        claim["verdict"] = "worse"
    table = arms.short(view(values))
    assert table.rows[0][1].sign == "■" and "■ lost by these adapters" in table.caption
    svg = draw_figures(view(values))["earlier-tasks"].svg
    assert "lost by these adapters" in svg and "forgotten" not in svg
    assert not set("▲▼") & set(table.caption)


def test_arms_of_different_orders_show_their_own_order():
    values = report_experiments.metrics("labels")
    table = arms.short(view(values))
    assert [column.text for column in table.columns[1:3]] == ["Task 1", "Task 2"]
    assert "in the order in which the arm learnt them" in table.caption
    cells = {row[0].text: [cell.detail for cell in row[1:3]] for row in table.rows}
    assert cells == {"1 sequential": ["pubmedqa", "banking"], "2 reverse": ["banking", "pubmedqa"]}
    assert [["→" in cell.text for cell in row[1:3]] for row in table.rows] == [[True, False]] * 2


def test_many_tasks_are_one_column_with_the_worst_of_them():
    found = view(report_experiments.metrics("orders"))
    table = arms.short(found)
    assert [column.text for column in table.columns] == ["Arm", "Average", "Backward transfer", "Worst earlier task"]
    for arm, row in zip(found.arms, table.rows, strict=True):
        changes = {task: found.change(arm, task, "accuracy").value for task in found.earlier_tasks(arm)}
        assert len(changes) == 4 and row[3].detail == min(changes, key=changes.get)


def test_every_measure_and_rule_has_a_row_per_arm(metrics, shown):
    assert [row[0].split()[1] for row in shown.tables["arms"].rows] == ARMS
    for name in ("arms", "arms-macro-f1", "arms-rules"):
        table, measure = shown.tables[name], "macro_f1" if name == "arms-macro-f1" else "accuracy"
        rules = ["prior-adjusted", "batch-calibrated", "contextual"] if name == "arms-rules" else ["argmax"]
        assert table.parts == ([f"Decision rule: {rule}" for rule in rules] if name == "arms-rules" else [])
        for place, row in enumerate(table.rows):
            arm, rule = ARMS[place % len(ARMS)], rules[place // len(ARMS)]
            finals = [arm_score(metrics, arm, task, rule)[measure] for task in ("pubmedqa", "dreaddit")]
            assert row[1:3] == [estimate(final) for final in finals]
            average = find(metrics["arm_summaries"], arm=arm, rule=rule, split="test")["average"][measure]
            assert row[3] == estimate(average) and row[5] == f"{100 * average['training_share']:.1f}%"


def test_costs_and_the_matrix_metrics_are_those_of_the_records(metrics, shown):
    for number, arm in enumerate(ARMS, start=1):
        cost = find(metrics["costs"], arm=arm)
        row = next(r for r in shown.tables["cost"].rows if r[0].startswith(f"{number} {arm}"))
        merges = f" + {cost['merges']:g} merge" if cost["merges"] else ""
        assert row[1] == f"{cost['trainings']:g}{merges}" and row[4] == "0"
        for cell, key in zip((row[2], row[3]), ("steps", "tokens"), strict=True):
            assert cell == f"{cost[key]:,.0f} {cost[f'{key}_over_reference']:.2f} ×"
        assert row[5].endswith(f"{cost['seconds_over_reference']:.2f} ×") and row[6].startswith(str(cost["adapters"]))
    table = shown.tables["cost"]
    assert "The same budget means the same number of optimizer steps" in table.caption
    assert "that of the arm sequential" in table.caption and "Tried" not in table.caption and len(table.head[-1]) == 7
    record = find(metrics["arm_summaries"], arm="sequential", rule="argmax", split="test")
    table = shown.tables["matrix-metrics"]
    assert table.parts[:2] == ["Accuracy", "Macro-F1"]
    row = [r for r in table.rows if r[0].startswith("1 sequential")][1]
    assert row[2:4] == [estimate(record[name]["macro_f1"], signed) for name in ("backward_transfer", "forgetting")]


def test_rules_discrimination_and_agreement_are_those_of_the_records(metrics, shown):
    decision = score(metrics, "base", "pubmedqa")
    row = shown.tables["decisions-pubmedqa"].rows[0]
    assert row[0] == "argmax" and row[3].startswith(f"{100 * decision['measures']['macro_f1']['value']:.1f} ")
    assert row[-1].startswith(f"{100 * find(decision['labels'], label='maybe')['recall']['value']:.1f}")
    known = find(metrics["discrimination"], lineages=["base"], task="pubmedqa", split="test")
    row = next(row for row in shown.tables["discrimination"].rows if row[0] == "untuned base model")
    assert row[1].startswith(f"{100 * known['auroc']['value']:.1f} ")
    assert row[2:4] == [estimate(known[key], lambda v: f"{v:.4g}") for key in ("log_loss", "log_loss_fitted")]
    for record in metrics["agreement"]:
        row = shown.tables["agreement"].row(f"{record['task']} {record['split']} split", record["column"])
        assert row[2] == str(record["items"]) and row[3] == estimate(record["mean"])


def test_what_could_be_detected_stands_beside_the_comparison(metrics, shown):
    table = shown.tables["against-reference"]
    assert table.parts == ["pubmedqa", "dreaddit"]
    row = next(row for row in table.rows if row[0] == "4 rehearsal-10")
    keys = {"arm": "rehearsal-10", "task": "pubmedqa", "rule": "argmax", "split": "test"}
    record = find(metrics["arm_comparisons"], **keys)["measures"]["accuracy"]
    claims = [c for c in metrics["claims"] if (c["kind"], c["task"]) == ("arms", "pubmedqa")]
    claim = next(claim for claim in claims if "rehearsal-10" in claim["arms"])
    assert claim["verdict"] in row[1] and row[7] == f"{100 * claim['detectable']:.1f}"
    items = record["items"]
    assert row[3] == f"[{signed(items['low'])}, {signed(items['high'])}]"


def test_every_claim_is_listed_with_its_test(metrics, shown):
    table = shown.tables["claims"]
    assert len(table.rows) == len(metrics["claims"]) and len(table.parts) == 4
    kept = [claim for claim in metrics["claims"] if claim["kind"] == "kept"]
    for claim, row in zip(kept, table.rows, strict=False):
        assert row[:4] == [
            f"arm {claim['arms'][0]}",
            "pubmedqa",
            "when learnt",
            estimate(claim["difference"], signed),
        ]
        p = claim["p_corrected"]
        assert row[5] == ("< 0.001" if p < 0.001 else f"{p:.3f}") and claim["verdict"] in row[7]


def test_markdown_has_the_short_table_the_conclusions_and_the_cost(metrics, written):
    text = (written / "r.md").read_text()
    average = find(metrics["arm_summaries"], arm="isolated", rule="argmax", split="test")["average"]["accuracy"]
    assert f"| {estimate(average)} |" in text.split("### What was run")[0]
    assert "**Arm isolated.**" in text and "#### Cost" in text


def test_the_page_says_flips_in_ids_and_links_to_their_texts(metrics, written, shown):
    lost = [r for r in metrics["flips"] if (r["arm"], r["split"]) == ("sequential", "test")]
    table = shown.tables["flips"]
    row = next(row for row in table.rows if row[0] == "sequential")
    both = set(lost[0]["lost"]) & set(lost[1]["lost"])
    assert row[1] == f"{sum(len(r['lost']) for r in lost) / 2:.1f}".removesuffix(".0") and row[3] == str(len(both))
    items = Page((written / "items.html").read_text())
    anchors = {values["id"] for values in items.all("article")}
    links = {v["href"].split("#")[1] for v in shown.all("a") if v.get("href", "").startswith("items.html#")}
    assert links and links <= anchors
    assert {"r.html"} == {v["href"] for v in items.all("a")}


def test_texts_stand_in_the_local_page_alone(metrics, results, written):
    text, local = (written / "r.html").read_text(), (written / "items.html").read_text()
    flipped = {i for r in metrics["flips"] if r["split"] == "test" for i in (*r["lost"], *r["gained"])}
    lines = (results / "data/pubmedqa/test.jsonl").read_text().splitlines()
    items = {item["id"]: item for item in map(json.loads, lines)}
    assert flipped and flipped < set(items)
    for name, item in items.items():
        for value in item["fields"].values():
            assert (value in local) == (name in flipped) and value not in text
    assert "This page holds the data's text." in local


def test_markup_in_an_items_text_is_shown_not_obeyed(metrics, tmp_path):
    evil = '<script>alert("x")</script> & <b id="item-1-1">'
    values = json.loads(json.dumps(metrics))
    values["flips"] = values["flips"][:1]
    values["flips"][0] |= {"task": "pubmedqa", "split": "test", "lost": [evil], "gained": []}
    folder = tmp_path / "data/pubmedqa"
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text(json.dumps({"id": evil, "label": "yes", "fields": {evil: evil}}) + "\n")
    local = items_page.render(view(values), tmp_path, 'my "page".html')
    shown = Page(local)
    assert not shown.all("script") and not shown.all("b") and shown.text.count(evil) == 3
    assert [values["href"] for values in shown.all("a")] == ["my%20%22page%22.html"]
    page = html.render(view(values), items="items.html")
    assert not Page(page).all("script") and evil in Page(page).text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "test.jsonl: the split is missing; run the step that writes it (scripts.make_splits)"),
        ("{\n", "test.jsonl: line 1 is not an item"),
        ("[]\n", "test.jsonl: line 1 is not an item"),
        ('{"id": "other", "label": "yes", "fields": {}}\n', "of report_metrics.json is not there"),
    ],
)
def test_items_that_cannot_be_read_are_refused_in_one_sentence(text, said, results, tmp_path, capsys):
    folder = tmp_path / "data/pubmedqa"
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "test.jsonl").write_text(text)
    assert step.main(arguments(results / "report_metrics.json", tmp_path, tmp_path / "out")) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and said in error and "\n" not in error
    assert not (tmp_path / "out").exists()


def test_the_mean_over_orders_stands_below_the_arms():
    values = report_experiments.metrics("orders")
    row = Page(render(values)).tables["over-orders"].rows[0]
    summaries = [s for s in values["arm_summaries"] if (s["rule"], s["split"]) == ("argmax", "test")]
    average, transfer = (
        sum(s[name]["accuracy"]["value"] for s in summaries) / 3 for name in ("average", "backward_transfer")
    )
    assert row[:2] == ["all arms", "3"] and row[-2:] == [f"{100 * average:.1f}", signed(transfer)]
    arms = {arm: value["value"] for arm in view(values).arms for value in [arm_score(values, arm, "tone")["accuracy"]]}
    assert row[6] == f"{100 * sum(arms.values()) / 3:.1f}"
    assert "over-orders" not in Page(render(report_experiments.metrics("small"))).tables


def test_arms_of_declared_orders_are_averaged_by_name():
    orders = {("a", "b"): ["plain-one", "ewc-one"], ("b", "a"): ["plain-two", "ewc-two", "other-two"]}
    arms = [arm for group in orders.values() for arm in group]
    groups = arms_over_orders(orders, ["one", "two"], arms)
    assert groups == {"plain": ["plain-one", "plain-two"], "ewc": ["ewc-one", "ewc-two"]}
    assert arms_over_orders(orders, [], arms) == {}
