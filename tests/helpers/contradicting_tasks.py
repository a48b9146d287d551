"""Two small tasks that contradict each other, and stages trained on them with and without remedies."""

import json
from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score

from scripts import merge_adapters, train_adapter
from stagewise.config.training import Prompting
from stagewise.data.items import read_split
from stagewise.inference.prompts import Encoder, Template
from stagewise.lineage import BASE
from stagewise.recipe import Recipe
from tests.helpers.tiny_data import make_items, write_split
from tests.helpers.toy_task import write_toy_recipe

# The same texts; what is yes in one task is no in the other, and only the prompt says which task it is.
TEXTS = {"yes": "Today was a calm day at the lake.", "no": "I cannot sleep and I worry about everything."}
TASKS = {"first": {"yes": "yes", "no": "no", "maybe": "maybe"}, "second": {"yes": "no", "no": "yes"}}
THIRD = "The trial found no difference between the two groups."
PROMPTS = {"first": "{text} Question one: yes, no or maybe?", "second": "{text} Question two: yes, no or maybe?"}


def write_data(folder: Path, counts=None) -> Path:
    """Splits of both tasks; `counts` gives training items by label of the first task."""
    counts = counts or {"yes": 12, "no": 12, "maybe": 8}
    for task, answers in TASKS.items():
        for split, share in {"train": 1, "validation": 0.5, "test": 0.5}.items():
            items = []
            for meaning, label in answers.items():
                count = round(share * (counts[meaning] if task == "first" else 16))
                text = TEXTS.get(meaning, THIRD)
                items += make_items(
                    [label] * count, lambda i, _, text=text: {"text": f"{i} {text}"}, f"{split}-{meaning}-{{}}"
                )
            write_split(folder, task, split, items)
        (folder / f"{task}.txt").write_text(PROMPTS[task] + "\n", encoding="utf-8")
    return folder


def task_settings(data: Path, task: str) -> dict:
    words = ["yes", "no", "maybe"] if task == "first" else ["yes", "no"]
    return {"prompt": str(data / f"{task}.txt"), "words": words, "shorten": "text", "fields": ["text"]}


class AdapterFolder:
    """Adapters of the tiny model in a folder."""

    def __init__(self, folder: Path, model: Path, data: Path, quantization: str = "none"):
        self.folder, self.model, self.data, self.quantization = folder, model, data, quantization

    def train(self, name: str, learns, parent: str | None = None, earlier=(), seed=0, **settings) -> dict:
        """Train an adapter called `name`; returns its training summary."""
        self.plan(name, learns, parent, earlier, seed, **settings)
        return self.run(name, parent)

    def plan(self, name: str, learns, parent: str | None = None, earlier=(), seed=0, **settings) -> Recipe:
        """Write the recipe of an adapter called `name`."""
        remedies, lora = settings.pop("remedies", {}), settings.pop("lora", {"r": 4, "alpha": 8})
        new_lora = settings.pop("new_lora", False)
        tasks = [*earlier, *([learns] if isinstance(learns, str) else learns)]
        return self.recipe(
            name,
            [parent] if parent else [],
            learns=tasks[len(earlier) :],
            tasks={task: task_settings(self.data, task) for task in tasks},
            remedies=remedies,
            seed=seed,
            lora=lora,
            new_lora=new_lora,
            training={"epochs": 4, "learning_rate": 5e-3, "best_metric": "last"} | settings,
        )

    def run(self, name: str, parent: str | None = None, *options: str) -> dict:
        """Train a planned adapter; returns its training summary."""
        argv = [*self._argv(name), "--report-to", "--batch-size", "4", *options]
        argv += ["--parent", str(self.adapter(parent))] if parent else []
        assert train_adapter.main(argv) == 0, name
        return self.summary(name)

    def merge(self, name: str, parents: list[str], *options: str, seed=0, **remedy) -> dict:
        """Make an adapter of others."""
        self.recipe(
            name,
            parents,
            learns=["second"],
            tasks={task: task_settings(self.data, task) for task in TASKS},
            remedies=remedy,
            seed=seed,
            training=None,
        )
        argv = [*self._argv(name), *options, "--parents"]
        assert merge_adapters.main([*argv, *(str(self.adapter(parent)) for parent in parents)]) == 0
        return self.summary(name)

    def _argv(self, name: str) -> list[str]:
        """Arguments of both steps."""
        paths = {
            "--recipe": self.folder / name / "recipe.json",
            "--model": self.model,
            "--data": self.data,
            "--checkpoints": self.folder / "checkpoints",
            "--output": self.adapter(name),
        }
        return [str(word) for pair in paths.items() for word in pair]

    def recipe(self, name: str, parents: list[str], **settings) -> Recipe:
        recipes = [Recipe.read(self.folder / parent / "recipe.json") for parent in parents]
        lineage = f"{BASE}/seed-0/{name}"
        return write_toy_recipe(
            self.folder / name,
            self.model,
            self.data,
            recipes,
            lineage=lineage,
            quantization=self.quantization,
            **settings,
        )

    def adapter(self, name: str) -> Path:
        return self.folder / name / "adapter"

    def summary(self, name: str) -> dict:
        return json.loads((self.adapter(name) / "training.json").read_text())

    def load(self, name: str):
        """The model with the adapter on it."""
        from stagewise.models.adapters import load_adapter
        from stagewise.models.load import load_base

        return load_adapter(load_base(self.model, "none", "float32"), self.adapter(name))

    def logprobs(self, name: str, task: str, split: str = "test") -> tuple[np.ndarray, list[int]]:
        """Log-probabilities of the labels and gold codes."""
        from stagewise.inference import likelihood
        from stagewise.models.load import load_tokenizer

        tokenizer = load_tokenizer(self.model)
        spec = task_settings(self.data, task)
        encoder = Encoder(tokenizer, Template("p", PROMPTS[task]), Prompting(), spec["words"], 96, "text")
        items = read_split(self.data / task / f"{split}.jsonl", spec["words"])
        scores = likelihood.score(
            self.load(name), tokenizer, [encoder.encode_prompt(i)[0] for i in items], encoder.label_token_ids
        )
        return scores, [spec["words"].index(item["label"]) for item in items]

    def accuracy(self, name: str, task: str) -> float:
        scores, gold = self.logprobs(name, task)
        return accuracy_score(gold, scores.argmax(1))
