"""Write prediction files."""


def write_predictions(path, task: str, split: str, items: list[dict], rows: list[dict]) -> None:
    """Write one prediction file; floats are written so that reading gives the same number back.

    Every text is quoted: a generated one may hold a bare carriage return, which some readers take for a row's end.
    """
    import csv

    import pandas as pd

    known = [{"id": item["id"], "task": task, "split": split, "label": item["label"]} for item in items]
    table = pd.DataFrame([before | row for before, row in zip(known, rows, strict=True)])
    table.to_csv(path, index=False, lineterminator="\n", encoding="utf-8", quoting=csv.QUOTE_NONNUMERIC)
