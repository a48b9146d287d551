"""What metrics and report need at the very end."""

import json


def test_a_measure_that_generated_answers_lack_is_a_warning(tiny_experiment):
    statistics = {"primary_measure": "brier"}
    assert tiny_experiment.problems(statistics=statistics) == []
    ((verdict, sentence),) = tiny_experiment.problems(statistics=statistics, evaluation={"method": "generation"})
    assert verdict == "warning" and "statistics.primary_measure is 'brier'" in sentence


def test_published_figures_that_cannot_be_read_fail(tiny_experiment):
    (tiny_experiment.folder / "figures.json").write_text("{")
    ((verdict, sentence),) = tiny_experiment.problems(published="figures.json")
    assert verdict == "failure" and sentence.startswith("figures.json: ")


def test_folds_that_test_other_items_fail(tiny_experiment):
    lists = tiny_experiment.folder / "ids.json"
    lists.write_text(json.dumps({"test": ["a"], "folds": [["b"], ["c"]]}))
    split = {"made": {"rule": "ids", "ids": "ids.json", "fold": 0}}
    for task in tiny_experiment.values["tasks"].values():
        task["splits"] = split
    for fold in (0, 1):
        for task in tiny_experiment.items.values():
            task["test"] = task["test"][fold:]
        tiny_experiment.write_data(f"out/data/fold-{fold}")
    ((verdict, sentence),) = tiny_experiment.problems(folds=[0, 1])
    assert verdict == "failure" and "not the test items of out/data/fold-0/colours" in sentence
