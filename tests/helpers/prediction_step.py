"""Two tasks, one for each way of scoring, as splits and settings, and the prediction step on them."""

import json
from pathlib import Path

import pandas as pd

from scripts import predict
from tests.helpers import tiny_data

TASKS = {
    "trial": {
        "words": ["yes", "no", "maybe"],
        "prompt": "{context}\nQuestion: {question} Answer yes, no or maybe.\n",
        "fields": {"question": "Does the treatment help the people?", "context": "The sample was small. "},
        "shorten": "context",
    },
    "post": {
        # One label begins the other, so that whole answers are compared.
        "words": ["no", "no stress"],
        "prompt": "Post: {text} Is the writer under stress?\n",
        "fields": {"text": "I worry about everything. "},
        "shorten": "text",
    },
}


def write_splits(folder: Path, splits=("validation", "test"), items: int = 7) -> Path:
    """Items of very different lengths, with the summary that the data step writes."""

    def make(spec: dict, split: str) -> list[dict]:
        labels = [spec["words"][i % len(spec["words"])] for i in range(items)]
        varied, text = spec["shorten"], spec["fields"][spec["shorten"]]
        return tiny_data.make_items(
            labels, lambda i, _: spec["fields"] | {varied: f"{split} {i}: " + text * (1 + (i * 3) % 5)}, "0{}"
        )

    tasks = {task: {split: make(spec, split) for split in splits} for task, spec in TASKS.items()}
    return tiny_data.write_splits(folder, tasks)


class PredictionStep:
    """The prediction step, and all that it needs, in a folder."""

    def __init__(self, folder: Path, model: Path):
        self.folder, self.model = folder, model
        self.data = write_splits(folder / "data")
        self.output = folder / "predictions"
        for task, spec in TASKS.items():
            (folder / f"{task}.txt").write_text(spec["prompt"], encoding="utf-8")

    def settings(self, max_length=256, dtype="float32", quantization="none", **evaluation) -> dict:
        tasks = {
            task: tiny_data.task_settings(
                {"items": "none.json"},
                {str(n): word for n, word in enumerate(spec["words"])},
                reader={"format": "json"},
                prompt=str(self.folder / f"{task}.txt"),
                fields={name: name for name in spec["fields"]},
                shorten=spec["shorten"],
            )
            for task, spec in TASKS.items()
        }
        return {
            "tasks": tasks,
            "prompting": {"format": "chat"},
            "quantization": quantization,
            "dtype": dtype,
            "max_length": max_length,
            "evaluation": {"splits": ["validation", "test"]} | evaluation,
        }

    def run(self, settings: dict | None = None, adapter=None, *more: str) -> int:
        argv = ["--settings", json.dumps(settings or self.settings()), "--model", str(self.model)]
        argv += ["--adapter", str(adapter)] if adapter else []
        return predict.main([*argv, "--data", str(self.data), "--output", str(self.output), *more])

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.output / f"{name}.csv", dtype={"id": str}, keep_default_na=False)

    def receipt(self) -> dict:
        return json.loads((self.output / "receipt.json").read_text(encoding="utf-8"))

    def items(self, task: str, split: str) -> list[dict]:
        return [json.loads(line) for line in (self.data / task / f"{split}.jsonl").read_text().splitlines()]
