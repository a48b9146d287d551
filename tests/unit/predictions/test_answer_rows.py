"""Predictions of every kind of task, from a training of all of them at once."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
import torch

from stagewise.data.items import read_split
from stagewise.errors import InputError
from stagewise.measures import measures_of, score_texts
from stagewise.models.load import load_tokenizer
from stagewise.predictions import answer_rows
from stagewise.predictions.fingerprint import file_inputs
from stagewise.recipe import Recipe
from stagewise.training.stage_data import load_stage_data
from tests.helpers.trained_kinds import SPECS, KindsOfTasks


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_model):
    kinds = KindsOfTasks(tmp_path_factory.mktemp("kinds"), tiny_model)
    kinds.summary = kinds.train("mixed", list(SPECS), training={"epochs": 2})
    kinds.receipt = kinds.predict("predictions", kinds.settings(), "mixed")
    return kinds


@pytest.fixture(scope="module")
def loaded(trained, tiny_model):
    return trained.load("mixed"), load_tokenizer(tiny_model)


def answer_logprob(model, prompt: list[int], answer: list[int]) -> float:
    """Log-probability of an answer after a prompt, from one plain forward pass."""
    with torch.no_grad():
        logprobs = model(torch.tensor([prompt + answer])).logits[0].float().log_softmax(-1)
    return sum(float(logprobs[len(prompt) - 1 + n, token]) for n, token in enumerate(answer))


def test_options_that_an_item_lacks_are_never_answered(trained, loaded):
    model, tokenizer = loaded
    encoder, items = trained.encoder(tokenizer, "choice"), trained.items["choice"]["test"]
    table = trained.table("predictions", "choice")
    for item, row in zip(items, table.to_dict("records"), strict=True):
        prompt, _ = encoder.encode_prompt(item)
        expected = [answer_logprob(model, prompt, answer) for answer in encoder.label_token_ids]
        got = [float(row[f"logprob:{letter}"]) for letter in "ABCD"]
        assert got[: item["options"]] == pytest.approx(expected[: item["options"]], abs=1e-3)
        assert got[item["options"] :] == [-np.inf] * (4 - item["options"])
        assert row["prediction"] == "ABCD"[int(np.argmax(expected[: item["options"]]))]
    assert {item["options"] for item in items} == {2, 3, 4}


def test_generated_answers_are_read_compared_and_reveal_no_reference(trained):
    for task in ("topics", "reply"):
        assert len(trained.table("predictions", task)) == 6
    table = trained.table("predictions", "reply")
    assert [name for name in table if name.startswith("score:")] == [f"score:{n}" for n in measures_of("generation")]
    for item, row in zip(trained.items["reply"]["test"], table.to_dict("records"), strict=True):
        scores = score_texts(row["prediction"], item["references"])
        assert {name: float(row[f"score:{name}"]) for name in scores} == pytest.approx(scores)
        assert len(row["label"]) == 16 and int(row["label"], 16) > 0
        assert "\n" not in row["prediction"], "the stop text"
    content = (trained.folder / "predictions" / "reply.test.csv").read_text(encoding="utf-8")
    header, *_ = csv.reader(content.splitlines())
    assert header[:6] == ["id", "task", "split", "label", "prediction", "valid"]
    assert not {"logprob:A", "text"} & set(header)


def test_a_set_of_labels_is_written_in_label_order_and_one_of_other_words_is_invalid(trained, loaded):
    encoder = trained.encoder(loaded[1], "topics")
    rows = answer_rows.label_set_rows(encoder, ["Worry, calm", "none", "calm, tea", ""])
    assert [(row["prediction"], row["valid"]) for row in rows] == [
        ("calm, worry", True),
        ("none", True),
        ("", False),
        ("", False),
    ]
    table = trained.table("predictions", "topics")
    assert table["label"].tolist() == ["none", "calm", "sleep, worry"] * 2
    assert (table["valid"].astype(str) == "False").equals(table["prediction"] == "")


def test_a_letter_beyond_the_options_is_no_answer_to_generated_choices(trained, loaded):
    encoder = trained.encoder(loaded[1], "choice")
    items = [{"options": 2}, {"options": 3}, {"options": 4}]
    for parse in ("strict", "published"):
        rows = answer_rows.generated_label_rows(encoder, items, ["C", "c.", "D"], parse)
        assert [row["prediction"] for row in rows] == ["", "C", "D"]


def test_the_receipt_says_what_determines_each_kind(trained):
    receipt = trained.receipt
    assert set(receipt["content_free"]) == {"grade"}, "inputs without content have no options and no set of labels"
    assert receipt["inputs"]["text_measures"] == {"reply": list(measures_of("generation"))}
    assert file_inputs(receipt["inputs"], "reply.test")["text_measures"] == receipt["inputs"]["text_measures"]
    for name in ("choice.test", "grade.validation"):
        assert "text_measures" not in file_inputs(receipt["inputs"], name)
    assert receipt["changed_answers"] == {"choice": 0, "grade": 0}
    assert set(trained.summary["validation_answers"]) == {"choice", "grade"}


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [({"measure": "rouge_l"}, True), ({"stop": ["n", "p"]}, False), ({"max_new_tokens": 3}, False)],
)
def test_what_changes_generated_answers_is_in_their_inputs(trained, changes, is_same):
    settings = trained.settings("reply", evaluation={"splits": ["test"]}, **changes)
    receipt = trained.predict(f"again-{'-'.join(changes)}", settings, "mixed")
    before, after = (file_inputs(r["inputs"], "reply.test") for r in (trained.receipt, receipt))
    assert (before == after) is is_same
    texts = trained.table(f"again-{'-'.join(changes)}", "reply")["prediction"]
    assert texts.equals(trained.table("predictions", "reply")["prediction"]) is is_same


def test_training_learns_the_answers_of_every_kind_with_their_ends(trained, loaded):
    _, tokenizer = loaded
    recipe = Recipe.read(trained.folder / "mixed" / "recipe.json")
    data = load_stage_data(recipe, tokenizer, trained.data)
    assert data.items == [12] * 4 and set(data.label_token_ids) == {"choice", "grade"}
    assert [prompts.task for prompts in data.validation] == ["choice", "grade"]
    rows = iter(data.rows)
    for task, splits in trained.items.items():
        for item in splits["train"]:
            row = next(rows)
            learnt = [token for token in row["labels"] if token != -100]
            assert tokenizer.decode(learnt) == f"{item['label']}<|im_end|>" and row["task"] == task
            assert row["label"] == (SPECS[task]["words"].index(item["label"]) if task in ("choice", "grade") else None)
            assert row.get("options") == item.get("options")


def test_the_validation_loss_is_that_of_all_answers_and_the_measures_those_of_labels(trained, loaded):
    model, tokenizer = loaded
    nll, tokens = 0.0, 0
    for task, splits in trained.items.items():
        encoder = trained.encoder(tokenizer, task)
        for item in splits["validation"]:
            answer = encoder.encode_own_answer(item)
            nll -= answer_logprob(model, encoder.encode_prompt(item)[0], answer)
            tokens += len(answer)
    log = pd.read_csv(trained.adapter("mixed") / "training_log.csv")
    last = log[log["split"] == "validation"].groupby("metric")["value"].last()
    best = log[(log["split"] == "validation") & (log["metric"] == "loss")]["value"].min()
    assert best == pytest.approx(nll / tokens, rel=1e-4)
    assert "accuracy" in last and "macro_f1" not in last and "token_f1" not in last


def test_a_model_whose_numbers_are_none_is_refused_before_it_generates(trained, monkeypatch):
    from stagewise.inference import likelihood

    score = likelihood.score
    monkeypatch.setattr(likelihood, "score", lambda *given, **options: np.nan * score(*given, **options))
    with pytest.raises(AssertionError):  # the step's exit code is not 0
        trained.predict("never", trained.settings("reply"), "mixed")
    assert not (trained.folder / "never").exists()


def test_split_files_of_every_kind_are_read(trained):
    for task, splits in trained.items.items():
        assert read_split(trained.data / task / "test.jsonl", SPECS[task]["words"]) == splits["test"]
    broken = trained.folder / "broken.jsonl"
    broken.write_text(json.dumps(trained.items["topics"]["test"][1] | {"labels": ["tea"]}) + "\n")
    with pytest.raises(InputError, match="the label 'tea' is not one of calm, sleep, worry"):
        read_split(broken, SPECS["topics"]["words"])
