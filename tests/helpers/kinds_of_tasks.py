"""Made-up tasks that are not answered with one fixed label: their settings, items and prediction files.

All texts are drawn at random; the answers of a model with the skill 1 are right, those of one with 0 are guesses.
"""

import csv
from pathlib import Path

import numpy as np

from stagewise.measures import score_texts
from stagewise.predictions.prediction_files import gold_cell
from tests.helpers.tiny_data import make_items, task_settings

LETTERS = "ABCD"
WORDS = "river stone cloud ember Straße meadow copper violet harbour lantern".split()


def _task(labels: dict[str, str], **settings) -> dict:
    return task_settings({"items": "made-up.csv"}, labels, prompt="prompts/pubmedqa.txt", **settings)


GRADES = _task({"1": "poor", "2": "fair", "3": "good", "4": "great"}, kind="ordinal")
QUIZ = _task({}, kind="multiple_choice", options={"columns": "options", "most": 4})
TOPICS = _task({"s": "sport", "p": "politics", "a": "arts"}, kind="multi_label", no_label="nothing")
NOTES = _task({}, kind="generation")

TASKS = {"grades": GRADES, "quiz": QUIZ, "topics": TOPICS, "notes": NOTES}

MIXED = {
    "tasks": TASKS,
    "arms": {
        "sequential": {"stages": [{"task": "pubmedqa"}, {"task": "topics"}, {"task": "notes"}]},
        "rehearsal": {
            "stages": [
                {"task": "pubmedqa"},
                {"task": "topics"},
                {"task": "notes", "remedies": {"rehearsal": {"share": 0.1}}},
            ]
        },
    },
    "probes": {"tasks": ["grades", "quiz"]},
    "published": None,
}
"""Overlay of an experiment with a task of every kind."""


def draw_items(name: str, declared, size: int, rng) -> list[dict]:
    """Draw items of a task as a split file holds them."""
    draw = {"multiple_choice": _question, "multi_label": _topics, "generation": _note}.get(declared.kind)
    answers = [draw(declared, rng) if draw else {"label": str(rng.choice(declared.words))} for _ in range(size)]
    items = make_items([answer["label"] for answer in answers], lambda *_: {"text": ""}, name + "-{}")
    for item, answer in zip(items, answers, strict=True):
        # Half of the items say what the answer is, so that a bag of words can do something.
        hint = answer["label"].split() if rng.random() < 0.5 else []
        item["fields"] = {"text": " ".join([*rng.choice(WORDS, 8), *hint])}
        if "options" in answer:
            item["fields"]["options"] = "\n".join(f"{letter}. option" for letter in LETTERS[: answer["options"]])
        item |= answer
    return items


def _question(declared, rng) -> dict:
    options = int(rng.integers(2, 5))
    return {"label": LETTERS[rng.integers(options)], "options": options}


def _topics(declared, rng) -> dict:
    words = [word for word in declared.words if rng.random() < 0.4]
    return {"label": ", ".join(words) or declared.answer_without_label, "labels": words}


def _note(declared, rng) -> dict:
    references = [" ".join(rng.choice(WORDS, 3)), " ".join(rng.choice(WORDS, 4))]
    return {"label": references[0], "references": references}


def write_answers(path: Path, task: str, split: str, declared, items: list[dict], skill: float, rng) -> None:
    """Draw a model's answers and write its prediction file."""
    answer = {"multi_label": _answer_topics, "generation": _answer_note}.get(declared.kind, _answer_label)
    rows = [answer(declared, item, skill, rng) for item in items]
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, ["id", "task", "split", "label", *rows[0]])
        writer.writeheader()
        for item, row in zip(items, rows, strict=True):
            writer.writerow({"id": item["id"], "task": task, "split": split, "label": gold_cell(item)} | row)


def _answer_label(declared, item: dict, skill: float, rng) -> dict:
    words = declared.words
    logs = rng.normal(size=len(words))
    logs[words.index(item["label"])] += 4 * skill
    logs[item.get("options", len(words)) :] = -np.inf
    logs -= np.log(np.exp(logs).sum()) + 0.2
    columns = {f"logprob:{word}": repr(float(value)) for word, value in zip(words, logs, strict=True)}
    return {"prediction": words[int(logs.argmax())], "valid": True} | columns


def _answer_topics(declared, item: dict, skill: float, rng) -> dict:
    if rng.random() < 0.05:
        return {"prediction": "", "valid": False}
    words = [
        word for word in declared.words if (word in item["labels"] if rng.random() < skill else rng.random() < 0.4)
    ]
    return {"prediction": ", ".join(words) or declared.answer_without_label, "valid": True}


def _answer_note(declared, item: dict, skill: float, rng) -> dict:
    words = [word if rng.random() < skill else str(rng.choice(WORDS)) for word in item["references"][1].split()]
    text = " ".join(words)
    scores = {f"score:{name}": repr(value) for name, value in score_texts(text, item["references"]).items()}
    return {"prediction": text, "valid": True} | scores
