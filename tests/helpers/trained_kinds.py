"""A small task of every kind that is new to the tiny model, its trainings and its predictions."""

import json
from pathlib import Path

import pandas as pd

from scripts import predict, train_adapter
from stagewise.config.training import Prompting
from stagewise.inference.prompts import Encoder
from stagewise.inference.template import Template
from stagewise.recipe import Recipe
from tests.helpers import tiny_data
from tests.helpers.toy_task import write_toy_recipe

TEXTS = ("I cannot sleep.", "Today was a calm day at the lake.", "I worry about everything.")
OPTIONS = ("sleep", "lake", "worry", "trial")
TOPICS = ["calm", "sleep", "worry"]
MAX_LENGTH = 128

SPECS = {
    "choice": {"kind": "multiple_choice", "fields": ["text", "options"], "words": list("ABCD")},
    "topics": {"kind": "multi_label", "fields": ["text"], "words": TOPICS},
    "reply": {"kind": "generation", "fields": ["text"], "words": []},
    "grade": {"kind": "ordinal", "fields": ["text"], "words": ["no stress", "maybe", "stress"]},
}
PROMPTS = {
    "choice": "{text} Which one is it?\n{options}\nAnswer with a letter.",
    "topics": "{text} Which topics?",
    "reply": "{text} What is it about?",
    "grade": "{text} Stress?",
}
_KIND_SETTINGS = {
    "choice": {"labels": [], "options": {"columns": ["options"], "most": 4}},
    "topics": {"no_label": None},
    "reply": {"labels": [], "stop": ["\n"]},
    "grade": {},
}


def make_item(task: str, split: str, number: int) -> dict:
    """Make an item as a split file holds it."""
    place = number % len(TEXTS)
    item = {"id": f"{split}-{number}", "fields": {"text": f"{number} {TEXTS[place]}"}}
    if task == "choice":
        count = max(2 + number % 3, place + 1)
        item["fields"]["options"] = "\n".join(f"{'ABCD'[n]}. {OPTIONS[n]}" for n in range(count))
        return item | {"label": "ABCD"[place], "options": count}
    if task == "topics":
        labels = [[], ["calm"], ["sleep", "worry"]][place]
        return item | {"label": ", ".join(labels) or "none", "labels": labels}
    if task == "reply":
        references = [f"about {OPTIONS[place]}", OPTIONS[place]]
        return item | {"label": references[0], "references": references}
    return item | {"label": SPECS["grade"]["words"][place]}


class KindsOfTasks:
    """Splits of the tasks in a folder, adapters trained on them, and their predictions."""

    def __init__(self, folder: Path, model: Path):
        self.folder, self.model, self.data = folder, model, folder / "data"
        sizes = {"train": 12, "validation": 6, "test": 6}
        self.items = {
            task: {split: [make_item(task, split, n) for n in range(size)] for split, size in sizes.items()}
            for task in SPECS
        }
        tiny_data.write_splits(self.data, self.items)
        for task, prompt in PROMPTS.items():
            (folder / f"{task}.txt").write_text(prompt + "\n", encoding="utf-8")

    def recipe_task(self, task: str) -> dict:
        """Settings of a task in a recipe."""
        return SPECS[task] | {"prompt": str(self.folder / f"{task}.txt"), "shorten": "text"}

    def plan(self, name: str, learns: list[str], parent: str | None = None, **settings) -> Recipe:
        """Write the recipe of an adapter."""
        parents = [Recipe.read(self.folder / parent / "recipe.json")] if parent else []
        earlier = [task for recipe in parents for task in recipe.tasks]
        return write_toy_recipe(
            self.folder / name,
            self.model,
            self.data,
            parents,
            lineage=f"base/seed-0/{f'{parent}/' if parent else ''}{name}",
            stage=1 + len(parents),
            learns=learns,
            tasks={task: self.recipe_task(task) for task in [*earlier, *learns]},
            training={"max_length": MAX_LENGTH} | settings.pop("training", {}),
            **settings,
        )

    def train(self, name: str, learns: list[str], parent: str | None = None, **settings) -> dict:
        """Train an adapter; return its training summary."""
        self.plan(name, learns, parent, **settings)
        paths = {
            "--recipe": self.folder / name / "recipe.json",
            "--model": self.model,
            "--data": self.data,
            "--checkpoints": self.folder / "checkpoints",
            "--output": self.adapter(name),
        }
        argv = [str(word) for pair in paths.items() for word in pair] + ["--report-to"]
        argv += ["--parent", str(self.adapter(parent))] if parent else []
        assert train_adapter.main(argv) == 0
        return json.loads((self.adapter(name) / "training.json").read_text(encoding="utf-8"))

    def adapter(self, name: str) -> Path:
        return self.folder / name / "adapter"

    def settings(self, *tasks: str, evaluation: dict | None = None, **changes) -> dict:
        """Settings of scoring; `changes` are of every task."""
        return {
            "tasks": {task: self.task_settings(task) | changes for task in tasks or SPECS},
            "prompting": {"format": "chat"},
            "quantization": "none",
            "dtype": "float32",
            "max_length": MAX_LENGTH,
            "evaluation": {"splits": ["validation", "test"]} | (evaluation or {}),
        }

    def task_settings(self, task: str) -> dict:
        """A task as a configuration declares it."""
        spec = SPECS[task]
        fields = {name: name for name in spec["fields"] if name != "options"}
        settings = tiny_data.task_settings(
            {"items": "none.json"},
            {word: word for word in spec["words"]},
            reader={"format": "json"},
            prompt=str(self.folder / f"{task}.txt"),
            kind=spec["kind"],
            fields=fields,
            shorten="text",
        )
        return settings | _KIND_SETTINGS[task]

    def predict(self, output: str, settings: dict, adapter: str | None = None) -> dict:
        """Run the prediction step; return its receipt."""
        argv = ["--settings", json.dumps(settings), "--model", str(self.model), "--data", str(self.data)]
        argv += ["--adapter", str(self.adapter(adapter))] if adapter else []
        assert predict.main([*argv, "--output", str(self.folder / output)]) == 0
        return json.loads((self.folder / output / "receipt.json").read_text(encoding="utf-8"))

    def table(self, output: str, task: str, split: str = "test") -> pd.DataFrame:
        path = self.folder / output / f"{task}.{split}.csv"
        return pd.read_csv(path, dtype={"id": str, "label": str, "prediction": str}, keep_default_na=False)

    def encoder(self, tokenizer, task: str, **changes) -> Encoder:
        """The encoder of a task's items."""
        spec, template = SPECS[task], Template(f"{task}.txt", PROMPTS[task])
        settings = {"max_length": MAX_LENGTH, "shorten": "text", "task": task, "kind": spec["kind"]} | changes
        return Encoder(tokenizer, template, Prompting(format="chat"), spec["words"], **settings)

    def load(self, name: str | None = None):
        """The model, with an adapter on it if one is named."""
        from stagewise.models.adapters import load_adapter
        from stagewise.models.load import load_base

        base = load_base(self.model, "none", "float32")
        return load_adapter(base, self.adapter(name)) if name else base
