"""A made-up experiment on disk, two tasks and two stages or any other arms, and the metrics computed from it.

``python -m tests.helpers.fake_results FILE`` writes an example report_metrics.json with `ARMS`. All texts and answers
are drawn at random; the numbers mean nothing.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np

from stagewise.config.base import validate
from stagewise.config.experiment import Config
from stagewise.config.yaml_files import merge, read_yaml
from stagewise.lineage import BASE, Adapter, data_folder, lineage_tree
from stagewise.models.adopted import adapter_origin
from stagewise.models.target_modules import LLAMA_LAYERS
from stagewise.pipeline.build_recipe import recipe_settings
from stagewise.provenance.files import sha256_file, write_json
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.receipts import write_receipt
from stagewise.recipe import Recipe
from stagewise.training import behaviour_versions
from tests.helpers import kinds_of_tasks
from tests.helpers.fake_probes import write_probes
from tests.helpers.tiny_data import make_items, write_split

ROOT = Path(__file__).resolve().parents[2]
MODEL = "0" * 64
SIZES = {"train": 160, "validation": 60, "test": 200}
SHARES = {"pubmedqa": [0.55, 0.34, 0.11], "dreaddit": [0.48, 0.52]}
# How well a scorer knows a task: the base model; an adapter of other tasks; one whose own stage learnt it; one whose
# ancestors did; the same with a remedy.
SKILL = {
    "pubmedqa": {"base": 0.0, "other": 0.1, "learnt": 0.45, "earlier": 0.15, "remedied": 0.35},
    "dreaddit": {"base": 0.05, "other": 0.1, "learnt": 0.5, "earlier": 0.2, "remedied": 0.4},
}
FIRST, SECOND = {"task": "pubmedqa"}, {"task": "dreaddit"}
# One arm of every kind, for `config(arms=ARMS)`.
ARMS = {
    "sequential": {"stages": [FIRST, SECOND]},
    "isolated": {"adapters": "per_task", "stages": [FIRST, SECOND]},
    "multitask": {"stages": [{"task": ["pubmedqa", "dreaddit"]}]},
    "rehearsal-10": {"stages": [FIRST, SECOND | {"remedies": {"rehearsal": {"share": 0.1}}}]},
    "blend-0.5": {"stages": [FIRST, SECOND | {"remedies": {"blend": {"alpha": 0.5}}}]},
}
# Two orders of tasks, and arms with sweeps that differ in number, for `config(arms=SWEPT, orders=ORDERS)`.
ORDERS = {"forward": ["pubmedqa", "dreaddit"], "reverse": ["dreaddit", "pubmedqa"]}
SWEPT = {
    "sequential": {"stages": [{"task": 1}, {"task": 2, "sweep": {"training.learning_rate": [2e-4, 1e-3, 5e-3]}}]},
    "anchor": {
        "stages": [{"task": 1}, {"task": 2, "sweep": {"remedies.anchor.strength": [0.005, 0.02, 0.05, 0.5]}}],
    },
    "rehearsal-10": {"stages": [{"task": 1}, {"task": 2, "remedies": {"rehearsal": {"share": 0.1}}}]},
}
# Columns of made-up annotators: another label, or a share of annotators.
AGREEMENT = {"pubmedqa": ("other_label", [0.0, 1.0]), "dreaddit": ("confidence", [0.4, 0.5, 0.6, 0.8, 1.0])}
WORDS = {
    "yes": "benefit improved effective", "no": "failed absent useless", "maybe": "unclear mixed limited",
    "no stress": "calm lake garden", "stress": "panic deadline sleepless",
}  # fmt: skip
FILLER = "the of patients today study we group people after with week some this trial friend".split()


def config(**overlay) -> Config:
    """The default configuration's sequential arm with every split scored and the published figures beside it."""
    values = {
        "experiment": "example",
        "evaluation": {"splits": ["validation", "test"]},
        "published": str(ROOT / "data/published_figures.json"),
        "statistics": {"forgetting": "published"},
    }
    default = read_yaml(ROOT / "config.yaml")
    default["arms"] = {name: arm if name == "sequential" else None for name, arm in default["arms"].items()}
    return validate(Config, merge(merge(default, values), overlay), "example")


