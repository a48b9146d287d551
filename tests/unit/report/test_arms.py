"""Several arms on the page: the main table, and the items known then lost."""

import json
import time

import pytest

from scripts import report as step
from stagewise.report import html, items_page, markdown
from tests.helpers import report_experiments
from tests.helpers.records import find
from tests.helpers.report_experiments import Page, arguments, arm_score, estimate, score, signed, view

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


def test_the_main_table_has_a_row_per_arm_and_rule(metrics, shown):
    table = shown.tables["arms"]
    rules = ["argmax", "prior-adjusted", "batch-calibrated", "contextual"]
    assert table.parts == [f"Decision rule: {rule}" for rule in rules]
    assert len(table.rows) == len(ARMS) * len(rules)
    for place, row in enumerate(table.rows):
        arm, rule = ARMS[place % len(ARMS)], rules[place // len(ARMS)]
        keys = {"arm": arm, "rule": rule, "split": "test"}
        final = arm_score(metrics, arm, "pubmedqa", rule)["accuracy"]
        assert row[0].startswith(f"{place % len(ARMS) + 1} {arm}") and row[1] == estimate(final)
        if arm == "rehearsal-10":
            change = find(metrics["arm_tasks"], **keys, task="pubmedqa")["change"]["accuracy"]
            assert row[2] == estimate(change, signed)
        if arm != "sequential":
            against = find(metrics["arm_comparisons"], **keys, task="pubmedqa")["measures"]["accuracy"]
            assert row[3][0] in "▲≈▼○" and row[3][2:] == estimate(against["difference"], signed)
            assert row[4] == ("< 0.001" if against["p_holm"] < 0.001 else f"{against['p_holm']:.3f}")
        average = find(metrics["arm_summaries"], **keys)["average"]
        assert row[8:10] == [estimate(average[name]) for name in ("accuracy", "macro_f1")]
        assert row[-1] == f"{100 * average['accuracy']['training_share']:.1f}%"


def test_one_arm_has_a_row_per_rule():
    values = report_experiments.metrics("small")
    rows = Page(html.render(view(values))).tables["arms"].rows
    assert [row[0] for row in rows] == ["argmax", "prior-adjusted", "batch-calibrated", "contextual"]
    for row in rows:
        kept = find(values["arm_tasks"], rule=row[0], task="pubmedqa", split="test")
        final = arm_score(values, "sequential", "pubmedqa", row[0])["accuracy"]
        assert row[1:3] == [estimate(final), estimate(kept["change"]["accuracy"], signed)]


def test_costs_and_the_matrix_metrics_are_those_of_the_records(metrics, shown):
    for number, arm in enumerate(ARMS, start=1):
        cost = find(metrics["costs"], arm=arm)
        row = next(r for r in shown.tables["cost"].rows if r[0].startswith(f"{number} {arm}"))
        assert row[1:4] == [f"{cost['trainings']:g}", f"{cost['merges']:g}", f"{cost['tokens']:,.0f}"]
        assert row[6:9] == [
            f"{cost['tokens_over_reference']:.2f}",
            f"{cost['seconds_over_reference']:.2f}",
            str(cost["adapters"]),
        ]
    record = find(metrics["arm_summaries"], arm="sequential", rule="argmax", split="test")
    row = next(r for r in shown.tables["matrix-metrics"].rows if r[0].startswith("1 sequential"))
    assert row[6:8] == [estimate(record[name]["macro_f1"], signed) for name in ("backward_transfer", "forgetting")]


def test_rules_discrimination_and_agreement_are_those_of_the_records(metrics, shown):
    decision = score(metrics, "base", "pubmedqa")
    row = shown.tables["decisions-pubmedqa"].rows[0]
    assert row[0] == "argmax" and row[3].startswith(f"{100 * decision['measures']['macro_f1']['value']:.1f} ")
    assert row[-1].startswith(f"{100 * find(decision['labels'], label='maybe')['recall']['value']:.1f}")
    known = find(metrics["discrimination"], lineages=["base"], task="pubmedqa", split="test")
    row = shown.tables["discrimination"].row("untuned base model")
    assert row[1].startswith(f"{100 * known['auroc']['value']:.1f} ")
    assert row[2:4] == [estimate(known[key], lambda v: f"{v:.4g}") for key in ("log_loss", "log_loss_fitted")]
    for record in metrics["agreement"]:
        row = shown.tables["agreement"].row(f"{record['task']} {record['split']} split", record["column"])
        assert row[2] == str(record["items"]) and row[3] == estimate(record["mean"])


def test_the_smallest_effect_stands_beside_the_comparison(metrics, shown):
    table = shown.tables["against-reference"]
    assert table.parts == ["pubmedqa", "dreaddit", "Mean over all tasks"]
    row = next(row for row in table.rows if row[0] == "4 rehearsal-10")
    keys = {"arm": "rehearsal-10", "task": "pubmedqa", "rule": "argmax", "split": "test"}
    record = find(metrics["arm_comparisons"], **keys)["measures"]["accuracy"]
    assert record["claim"] in row[1] and row[7] == f"{100 * record['smallest_effect']:.1f}"
    items = record["items"]
    assert row[3] == f"[{signed(items['low'])}, {signed(items['high'])}]"


def test_markdown_has_the_main_table_the_conclusions_and_the_cost(metrics, written):
    text = (written / "r.md").read_text()
    final = arm_score(metrics, "isolated", "pubmedqa")["accuracy"]
    assert f"| 2 isolated | {estimate(final)} |" in text
    assert "**Arm isolated.** Against sequential it ends" in text and "### Cost" in text
    assert "are too few to measure training noise well" in text


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


def test_twelve_arms_and_three_seeds_stay_readable():
    found = view(report_experiments.metrics("study"), report_experiments.experiment("study"))
    start = time.process_time()
    page = html.render(found, items="items.html")
    assert time.process_time() - start < 20 and len(page) < 5_000_000
    shown = Page(page)
    assert len(shown.tables["arms"].rows) == 12 and len(shown.tables["arms-rules"].rows) == 36
    ids = [values["id"] for _, values in shown.elements if "id" in values]
    assert len(ids) == len(set(ids))
    outside = page
    while "<details" in outside:  # the innermost first
        head, _, rest = outside.rpartition("<details")
        outside = head + rest.partition("</details>")[2]
    open_tables = set(Page(outside).tables)
    assert {"arms", "kept", "cost", "discrimination"} <= open_tables
    # What is about single adapters is folded away.
    folded = {"scores-test", "forgetting-test", "learning-test", "training", "fingerprints", "decisions-pubmedqa"}
    assert folded <= set(shown.tables) and not folded & open_tables
    assert "Arm distill." in shown.text and "12 distill" in markdown.render(found)
