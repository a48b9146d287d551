"""Tiny data sets, as split files or as raw files, and the settings of their tasks."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from stagewise.provenance.files import sha256_file, write_json


def make_items(labels: Sequence[str], fields: Callable[[int, str], dict[str, str]], name: str = "i{}") -> list[dict]:
    """Make an item of each label, as a split file holds it.

    `fields` makes the prompt variables of an item from its number and its label, which they should reveal wherever a
    model has to learn something; `name` is the id, with ``{}`` for the number.
    """
    return [
        {"id": name.format(number), "label": label, "fields": fields(number, label)}
        for number, label in enumerate(labels)
    ]


def write_split(folder: Path, task: str, split: str, items: list[dict]) -> dict:
    """Write ``folder/task/split.jsonl``; return the split's part of a summary."""
    path = folder / task / f"{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return {
        "items": len(items),
        "labels": dict(Counter(item["label"] for item in items)),
        "sha256": sha256_file(path),
        "items_before_limit": len(items),
    }


def write_splits(folder: Path, tasks: dict[str, dict[str, list[dict]]]) -> Path:
    """Write the items of every task and split below `folder`, with a ``summary.json``; return `folder`."""
    summary = {
        task: {"splits": {split: write_split(folder, task, split, items) for split, items in splits.items()}}
        for task, splits in tasks.items()
    }
    write_json(folder / "summary.json", {"tasks": summary})
    return folder


def make_rows(count: int, ones: float = 0.5, **columns) -> list[dict]:
    """Make raw rows with distinct texts, a share of `ones` labelled 1.

    `columns` adds or replaces columns by a value, or a function of the row's number.
    """
    return [
        {"id": f"i{n}", "text": f"text number {n}", "label": str(int(n < ones * count))}
        | {name: value(n) if callable(value) else value for name, value in columns.items()}
        for n in range(count)
    ]


def write_csv(path: Path, rows: list[dict], encoding="utf-8", newline="\n", delimiter=",") -> Path:
    """Write raw rows as CSV; return `path`."""
    with path.open("w", encoding=encoding, newline="") as handle:
        # Python quotes a line feed in a text only where line feeds end lines.
        quoting = csv.QUOTE_ALL if newline == "\r" else csv.QUOTE_MINIMAL
        table = csv.DictWriter(handle, list(rows[0]), lineterminator=newline, delimiter=delimiter, quoting=quoting)
        table.writeheader()
        table.writerows(rows)
    return path


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    """Write raw rows as JSON Lines; return `path`."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def task_settings(files: dict, labels: dict[str, str], split: dict | None = None, reader=None, **changes) -> dict:
    """Settings of a task.

    Parameters
    ----------
    files
        Path of each raw file, or its settings, by role.
    labels
        Label words by raw value.
    split
        Split rule; a random one over the role ``items`` by default.
    reader
        Format of the files; CSV by default.
    changes
        Other settings of the task, which has the columns ``id``, ``text`` and ``label`` by default.
    """
    return {
        "prompt": "prompt.txt",
        "id": "id",
        "label": "label",
        "labels": [{"value": value, "word": word} for value, word in labels.items()],
        "fields": {"text": "text"},
        "source": "made",
        "sources": {
            "made": {
                "reader": reader or {"format": "csv"},
                "files": {role: f if isinstance(f, dict) else {"path": str(f)} for role, f in files.items()},
            }
        },
        "split": "made",
        "splits": {"made": split or {"rule": "random", "file": "items", "train": 0.6, "validation": 0.2, "test": 0.2}},
    } | changes