def write_results(results: Path, settings: Config, seed: int = 0, sizes: dict[str, int] | None = None) -> Path:
    """Write everything an experiment leaves behind that its metrics read; return `results`."""
    rng = np.random.default_rng(seed)
    results = Path(results)
    items: dict = {}
    for fold in settings.folds or [None]:
        _write_data(results, settings, rng, sizes or SIZES, fold, items)
    first = data_folder(settings.runs[0][0])
    write_predictions(results, BASE, settings, items[first], rng)
    write_probes(results / BASE / "probes", BASE, settings, _inputs(results, BASE, None))
    made: dict[str, Recipe] = {}
    for lineage, adapter in lineage_tree(settings).items():
        made[lineage] = _write_adapter(results, adapter, settings, [made[parent] for parent in adapter.parents])
        fingerprint = made[lineage].fingerprint
        write_predictions(results, lineage, settings, items[adapter.data], rng, adapter, fingerprint)
        write_probes(results / lineage / "probes", lineage, settings, _inputs(results, lineage, fingerprint), adapter)
    return results


def experiment(folder, sizes: dict[str, int] | None = None, **overlay):
    """Results and metrics of a made-up experiment written below `folder`."""
    from stagewise.metrics.build import build_metrics
    from stagewise.metrics.read_results import read_results

    settings = config(**overlay)
    results = read_results(settings, write_results(Path(folder), settings, sizes=sizes))
    return results, build_metrics(results)


def _write_data(results: Path, settings: Config, rng, sizes, fold: int | None, made: dict) -> None:
    """Write the splits of one fold and add them to `made` by data folder; only what the fold changes is drawn anew."""
    data = data_folder(fold)
    first = next(iter(made.values()), None)
    same = settings.data_settings(settings.runs[0][0]).tasks
    items, tasks = {}, {}
    for task, declared in settings.data_settings(fold).tasks.items():
        splits = {}
        for split, size in sizes.items():
            if first is not None and (split == "test" or declared == same[task]):
                drawn = first[task, split]
            else:
                drawn = _draw(f"{task}-{split}" + (f"-fold-{fold}" if first else ""), task, declared, size, rng)
            counts = {
                word: sum(word in item.get("labels", [item["label"]]) for item in drawn) for word in declared.words
            }
            splits[split] = write_split(results / data, task, split, drawn) | {"labels": counts}
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
    write_json(results / data / "summary.json", {"tasks": tasks, **across, "limit": limit})
    made[data] = items


def _draw(name: str, task: str, declared, size: int, rng) -> list[dict]:
    if declared.kind != "classification":
        return kinds_of_tasks.draw_items(name, declared, size, rng)
    labels = rng.permutation(_labels(task, declared.words, size)).tolist()
    items = make_items(labels, lambda _, label: _fields(label, declared, rng), name + "-{}")
    if task in AGREEMENT:
        column, values = AGREEMENT[task]
        for item, value in zip(items, np.random.default_rng(size).choice(values, size), strict=True):
            item["agreement"] = {column: float(value)}
    return items


def _labels(task: str, words: list[str], size: int) -> list[str]:
    shares = SHARES.get(task, [1 / len(words)] * len(words))
    return [words[np.searchsorted(np.cumsum(shares), (n + 0.5) / size)] for n in range(size)]


def _fields(label: str, declared, rng) -> dict[str, str]:
    # The label's own words show up in about half of the items, so that a bag of words can do something.
    words = list(rng.choice(FILLER, 12))
    if rng.random() < 0.5:
        words[3] = str(rng.choice(WORDS.get(label, label).split()))
    return {field: " ".join(words) for field in declared.fields}


