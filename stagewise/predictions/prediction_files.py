"""Prediction files: one CSV per task and split."""

import hashlib
import json


def gold_cell(item: dict) -> str:
    """Name an item's gold label; of references, which are texts of the data, a checksum's first 16 digits stand there.

    It is the SHA-256 of the list of references as JSON.
    """
    if "references" not in item:
        return item["label"]
    return hashlib.sha256(json.dumps(item["references"], ensure_ascii=False).encode()).hexdigest()[:16]


def write_predictions(path, task: str, split: str, items: list[dict], rows: list[dict]) -> None:
    """Write one prediction file; floats are written so that reading gives the same number back.

    Every text is quoted: generated text may hold a bare carriage return, which some readers take for the end of a row.
    """
    import csv

    import pandas as pd

    columns = [
        {"id": item["id"], "task": task, "split": split, "label": gold_cell(item)} | row
        for item, row in zip(items, rows, strict=True)
    ]
    pd.DataFrame(columns).to_csv(path, index=False, lineterminator="\n", encoding="utf-8", quoting=csv.QUOTE_NONNUMERIC)
