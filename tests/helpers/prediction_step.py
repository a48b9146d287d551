"""Two tasks of every kind that scoring knows, as splits and settings, and the prediction step on them."""

import json
from pathlib import Path

import pandas as pd

from scripts import predict
from stagewise.provenance.files import sha256_file, write_json

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
    summary: dict = {"tasks": {}}
    for task, spec in TASKS.items():
        (folder / task).mkdir(parents=True)
        summary["tasks"][task] = {"splits": {}}
        for split in splits:
            path = folder / task / f"{split}.jsonl"
            rows = [
                {
                    "id": f"0{i}",
                    "label": spec["words"][i % len(spec["words"])],
                    "fields": spec["fields"]
                    | {spec["shorten"]: f"{split} {i}: " + spec["fields"][spec["shorten"]] * (1 + (i * 3) % 5)},
                }
                for i in range(items)
            ]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            summary["tasks"][task]["splits"][split] = {"items": items, "sha256": sha256_file(path)}
    write_json(folder / "summary.json", summary)
    return folder


class Bench:
    """Everything a run needs, in a folder of its own."""

    def __init__(self, folder: Path, model: Path):
        self.folder, self.model = folder, model
        self.data = write_splits(folder / "data")
        self.output = folder / "predictions"
        for task, spec in TASKS.items():
            (folder / f"{task}.txt").write_text(spec["prompt"], encoding="utf-8")

    def settings(self, max_length=256, dtype="float32", quantization="none", **evaluation) -> dict:
        tasks = {
            task: {
                "prompt": str(self.folder / f"{task}.txt"),
                "labels": [{"value": str(n), "word": word} for n, word in enumerate(spec["words"])],
                "id": "id",
                "label": "label",
                "fields": {name: name for name in spec["fields"]},
                "shorten": spec["shorten"],
                "source": "made",
                "sources": {"made": {"files": {"items": {"path": "none.json"}}}},
                "split": "made",
                "splits": {"made": {"rule": "random", "train": 0.5, "validation": 0.2, "test": 0.3}},
            }
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

    def run(self, settings: dict | None = None, adapter=None) -> int:
        argv = ["--settings", json.dumps(settings or self.settings()), "--model", str(self.model)]
        argv += ["--adapter", str(adapter)] if adapter else []
        return predict.main([*argv, "--data", str(self.data), "--output", str(self.output)])

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.output / f"{name}.csv", dtype={"id": str}, keep_default_na=False)

    def receipt(self) -> dict:
        return json.loads((self.output / "receipt.json").read_text(encoding="utf-8"))

    def items(self, task: str, split: str) -> list[dict]:
        return [json.loads(line) for line in (self.data / task / f"{split}.jsonl").read_text().splitlines()]
