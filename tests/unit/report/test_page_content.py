"""The report's figures are those of report_metrics.json."""

import json
import re

from markdown_it import MarkdownIt

from stagewise.report import markdown
from stagewise.report.tables import number_format
from tests.helpers.records import find
from tests.helpers.report_experiments import BASE, FIRST, SECOND, Page, estimate, plain, render, score, signed, view


def test_scores_of_every_adapter_and_task_are_those_of_the_metrics(metrics, shown):
    names = {
        BASE: "untuned base model stage 0",
        FIRST: "after pubmedqa stage 1",
        SECOND: "after pubmedqa → dreaddit stage 2",
        "majority": "majority class",
        "tfidf": "TF-IDF + logistic regression",
    }
    for split in ("test", "validation"):
        for lineage, name in names.items():
            for task in ("pubmedqa", "dreaddit"):
                rows = {row[0].removeprefix("● "): row[1:] for row in shown.tables[f"scores-{split}-{task}"].rows}
                cells = [re.sub(r"(–|\d)[a-z]$", r"\1", cell) for cell in rows[name]]
                measures = score(metrics, lineage, task, split)["measures"]
                expected = [estimate(measures[key]) for key in ("accuracy", "macro_f1", "balanced_accuracy")]
                assert cells == expected + [estimate(measures[key], plain) for key in ("mcc", "brier")]


def test_items_with_control_tokens_are_a_line_of_the_setup(values, results):
    title = "Items with control tokens of the model, read as plain text"
    assert title not in {row[0] for row in Page(render(values, results)).tables["run"].rows}
    for record in values["predictions"]:
        record["control_tokens"] = 3 if (record["task"], record["split"]) == ("dreaddit", "test") else 0
    values["training"][0]["control_tokens"] = {"pubmedqa.train": 1200, "pubmedqa.validation": 0}
    rows = dict(row[:2] for row in Page(render(values, results)).tables["run"].rows)
    assert rows[title] == "dreaddit test 3, pubmedqa train 1,200"


def test_what_the_rank_of_a_merge_keeps_stands_where_trainings_have_their_checkpoint(values):
    values["training"][0] |= {"kept_share": 0.6213, "best_metric": None, "best_step": None}
    row = Page(render(values)).tables["losses"].row("pubmedqa stage 1")
    assert row[-1] == "merged its rank keeps 62.1% of the squared norm"


def test_a_dot_marks_what_was_learnt(shown):
    for task, learnt in (("pubmedqa", [False, True, True]), ("dreaddit", [False, False, True])):
        assert ["●" in row[0] for row in shown.tables[f"scores-test-{task}"].rows[:3]] == learnt


def test_forgetting_is_that_of_the_metrics(metrics, shown):
    record = find(metrics["forgetting"], comparison="paired", before_split="test")
    (row,) = shown.tables["forgetting-test"].rows
    changes, pairs = record["changes"], record["pairs"]
    before, after = (score(metrics, lineage, "pubmedqa")["measures"] for lineage in (FIRST, SECOND))
    assert row[0] == "pubmedqa learnt at stage 1, 120 test items"
    assert row[1] == f"{100 * before['accuracy']['value']:.1f} → {100 * after['accuracy']['value']:.1f}"
    assert row[2] == estimate(changes["accuracy"], signed)
    assert row[3:6] == [str(pairs["right_both"]), str(pairs["lost"]), str(pairs["gained"])]
    assert row[6] == ("< 0.001" if pairs["p"] < 0.001 else f"{pairs['p']:.3f}")
    (row,) = shown.tables["forgetting-others-test"].rows
    assert row[1] == estimate(changes["macro_f1"], signed)
    assert row[4] == estimate(changes["brier"], lambda value: f"{value:+.3f}".replace("-", "−"))


def test_the_published_way_is_shown_but_claims_nothing(metrics, shown):
    rows = shown.tables["published-way"].rows
    assert [row[1] for row in rows] == [measure["title"] for measure in metrics["measures"]]
    assert "nothing is claimed" in shown.tables["published-way"].caption
    assert all("120 test items, then 40 validation items" in row[0] for row in rows)


