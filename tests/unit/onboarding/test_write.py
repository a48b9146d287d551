"""The two files that `scripts.init` writes, or does not."""

import pytest

from scripts import init, make_splits
from stagewise.config.load_config import load
from tests.helpers.data_step import DataStep
from tests.helpers.refusals import check_refused_command, contents


@pytest.fixture
def reviews(files) -> str:
    return files.csv("reviews.csv", files.rows(lambda n: {"text": files.text(), "topic": "ab"[n % 2]}))


def test_what_is_said_at_the_end(files, reviews, capsys):
    assert files.init(reviews) == 0
    saw, wrote, run, estimate = capsys.readouterr().out.splitlines()
    assert saw == (
        "saw    reviews.csv (60 rows); classification: text -> topic, 2 labels of 30 rows; no id column, "
        "0 repeated texts"
    )
    assert wrote == "wrote  experiments/reviews.yaml and prompts/reviews.txt; read both, then"
    assert run == "run    snakemake --cores all --configfile experiments/reviews.yaml"
    assert "trains on 48 items, 3 times over, and scores 12 items with the base model and the adapter" in estimate
    assert "snakemake -n --configfile experiments/reviews.yaml" in estimate


def test_doubts_are_said(files, capsys):
    def make(n):
        return {
            "text": files.text(),
            "weekday": ["mon", "tue"][n % 2],
            "topic": "ab"[n % 2],
            "class": "xy"[n % 2],
        }

    assert files.init(files.csv("mine.csv", files.rows(make))) == 0
    assert "text -> class, 2 labels of 30 rows (or topic: --label)" in capsys.readouterr().out

    def make(n):
        return {"text": files.text(), "weekday": ["mon", "tue"][n % 2]}

    assert files.init(files.csv("other.csv", files.rows(make))) == 0
    assert "no name says that 'weekday' is the answer: check it" in capsys.readouterr().out


def test_nothing_is_replaced_without_force(files, reviews, capsys):
    assert files.init(reviews) == 0
    check_refused_command(init.main, [reviews], capsys, files.folder, "experiments/reviews.yaml: the file is there")
    assert files.init(reviews, "--force", "--kind", "ordinal") == 0
    assert files.overlay("reviews")["tasks"]["reviews"]["kind"] == "ordinal"


def test_a_prompt_alone_is_not_replaced_either(files, reviews, capsys):
    assert files.init(reviews) == 0
    (files.folder / "experiments" / "reviews.yaml").unlink()
    check_refused_command(init.main, [reviews], capsys, files.folder, "prompts/reviews.txt: the file is there already")


def test_an_overlay_that_does_not_hold_leaves_nothing(files, capsys):
    path = files.csv("mine.csv", files.rows(lambda n: {"text": files.text(), "label": "ab"[n % 2]}))
    argv = [path, "--name", "summary.json"]  # a name that the results have for another file
    check_refused_command(init.main, argv, capsys, files.folder, r"tasks.summary.json .*\(nothing was written\)")


def test_options_of_the_command(files, capsys):
    def make(n):
        return {"a": files.text(), "b": files.text(), "c": "xy"[n % 2], "key": f"k{n}"}

    path = files.csv("mine.csv", files.rows(make))
    argv = [path, "--name", "other", "--label", "c", "--text", "b", "a", "--id", "", "--output", "deep/down.yaml"]
    assert files.init(*argv) == 0
    config = load("config.yaml", "deep/down.yaml")
    task = config.tasks["other"]
    assert list(task.fields) == ["b", "a"] and task.id is None and task.prompt.endswith("/other.txt")


def test_a_name_that_is_no_folder_is_refused(files, reviews, capsys):
    check_refused_command(init.main, [reviews, "--name", "a b"], capsys, files.folder, "--name 'a b': take letters")


def test_a_name_of_config_steps_aside(files, capsys):
    path = files.csv("dreaddit.csv", files.rows(lambda n: {"text": files.text(), "label": "ab"[n % 2]}))
    assert files.init(path) == 0 and "my-dreaddit" in files.overlay("my-dreaddit")["tasks"]
    check_refused_command(
        init.main, [path, "--name", "dreaddit"], capsys, files.folder, "config.yaml has a task of this"
    )


