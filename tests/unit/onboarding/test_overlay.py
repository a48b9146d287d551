"""Overlays: every setting that matters, each with its reason."""

import pytest

from stagewise.config.load_config import load
from stagewise.measures import MEASURES

# Until the measures of free answers are here, overlays with them do not validate.
FREE_ANSWERS = pytest.mark.skipif("rouge_l" not in MEASURES, reason="the measures of generation are not here yet")


def reviews(files, **more) -> str:
    def make(n):
        return {"review_id": n, "text": files.text(), "sentiment": ["bad", "good"][n % 2], **more}

    return files.csv("reviews.csv", files.rows(make))


def test_an_overlay_validates_and_is_about_its_own_data_alone(files):
    assert files.init(reviews(files)) == 0
    config = load("config.yaml", "experiments/reviews.yaml")
    assert config.experiment == "reviews" and config.results == "results-reviews"
    assert list(config.active_tasks) == ["reviews"] and list(config.active_arms) == ["sequential"]
    assert config.limit.train is None and config.lora.last_layers is None and config.training.learning_rate == 2e-4
    task = config.tasks["reviews"]
    assert task.id == "review_id" and task.label == "sentiment" and task.words == ["bad", "good"]
    assert task.sources["original"].redistribute is False and task.sources["original"].licence == "unknown"
    assert task.shorten == "text" and 64 <= task.max_length <= 96
    assert config.duplicates.within_split == "stop"


def test_comments_say_why(files):
    assert files.init(reviews(files, user_id=3, remark="")) == 0
    text = files.comments("reviews")
    for part in (
        "value: bad, word: bad} # 30",
        "To try it in minutes: {train: 48",
        "no text comes again",
        "estimated (the model's tokenizer is not here yet)",
        "# 60 rows",
        "snakemake --cores all --configfile experiments/reviews.yaml",
    ):
        assert part in text, part


def test_repeated_texts_are_dropped_and_counted(files):
    rows = files.rows(lambda n: {"text": f"text number {n % 55}", "label": "ab"[n % 2 if n != 56 else 1]})
    assert files.init(files.csv("mine.csv", rows)) == 0
    assert files.overlay("mine")["duplicates"]["across_splits"] == "drop"
    assert "# 5 texts come again, 4 of them with another answer" in files.comments("mine")


@FREE_ANSWERS
@pytest.mark.parametrize(
    ("answer", "measure"),
    [
        (lambda n, text: str(n * 31), "numeric_match"),
        (lambda n, text: f"{n} tea", "token_f1"),
        (lambda n, text: text(40), "rouge_l"),
    ],
)
def test_the_measure_of_a_free_answer(files, answer, measure):
    rows = files.rows(lambda n: {"question": files.text(), "answer": answer(n, files.text)})
    assert files.init(files.jsonl("mine.jsonl", rows)) == 0
    task = load("config.yaml", "experiments/mine.yaml").tasks["mine"]
    assert task.kind == "generation" and task.measure == measure and task.max_new_tokens >= 8


def test_a_task_that_may_be_ordinal_says_so(files):
    rows = files.rows(lambda n: {"text": files.text(), "label": ["low", "high", "medium"][n % 3]})
    task = files.task(files.csv("mine.csv", rows))
    assert "kind" not in task and "# kind: ordinal" in files.comments("mine")
    assert [label["word"] for label in task["labels"]] == ["low", "medium", "high"]


def test_what_the_user_must_see_is_commented(files):
    def make(n):
        return {
            "text": files.text(),
            "label": n % 2,
            "context": files.text() if n % 2 else "",
            "patient_id": n // 2 % 25,
            "split": ["train", "test"][n % 2],
        }

    assert files.init(files.csv("mine.csv", files.rows(make))) == 0
    text = files.comments("mine")
    assert "The words are numbers: say what they mean" in text
    assert "# Left out: context (empty in 50% of the rows, which would go)" in text
    assert "# group: patient_id # 25 values" in text
    assert "# The column 'split' is not read." in text


def test_options_of_each_item(files):
    def make(n):
        return {"question": files.text(), "options": ["tea", "rain", "bread"][: 2 + n % 2], "answer": "AB"[n % 2]}

    task = files.task(files.jsonl("mine.jsonl", files.rows(make)))
    assert task["options"] == {"columns": ["options"], "most": 3, "gold": "letter"} and "labels" not in task
    assert "# 2 to 3 options an item" in files.comments("mine")


def test_several_labels(files):
    def make(n):
        return {"text": files.text(), "tags": [["a_b"], ["a_b", "c"], []][n % 3]}

    task = files.task(files.jsonl("mine.jsonl", files.rows(make)))
    assert task["kind"] == "multi_label" and task["no_label"] == "none"
    assert task["labels"] == [{"value": "a_b", "word": "a b"}, {"value": "c", "word": "c"}]
    assert "20 rows have no label, none has more than 2" in files.comments("mine")


def test_names_of_the_data_cannot_break_the_yaml(files):
    def make(n):
        return {"text # a: {b}": files.text(), "the 'label'": ["yes", "no: #1", "on"][n % 3]}

    task = files.task(files.jsonl("mine.jsonl", files.rows(make)), "--label", "the 'label'")
    assert task["fields"] == {"text_a_b": "text # a: {b}"}
    assert {label["value"] for label in task["labels"]} == {"yes", "no: #1", "on"}


def test_large_data_take_one_pass(files):
    rows = [{"text": f"text number {n}", "label": "ab"[n % 2]} for n in range(40_000)]
    assert files.init(files.jsonl("mine.jsonl", rows)) == 0
    assert files.overlay("mine")["training"] == {
        "epochs": 1,
        "batch_size": 4,
        "gradient_accumulation": 4,
        "learning_rate": 2.0e-4,
        "scheduler": "cosine",
        "loss_on": "answer",
        "eval_every": "epoch",
        "best_metric": "loss",
    }


@pytest.mark.parametrize(
    ("answer", "measure"),
    [
        (lambda n: f"First we add.\n#### 1,{n:03}", "numeric_match"),
        (lambda n: [f"river {n}", f"bank {n}"], "token_f1"),
    ],
)
def test_solutions_that_end_in_a_number_are_matched_by_it(files, answer, measure):
    rows = files.rows(lambda n: {"question": files.text(), "answer": answer(n)})
    assert files.task(files.jsonl("mine.jsonl", rows))["measure"] == measure