def test_learning_is_that_of_the_metrics(metrics, shown):
    rows = shown.tables["learning-test"].rows
    records = [record for record in metrics["learning"] if record["split"] == "test"]
    assert len(rows) == len(records) == 8
    for row, record in zip(rows, records, strict=True):
        assert row[2] == estimate(record["changes"]["accuracy"], signed)
    for row, record in zip(shown.tables["learning-others-test"].rows, records, strict=True):
        assert row[1] == estimate(record["changes"]["macro_f1"], signed)


def test_confusion_counts_and_their_totals(metrics, shown):
    for lineage in (BASE, FIRST, SECOND):
        for task in ("pubmedqa", "dreaddit"):
            answers = find(metrics["predictions"], lineage=lineage, task=task, split="test")
            table = shown.tables[f"confusion-test-{task}-{lineage}".replace("/", ":")]
            counts = [[int(cell.split()[0]) for cell in row[1:]] for row in table.rows]
            assert counts == answers["confusion"]["counts"]
            assert sum(map(sum, counts)) == answers["items"]


def test_invalid_answers_are_counted_and_shown(values):
    answers = find(values["predictions"], lineage=SECOND, task="dreaddit", split="test")
    answers["confusion"]["columns"].append("invalid")
    for row in answers["confusion"]["counts"]:
        row[0] -= 3
        row.append(3)
    answers["invalid"] = 6
    shown = Page(render(values))
    table = shown.tables["confusion-test-dreaddit-base:seed-0:pubmedqa:dreaddit"]
    assert table.head[-1][-1] == "invalid" and "6 invalid answers" in table.caption
    assert "On dreaddit 6 of 120 answers of the adapter pubmedqa → dreaddit are no label (5.0%)" in shown.text
    assert "Answer: invalid" in markdown.render(view(values))


def test_calibration_and_training_are_those_of_the_metrics(metrics, shown):
    keys = {"task": "pubmedqa", "split": "test"}
    answers = find(metrics["predictions"], lineage=SECOND, **keys)
    loss = find(metrics["discrimination"], lineages=[SECOND], **keys)["log_loss"]
    row = shown.tables["calibration-test-pubmedqa"].row("after pubmedqa → dreaddit stage 2")
    assert row[1:4] == [
        f"{100 * answers['ece']['value']:.1f}",
        f"{loss['value']:.4g}",
        f"{100 * answers['label_mass']['value']:.1f}",
    ]
    training = metrics["training"][0]
    row = shown.tables["training"].row("pubmedqa stage 1")
    assert row[1:3] == [str(training["items"]), str(training["steps"])]
    row = shown.tables["losses"].row("pubmedqa stage 1")
    assert row[1] == f"{training['final_loss']:.4g}"
    assert row[3] == f"{training['best_eval_loss']:.4g} at step {training['best_eval_step']}"


def test_the_kept_checkpoint_and_changed_answers_are_shown(values):
    values["training"][0] |= {"best_metric": "macro_f1", "best_step": 45, "best_value": 0.289, "start_value": 0.315}
    values["training"][1] |= {"best_metric": "last", "best_step": None, "best_value": None}
    scored = {record["lineage"]: record for record in values["scoring"]}
    scored[SECOND]["changed_answers"] = {"pubmedqa": 2, "dreaddit": 1}
    shown = Page(render(values))
    kept = [row[4] for row in shown.tables["losses"].rows]
    assert kept[:2] == ["step 45 best macro-f1 0.289, at the start 0.315", "the last one"]
    assert shown.tables["scoring"].row("after pubmedqa → dreaddit")[6] == "3"
    assert shown.tables["scoring"].row("untuned base model")[6].startswith("–")


def test_steps_that_were_not_done_are_shown(values):
    values["training"][0] |= {"steps": 120, "planned_steps": 300, "resumed_from_step": 60}
    values["training"][1] |= {"planned_steps": values["training"][1]["steps"]}
    values["costs"][0] |= {"planned_steps": 12345}
    shown = Page(render(values))
    steps = [row[2] for row in shown.tables["training"].rows]
    assert steps[0] == "120 resumed at 60; of 300 (early stopping)" and "early" not in steps[1]
    assert "of 12,345 (early stopping)" in shown.tables["cost"].rows[0][2]


