"""Prediction files: one CSV per task and split."""


def write_predictions(path, task: str, split: str, items: list[dict], rows: list[dict]) -> None:
    """Write one prediction file; floats are written so that reading gives the same number back.

    Every text is quoted: generated text may hold a bare carriage return, which some readers take for the end of a row.
    """
    import csv

    import pandas as pd

    columns = [
        {"id": item["id"], "task": task, "split": split, "label": item["label"]} | row
        for item, row in zip(items, rows, strict=True)
    ]
    pd.DataFrame(columns).to_csv(path, index=False, lineterminator="\n", encoding="utf-8", quoting=csv.QUOTE_NONNUMERIC)