def test_after_a_task_of_config(files, reviews):
    assert files.init(reviews, "--after", "pubmedqa") == 0
    config = load("config.yaml", "experiments/reviews.yaml")
    assert [stage.tasks for stage in config.active_arms["sequential"].stages] == [["pubmedqa"], ["reviews"]]
    assert set(config.active_tasks) == {"pubmedqa", "reviews"} and config.training.max_length == 1024


def test_after_the_task_of_another_overlay(files, reviews, capsys):
    assert files.init(reviews) == 0
    path = files.csv("mine.csv", files.rows(lambda n: {"text": files.text(), "label": "ab"[n % 2]}))
    assert files.init(path, "--after", "reviews") == 0
    first, second = files.overlay("reviews"), files.overlay("mine")
    assert second["tasks"]["reviews"] == first["tasks"]["reviews"]
    config = load("config.yaml", "experiments/mine.yaml")
    assert [stage.tasks for stage in config.active_arms["sequential"].stages] == [["reviews"], ["mine"]]
    argv = [path, "--name", "x", "--after", "nothing"]
    check_refused_command(init.main, argv, capsys, files.folder, "--after nothing: name a task of config.yaml")


def test_several_files(files):
    for name, count in (("train", 40), ("dev", 12), ("test", 20)):
        files.csv(f"{name}.csv", files.rows(lambda n, name=name: {"text": f"{name} {n}", "label": "ab"[n % 2]}, count))
    assert files.init("test.csv", "train.csv", "dev.csv", "--name", "mine") == 0
    task = files.overlay("mine")["tasks"]["mine"]
    assert {role: file["path"] for role, file in task["sources"]["original"]["files"].items()} == {
        "train": "train.csv",
        "validation": "dev.csv",
        "test": "test.csv",
    }
    assert task["splits"]["files"] == {"rule": "files", "train": "train", "test": "test", "validation": "validation"}


def test_a_test_file_without_answers_is_refused(files, capsys):
    files.csv("train.csv", files.rows(lambda n: {"text": f"a {n}", "label": "ab"[n % 2]}))
    files.csv("test.csv", files.rows(lambda n: {"text": f"b {n}", "label": ""}))
    argv = ["train.csv", "test.csv", "--name", "mine"]
    check_refused_command(init.main, argv, capsys, files.folder, "test.csv: no row has an answer in 'label'; leave")


def test_another_folder_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    check_refused_command(init.main, ["a.csv"], capsys, tmp_path, "call this from the project's folder")


def test_texts_stay_out_of_the_files(files):
    """An overlay may be committed: it holds names, labels and counts, and nothing of what people wrote."""
    rows = files.rows(lambda n: {"text": f"secret{n} {files.text()}", "label": "ab"[n % 2], "user": f"person{n // 2}"})
    assert files.init(files.csv("mine.csv", rows)) == 0
    written = files.comments("mine") + files.prompt("mine")
    assert "secret" not in written and "person" not in written


SHAPES = {
    "classes": lambda files, n: {"text": files.text(), "label": "ab"[n % 2]},
    "ordered": lambda files, n: {"id": n, "text": files.text(), "stars": 1 + n % 3},
    "choices": lambda files, n: {"question": files.text(), "options": ["A) tea", "B) rain"], "correct": "AB"[n % 2]},
    "nested": lambda files, n: {"question": files.text(), "choices": {"a": "tea", "b": "rain"}, "answer": "ab"[n % 2]},
    "topics": lambda files, n: {"text": files.text(), "tags": [["a"], ["a", "b"], []][n % 3]},
    "flags": lambda files, n: {"text": files.text(), "a": n % 2, "b": n // 2 % 2, "c": n % 3 % 2},
    "joined": lambda files, n: {"text": files.text(), "tags": ["a", "a; b", "b; c", "c"][n % 4]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_data_step_takes_every_item(files, capsys, shape):
    """The counts of the survey are those of the step that makes splits."""
    assert files.init(files.jsonl("mine.jsonl", files.rows(lambda n: SHAPES[shape](files, n)))) == 0
    argv = ["--settings", "config.yaml", "experiments/mine.yaml", "--output", "out", "--raw", str(files.folder)]
    assert make_splits.main(argv) == 0
    step = DataStep(0, files.folder / "out", "")
    counts = {split: len(step.items(split, "mine")) for split in ("train", "validation", "test")}
    assert counts == {"train": 48, "validation": 6, "test": 6} and step.set_aside("mine") == []
    assert contents(files.folder / "experiments")
