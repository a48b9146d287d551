"""A made-up experiment on disk, two tasks and two stages, and the metrics computed from it.

``python -m tests.metrics_example FILE`` writes an example report_metrics.json. All texts and answers are drawn at
random; the numbers mean nothing.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np

from forgetting import plan, recipes
from forgetting.config import Config, merge, read_yaml
from forgetting.receipts import sha256_file, write_json, write_receipt
from forgetting.settings import validate

ROOT = Path(__file__).resolve().parent.parent
MODEL = "0" * 64
SIZES = {"train": 160, "validation": 60, "test": 200}
SHARES = {"pubmedqa": [0.55, 0.34, 0.11], "dreaddit": [0.48, 0.52]}
# How often each kind of scorer knows the answer, by task: base, after stage 1, after stage 2.
SKILL = {"pubmedqa": [0.0, 0.45, 0.15], "dreaddit": [0.05, 0.1, 0.5]}
WORDS = {
    "yes": "benefit improved effective", "no": "failed absent useless", "maybe": "unclear mixed limited",
    "no stress": "calm lake garden", "stress": "panic deadline sleepless",
}  # fmt: skip
FILLER = "the of patients today study we group people after with week some this trial friend".split()


def config(**overlay) -> Config:
    """The default configuration with every split scored and the published figures beside it."""
    values = {
        "experiment": "example",
        "evaluation": {"splits": ["validation", "test"]},
        "published": str(ROOT / "data/published_figures.json"),
        "statistics": {"forgetting": "published"},
    }
    return validate(Config, merge(merge(read_yaml(ROOT / "config.yaml"), values), overlay), "example")


def write_results(results: Path, settings: Config, seed: int = 0, sizes: dict[str, int] | None = None) -> Path:
    """Write everything an experiment leaves behind that its metrics read; return `results`."""
    rng = np.random.default_rng(seed)
    results = Path(results)
    items = _write_data(results, settings, rng, sizes or SIZES)
    adapters = plan.adapters(settings)
    write_predictions(results, plan.BASE, settings, items, rng, stage=0, adapter=None)
    made: dict[str, dict] = {}
    for lineage, adapter in adapters.items():
        made[lineage] = _write_adapter(results, adapter, settings, made.get(adapter.parent))
        fingerprint = made[lineage]["fingerprint"]
        write_predictions(results, lineage, settings, items, rng, stage=adapter.depth, adapter=fingerprint)
    return results


def example(folder) -> dict:
    """A full report_metrics as plain data, computed from a made-up experiment written below `folder`."""
    from forgetting.metrics.build import build
    from forgetting.metrics.run import read_run

    settings = config()
    return build(read_run(settings, write_results(Path(folder), settings))).model_dump(mode="json")


def _write_data(results: Path, settings: Config, rng, sizes) -> dict:
    items, tasks = {}, {}
    for task, declared in settings.active_tasks.items():
        splits = {}
        for split, size in sizes.items():
            labels = rng.permutation(_labels(task, declared.words, size))
            drawn = [_item(f"{task}-{split}-{n}", label, declared, rng) for n, label in enumerate(labels)]
            path = results / "data" / task / f"{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(item) + "\n" for item in drawn), encoding="utf-8")
            counts = {word: sum(item["label"] == word for item in drawn) for word in declared.words}
            splits[split] = {
                "items": size,
                "labels": counts,
                "sha256": sha256_file(path),
                "items_before_limit": size,
            }
            items[task, split] = drawn
        tasks[task] = {
            "source": declared.source,
            "licence": declared.sources[declared.source].licence,
            "redistribute": declared.sources[declared.source].redistribute,
            "files": {
                role: {"name": Path(file.path or file.url).name, "sha256": "1" * 64}
                for role, file in declared.sources[declared.source].files.items()
            },
            "rows": sum(sizes.values()) + 4,
            "set_aside": {"empty text": 3, "unknown label": 1},
            "split": declared.split,
            "splits": splits,
            "duplicates": {
                "within_split": 2,
                "across_splits": 1,
                "within_split_exact": 2,
                "across_splits_exact": 0,
            },
            "groups_across_splits": 0 if declared.group else None,
        }
    limit = settings.limit.model_dump()
    across = {"duplicates_across_tasks": 0, "duplicates_across_tasks_exact": 0}
    write_json(results / "data" / "summary.json", {"tasks": tasks, **across, "limit": limit})
    return items


def _labels(task: str, words: list[str], size: int) -> list[str]:
    shares = SHARES.get(task, [1 / len(words)] * len(words))
    return [words[np.searchsorted(np.cumsum(shares), (n + 0.5) / size)] for n in range(size)]


def _item(name: str, label: str, declared, rng) -> dict:
    # The label's own words show up in about half of the items, so that a bag of words can do something.
    words = list(rng.choice(FILLER, 12))
    if rng.random() < 0.5:
        words[3] = str(rng.choice(WORDS.get(label, label).split()))
    return {"id": name, "label": str(label), "fields": {field: " ".join(words) for field in declared.fields}}


def write_predictions(results: Path, lineage: str, settings: Config, items: dict, rng, stage: int, adapter) -> None:
    """Draw answers and write one lineage's prediction files and their receipt."""
    folder = results / lineage / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    for task, declared in settings.active_tasks.items():
        for split in settings.evaluation.splits:
            words, rows = declared.words, []
            for item in items[task, split]:
                scores = rng.normal(size=len(words)) + np.log(SHARES.get(task, np.ones(len(words))))
                scores[words.index(item["label"])] += 4 * SKILL.get(task, [0.1, 0.6, 0.3])[min(stage, 2)]
                logprobs = scores - np.log(np.exp(scores).sum()) - rng.uniform(0.01, 0.5)
                rows.append((item, words[int(logprobs.argmax())], logprobs))
            write_answers(folder / f"{task}.{split}.csv", task, split, words, rows)
    names = [f"{task}.{split}" for task in settings.active_tasks for split in settings.evaluation.splits]
    facts = {
        "adapter": adapter,
        "adapter_weights": adapter and _weights(adapter),
        "model": MODEL,
        "settings": "2" * 64,
        "data": {
            task: {s: sha256_file(results / "data" / task / f"{s}.jsonl") for s in settings.evaluation.splits}
            for task in settings.active_tasks
        },
        "method": settings.evaluation.method,
    }
    measured = {"seconds": 1.5, "tokens": 1000, "items": 100, "device": "cpu", "dtype": "float32"}
    write_receipt(folder, facts | measured | {"shortened": dict.fromkeys(names, 0)})


