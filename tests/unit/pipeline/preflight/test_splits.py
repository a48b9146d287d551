"""Leaks, labels and sizes."""

import json
from collections import Counter

from stagewise.pipeline.preflight.check import CHECKS, run_check
from stagewise.pipeline.preflight.context import Context
from stagewise.pipeline.preflight.splits import _fewest


def leaks(experiment, config, **facts) -> list[str]:
    """Sentences on leaks for a summary with these facts."""
    experiment.write_data()
    path = experiment.folder / "out/data/summary.json"
    summary = json.loads(path.read_text())
    summary["tasks"]["colours"] |= facts.pop("colours", {})
    path.write_text(json.dumps(summary | facts))
    (each,) = [each for each in CHECKS if each.name == "leaks"]
    return [f.sentence for f in run_check(each, Context(config)) if f.verdict == "warning"]


def test_texts_that_leak_are_a_warning_if_they_are_kept(tiny_experiment):
    repeated = {"duplicates": {"across_splits": 3}}
    keep = tiny_experiment.config(duplicates={"across_splits": "keep", "across_tasks": "keep"})
    (sentence,) = leaks(tiny_experiment, keep, colours=repeated)
    assert "colours: 3 items have the text of an item in another split" in sentence
    assert leaks(tiny_experiment, tiny_experiment.config(duplicates={"across_splits": "drop"}), colours=repeated) == []
    (sentence,) = leaks(tiny_experiment, keep, duplicates_across_tasks=2)
    assert "2 texts are in more than one task" in sentence


def test_groups_that_are_divided_are_a_warning(tiny_experiment):
    (sentence,) = leaks(tiny_experiment, tiny_experiment.config(), colours={"groups_across_splits": 4})
    assert "4 groups of tasks.colours.group are in more than one split" in sentence


def test_one_label_and_rare_labels_are_named(tiny_experiment):
    items = tiny_experiment.items["colours"]
    items["train"] = items["train"][::2]
    items["validation"] = [*items["validation"][::2], items["validation"][1]]
    problems = tiny_experiment.problems()
    assert {verdict for verdict, _ in problems} == {"warning"}
    assert "the train split holds the label 'red' alone" in problems[0][1]
    assert "the validation split has too few items of a label to say anything about it (1 of 'green')" in problems[1][1]


def test_of_many_rare_labels_the_rarest_are_named():
    words = [f"w{n}" for n in range(9)]
    assert _fewest(Counter(w0=1), ["w0"]) == "1 of 'w0'"
    assert _fewest(Counter(dict.fromkeys(words, 1)) | Counter(w9=7), words).startswith(
        "9 of 10 labels, such as 1 of 'w0'"
    )
    counts = Counter(dict.fromkeys(words, 1))
    counts["w8"] = 0
    assert "such as 0 of 'w8', 1 of 'w0', 1 of 'w1', 1 of 'w2' and 1 of 'w3'" in _fewest(counts, words)


def test_a_tiny_test_split_can_show_nothing(tiny_experiment):
    items = tiny_experiment.items["colours"]
    items["test"] = items["test"][:6]
    assert any("tasks.colours: the test split has 6 items" in sentence for _, sentence in tiny_experiment.problems())
    (finding,) = [f for f in tiny_experiment.findings() if f.check == "what it could show" and "kept" in f.found]
    assert finding.verdict == "note" and "no difference" in finding.found


def rows_sentences(experiment, **facts) -> list[str]:
    experiment.write_data()
    path = experiment.folder / "out/data/summary.json"
    summary = json.loads(path.read_text())
    summary["tasks"]["colours"] |= facts
    path.write_text(json.dumps(summary))
    (each,) = [each for each in CHECKS if each.name == "rows"]
    return [f.sentence for f in run_check(each, Context(experiment.config())) if f.verdict == "warning"]


def test_many_rows_that_cannot_be_used_are_a_warning(tiny_experiment):
    (sentence,) = rows_sentences(tiny_experiment, rows=100, set_aside={"duplicate id": 30, "not drawn": 5})
    assert "tasks.colours: 30 of 100 rows are set aside (duplicate id: 30); look at" in sentence
    assert "colours/set_aside.csv" in sentence
    by_rule = {"not drawn": 40, "duplicate text in train": 20, "empty text": 2}
    assert rows_sentences(tiny_experiment, rows=100, set_aside=by_rule) == []
    unknown = {"rows": 100, "set_aside": {"unknown label": 50}}
    tiny_experiment.values["tasks"]["colours"]["unknown_labels"] = "set_aside"
    assert rows_sentences(tiny_experiment, **unknown) == []