def write_predictions(results: Path, lineage: str, settings: Config, items: dict, rng, adapter=None, made=None) -> None:
    """Draw answers and write one lineage's prediction files and their receipt; `made` is the adapter's fingerprint."""
    folder = results / lineage / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    content_free = {}
    for task, declared in settings.active_tasks.items():
        words, skill = declared.words, _skill(task, adapter, settings)
        if declared.kind != "classification":
            for split in settings.evaluation.splits:
                path = folder / f"{task}.{split}.csv"
                kinds_of_tasks.write_answers(path, task, split, declared, items[task, split], skill, rng)
            continue
        prior = np.log(SHARES.get(task, np.ones(len(words)) / len(words)))
        for split in settings.evaluation.splits:
            rows = []
            for item in items[task, split]:
                scores = rng.normal(size=len(words)) + prior
                scores[words.index(item["label"])] += 4 * skill
                logprobs = scores - np.log(np.exp(scores).sum()) - rng.uniform(0.01, 0.5)
                rows.append((item, words[int(logprobs.argmax())], logprobs))
            write_answers(folder / f"{task}.{split}.csv", task, split, words, rows)
        inputs = enumerate(("N/A", "[MASK]", ""))
        content_free[task] = [{"input": text, "logprobs": [p - 0.1 * n for p in prior]} for n, text in inputs]
    names = [f"{task}.{split}" for task in settings.active_tasks for split in settings.evaluation.splits]
    data = results / (adapter.data if adapter else data_folder(settings.runs[0][0]))
    facts = {
        "inputs": {
            **_inputs(results, lineage, made),
            "files": {
                f"{task}.{split}": sha256_file(data / task / f"{split}.jsonl")
                for task in settings.active_tasks
                for split in settings.evaluation.splits
            },
        },
        "method": settings.evaluation.method,
        "content_free": content_free if settings.evaluation.method == "likelihood" else {},
    }
    measured = {"seconds": 1.5, "tokens": 1000, "items": 100, "device": "cpu", "dtype": "float32"}
    counts = {"shortened": dict.fromkeys(names, 0), "control_tokens": dict.fromkeys(names, 0)}
    write_receipt(folder, facts | measured | counts)


def _inputs(results: Path, lineage: str, made: str | None) -> dict:
    """What the scores of a lineage are made from, but for the items; `made` is the adapter's fingerprint."""
    weights = results / lineage / "adapter" / "adapter_model.safetensors"
    adapter = made and {"recipe": made, "weights": sha256_file(weights)}
    return {"adapter": adapter, "model": MODEL, "settings": {"made": "up"}}


def _skill(task: str, adapter: Adapter | None, settings: Config) -> float:
    known = SKILL.get(task, {"base": 0.1, "other": 0.2, "learnt": 0.6, "earlier": 0.3, "remedied": 0.5})
    if adapter is None:
        return known["base"]
    learnt, kept = _trade_off(adapter, settings)
    if task in adapter.tasks:
        return learnt * known["learnt"]
    remedied = adapter.remedies.model_dump(exclude_none=True)
    return kept * known["other" if task not in adapter.earlier else "remedied" if remedied else "earlier"]


def _trade_off(adapter: Adapter, settings: Config) -> tuple[float, float]:
    """Factors of what is learnt and kept: 1 at the settings' learning rate and at a strength of 0.05, as by default.

    A stronger remedy keeps more and learns less, a higher learning rate the reverse.
    """
    learnt = kept = 1.0
    for remedy in adapter.remedies.in_training.values():
        if strength := getattr(remedy, "strength", None):
            more = strength / (strength + 0.05) - 0.5
            learnt, kept = learnt * (1 - 0.4 * more), kept * (1 + more)
    if adapter.training is not None:
        rate = adapter.training.learning_rate
        more = rate / (rate + settings.training.learning_rate) - 0.5
        learnt, kept = learnt * (1 + 0.6 * more), kept * (1 - 0.8 * more)
    return learnt, kept


def write_answers(path: Path, task: str, split: str, words: list[str], rows) -> None:
    """Write a prediction file from rows of (item, prediction or "", log-probabilities or None)."""
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "task", "split", "label", "prediction", "valid", *(f"logprob:{w}" for w in words)])
        for item, prediction, logprobs in rows:
            values = [""] * len(words) if logprobs is None else [repr(float(value)) for value in logprobs]
            writer.writerow([item["id"], task, split, item["label"], prediction, prediction != "", *values])


