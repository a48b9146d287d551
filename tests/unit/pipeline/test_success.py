"""What a run says once it has succeeded."""

from stagewise.pipeline.success import success_lines


def test_the_report_is_named_if_the_targets_include_it():
    asked = {"all", "report", "metrics", "train_adapter"}
    assert success_lines("out", ["report", "all"], asked) == ["The report is out/report.html"]


def test_without_a_report_what_was_made_is_said():
    made = ["fetch_model", "make_splits", "splits"]
    assert success_lines("out", made, set(made)) == ["Models fetched into models: 1.", "The splits are in out/data."]
    made = ["train_adapter", "train_adapter", "write_recipe"]
    assert success_lines("out", made, {*made, "make_splits"}) == ["Adapters trained, below out/base: 2."]
    assert success_lines("out", ["preflight"], {"preflight"}) == []