def write_answers(path: Path, task: str, split: str, words: list[str], rows) -> None:
    """Write a prediction file from rows of (item, prediction or "", log-probabilities or None)."""
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "task", "split", "label", "prediction", "valid", *(f"logprob:{w}" for w in words)])
        for item, prediction, logprobs in rows:
            values = [""] * len(words) if logprobs is None else [repr(float(value)) for value in logprobs]
            writer.writerow([item["id"], task, split, item["label"], prediction, prediction != "", *values])


def _weights(fingerprint: str) -> str:
    """A checksum that stands for an adapter's weights, of which there are none here."""
    return fingerprint[::-1]


def _write_adapter(results: Path, adapter, settings: Config, parent: dict | None) -> dict:
    folder = results / adapter.lineage
    splits = json.loads((results / "data/summary.json").read_text())["tasks"][adapter.task]["splits"]
    recipe = {
        "lineage": adapter.lineage,
        "stage": adapter.depth,
        "task": adapter.task,
        "seed": adapter.seed,
        "model": {"name": settings.model, "fingerprint": MODEL},
        "data": {split: splits[split]["sha256"] for split in ("train", "validation")},
        "prompt": {"file": "prompt.txt", "text": "{text}"},
        "training": adapter.training.model_dump(),
        "parent": parent and {"lineage": parent["lineage"], "fingerprint": parent["fingerprint"]},
    }
    recipe["fingerprint"] = recipes.recipe_fingerprint(recipe)
    write_json(folder / "recipe.json", recipe)
    training = {
        "fingerprint": recipe["fingerprint"],
        "lineage": adapter.lineage,
        "task": adapter.task,
        "steps": 40,
        "epochs": 2.0,
        "final_loss": 0.41 + 0.1 * adapter.depth,
        "mean_token_accuracy": 0.81,
        "best_metric": "loss",
        "best_value": 0.52,
        "best_step": 40,
        "best_eval_loss": 0.52,
        "best_eval_step": 40,
        "seconds": 93.5,
        "tokens": 24000,
        "tokens_per_second": 256.7,
        "peak_memory_bytes": 2_100_000_000,
        "trainable_parameters": 4_884_480,
        "items": splits["train"]["items"],
        "shortened": 0,
        "device": "cpu",
        "dtype": "float32",
        "resumed_from_step": None,
        "packages": {"torch": "2.13.0", "transformers": "5.23.0", "trl": "1.16.0", "peft": "0.21.2"},
    }
    write_json(folder / "adapter" / "training.json", training)
    origin = {
        "fingerprint": recipe["fingerprint"],
        "model": MODEL,
        "parent": parent and _weights(parent["fingerprint"]),
    }
    weights = {"adapter_model.safetensors": _weights(recipe["fingerprint"])}
    write_json(folder / "adapter" / "receipt.json", origin | {"files": weights})
    return recipe


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        write_json(sys.argv[1], example(scratch))