def _write_adapter(results: Path, adapter: Adapter, settings: Config, parents: list[Recipe]) -> Recipe:
    folder = results / adapter.lineage
    splits = {
        task: facts["splits"]
        for task, facts in json.loads((results / adapter.data / "summary.json").read_text())["tasks"].items()
    }
    planned = recipe_settings(settings, adapter)
    recipe = Recipe.build(
        **planned.model_dump(
            exclude={"tasks", "remedies", "dtype", "lora", "adopted", "tuned_model", "lora_of_parent"}
        ),
        lora=planned.lora.model_copy(update={"target_modules": LLAMA_LAYERS}),
        adopted=_adopted(adapter),
        dtype="float32",
        tasks={
            task: values.model_dump()
            | {
                "prompt": {"file": "prompt.txt", "text": "{text}"},
                "data": {split: splits[task][split]["sha256"] for split in ("train", "validation")},
            }
            for task, values in planned.tasks.items()
        },
        remedies=planned.remedies,
        code={},
        behaviour=behaviour_versions(planned),
        model={"name": settings.model, "fingerprint": MODEL, "origin": {}},
        parents=[{"lineage": parent.lineage, "fingerprint": parent.fingerprint} for parent in parents],
    )
    recipe.write(folder / "recipe.json")
    write_json(folder / "adapter" / "training.json", _training(adapter, recipe, splits))
    weights = "adapter_model.safetensors"
    (folder / "adapter" / weights).write_text(f"these stand for weights: {recipe.fingerprint}\n")
    inputs = {
        "recipe": recipe.fingerprint,
        "model": MODEL,
        "parents": [sha256_file(results / parent.lineage / "adapter" / weights) for parent in parents],
    }
    write_receipt(folder / "adapter", {"inputs": inputs}, [weights])
    return recipe


def _adopted(adapter: Adapter) -> dict | None:
    """What the recipe of a stage from elsewhere says of it: checksums that its source's name decides."""
    if adapter.adopted:
        files = {"adapter_model.safetensors": fingerprint(adapter.adopted.source)}
        return {"kind": "adapter", "origin": adapter_origin(adapter.adopted), "files": files}
    if adapter.tuned_model:
        return {"kind": "model", "origin": {}, "files": {"model.safetensors": fingerprint(adapter.tuned_model)}}
    return None


def _training(adapter: Adapter, recipe: Recipe, splits: dict) -> dict:
    facts = {
        "fingerprint": recipe.fingerprint,
        "lineage": adapter.lineage,
        "task": adapter.task,
        "steps": 40,
        "epochs": 2.0,
        "final_loss": 0.41 + 0.1 * adapter.stage,
        "mean_token_accuracy": 0.81,
        "best_metric": "loss",
        "best_value": 0.52,
        "best_step": 40,
        "best_eval_loss": 0.52,
        "best_eval_step": 40,
        "seconds": 93.5,
        "tokens": 24000,
        "extra_tokens": 0,
        "tokens_per_second": 256.7,
        "peak_memory_bytes": 2_100_000_000,
        "trainable_parameters": 4_884_480,
        "items": sum(splits[task]["train"]["items"] for task in adapter.tasks),
        "rehearsed": 0,
        "shortened": 0,
        "device": "cpu",
        "dtype": "float32",
        "resumed_from_step": None,
        "packages": {"torch": "2.13.0", "transformers": "5.23.0", "trl": "1.16.0", "peft": "0.21.2"},
    }
    if adapter.training is None:
        kept = ("fingerprint", "lineage", "task", "device", "dtype", "packages")
        facts = {key: value if key in kept else None for key, value in facts.items()}
        facts |= {"steps": 0, "tokens": 0, "seconds": 2.5}
    elif "rehearsal" in adapter.remedies.in_training:
        facts |= {"rehearsed": 16}
    return facts


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        write_json(sys.argv[1], experiment(scratch, arms=ARMS)[1].model_dump(mode="json"))
