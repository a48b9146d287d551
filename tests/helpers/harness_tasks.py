"""Local tasks of lm-evaluation-harness with invented items: definitions, code and data in one folder."""

import json
from pathlib import Path

import yaml

ANIMALS = [("A cat is", 0), ("A stone is", 1), ("A horse is", 0), ("A lamp is", 1), ("A crow is", 0), ("A key is", 1)]
PAIRS = ["calm small", "yes no", "lake trial", "post text", "sleep day", "group study"]
SIZES = [("An ant is", 1), ("A whale is", 0), ("A hill is", 0), ("A pea is", 1), ("A mite is", 1)]
WISHES = ["Say yes.", "Say no to stress.", "Write about a calm day at the lake.", "Answer maybe."]

CODE = '''
def process_results(doc, results):
    """Whether the answer holds the letter that is asked for, and whether it is short."""
    return {"strict_acc": doc["letter"] in results[0], "short_acc": len(results[0]) < 4, "lengths": len(results[0])}


def total(lengths):
    return sum(lengths)
'''
MEAN = {"aggregation": "mean", "higher_is_better": True}


def write_harness_tasks(folder: Path) -> Path:
    """Write the tasks animals, sizes, wishes and prose, the group things and the tag toys."""
    folder.mkdir(parents=True)
    (folder / "utils.py").write_text(CODE)
    choices = {
        "output_type": "multiple_choice",
        "doc_to_text": "{{text}}",
        "doc_to_target": "answer",
        "doc_to_choice": "{{choices}}",
        "tag": "toys",
        "metric_list": [{"metric": "acc"} | MEAN, {"metric": "acc_norm"} | MEAN],
    }
    animals = [
        {"text": text, "choices": pair.split(), "answer": n} for (text, n), pair in zip(ANIMALS, PAIRS, strict=True)
    ]
    sizes = [{"text": text, "choices": ["large", "very small"], "answer": n} for text, n in SIZES]
    _write(folder, "animals", animals, choices)
    _write(folder, "sizes", sizes, choices)
    wishes = {
        "output_type": "generate_until",
        "doc_to_text": "text",
        "doc_to_target": "letter",
        "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": 6},
        "process_results": "!function utils.process_results",
        "metric_list": [
            {"metric": "lengths", "aggregation": "!function utils.total", "higher_is_better": False},
            {"metric": "strict_acc"} | MEAN,
            {"metric": "short_acc"} | MEAN,
        ],
    }
    _write(folder, "wishes", [{"text": text, "letter": "e"} for text in WISHES], wishes)
    rolling = {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "text",
        "metric_list": [{"metric": "word_perplexity", "aggregation": "weighted_perplexity", "higher_is_better": False}],
    }
    _write(folder, "prose", [{"text": text} for text in WISHES], rolling)
    group = {
        "group": "things",
        "task": ["animals", "sizes"],
        "aggregate_metric_list": [{"metric": "acc", "weight_by_size": False}],
        "metadata": {"version": 1},
    }
    (folder / "things.yaml").write_text(yaml.safe_dump(group))
    return folder


def _write(folder: Path, name: str, items: list[dict], settings: dict) -> None:
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(item) + "\n" for item in items))
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "metadata": {"version": 1.0},
    }
    text = yaml.safe_dump(task | settings, sort_keys=False)
    # A tag of YAML that no plain dumper writes.
    (folder / f"{name}.yaml").write_text(
        text.replace("'!function ", "!function ")
        .replace("process_results'", "process_results")
        .replace("total'", "total")
    )