def test_data_shows_what_was_set_aside_and_every_label(metrics, shown):
    row = shown.tables["sources"].row("pubmedqa")
    task = metrics["tasks"][0]
    assert row[4:7] == [str(task["rows"]), "4", "empty text 3, unknown label 1"]
    labels = " ".join(cell for row in shown.tables["splits"].rows for cell in row)
    for split in metrics["splits"]:
        for entry in split["labels"]:
            assert f"{entry['label']} {entry['items']} ({100 * entry['share']:.1f}%)" in labels
    checksums = {cell for row in shown.tables["checksums"].rows for cell in row}
    assert {split["sha256"] for split in metrics["splits"]} <= checksums


def test_published_figures_say_what_differs(values, shown):
    table = shown.tables["published"]
    accuracy = find(values["published"], stage=1, task="pubmedqa", metric="accuracy")
    row = next(row for row in table.rows if row[0] == "accuracy")
    assert row[1:3] == ["62.9 n = 105", estimate(accuracy["ours"])]
    assert row[4] == "model; data (embedded sample); items (105 against 120)"
    # No model has a part in the majority class's accuracy.
    majority = next(row for row in table.rows if row[0] == "accuracy of the majority class")
    assert majority[4] == "data (embedded sample); items (105 against 120)"
    values["experiment"]["model"] = "llama-3.2-1b-instruct"
    values["tasks"][0] |= {"sample": False, "source": "original", "split": "published"}
    accuracy["our_items"] = 105
    row = next(row for row in Page(render(values)).tables["published"].rows if row[0] == "accuracy")
    assert row[4] == "nothing known"


def test_without_published_figures_a_sentence_says_so(values):
    values |= {"published_source": None, "published": []}
    shown = Page(render(values))
    assert "names no published figures" in shown.text and "published" not in shown.tables
    assert "names no published figures" in markdown.render(view(values))


def test_markdown_has_the_shape_of_a_training_report_and_the_same_figures(metrics, results):
    text = markdown.render(view(metrics, results))
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "## Overview",
        "## Stage 1: pubmedqa",
        "## Stage 2: dreaddit",
        "## Cross-task evaluation",
        "## Observations",
        "## Provenance",
    ]
    measures = score(metrics, FIRST, "pubmedqa")["measures"]
    assert f"| {estimate(measures['accuracy'])} | {estimate(measures['macro_f1'])} |" in text
    # The verdict comes first; details are folded.
    assert text.split("### Result\n\n")[1].startswith("**In this one training the model lost part of pubmedqa")
    assert text.count("<details>") == text.count("</details>") > 10
    # Every table is whole: as many cells in each row as in its head.
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert len(tables) > 15
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert rendered.count("<table>") == len(tables)
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_a_training_that_overfits_is_noticed(metrics, results):
    values = json.loads(json.dumps(metrics))
    values["training"][0]["best_eval_step"] = 30
    assert "validation loss was lowest at step 30" in Page(render(values, results)).text
    # Without a later evaluation there is nothing to say.
    values["training"][0]["best_eval_step"] = 40
    assert "validation loss was lowest" not in Page(render(values, results)).text


def test_trainings_by_different_packages_are_named(metrics, results):
    values = json.loads(json.dumps(metrics))
    assert "Not all trainings used the same packages" not in Page(render(values, results)).text
    for record, version in zip(values["training"], ("2.12.0", "2.13.0"), strict=False):
        record["packages"] = {"torch": version}
    text = Page(render(values, results)).text
    assert "Not all trainings used the same packages: torch 2.12.0 made" in text and "2.13.0 made" in text


def test_sizes_are_in_the_unit_that_a_reader_would_choose():
    sizes = {135_000: "132 KiB", 12 * 2**20: "12 MiB", 2**30: "1.0 GiB", 2**29: "0.5 GiB", None: "–"}
    assert {size: number_format.size(size) for size in sizes} == sizes
