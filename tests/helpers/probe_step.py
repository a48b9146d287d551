"""The probe step on the tiny model: a held-out text, and what it leaves."""

import json
from pathlib import Path

import pandas as pd

from scripts import probe

TEXT = (
    "Today was a calm day at the lake. The sample was small, but the trial found no difference between the groups.\n"
    "Does the treatment help? Über Straßen, naïve cafés and a 🦉 at night: no tokenizer of this size knows them.\n"
) * 3


class ProbeStep:
    """The probe step, and all that it needs, in a folder."""

    def __init__(self, folder: Path, model: Path, text: str = TEXT):
        self.folder, self.model, self.output = folder, model, folder / "probes"
        self.text = folder / "held-out.txt"
        self.text.write_bytes(text.encode())

    def settings(self, harness: dict | None = None, texts: dict | None = None, **changes) -> dict:
        return {
            "harness": harness,
            "texts": {"prose": {"path": str(self.text), "segment_tokens": 32}} if texts is None else texts,
            "prompting": {"format": "chat"},
            "quantization": "none",
            "dtype": "float32",
        } | changes

    def run(self, settings: dict | None = None, adapter=None, *more: str) -> int:
        argv = ["--settings", json.dumps(settings or self.settings()), "--model", str(self.model)]
        argv += ["--adapter", str(adapter)] if adapter else []
        return probe.main([*argv, "--output", str(self.output), *more])

    def table(self, name: str = "prose") -> pd.DataFrame:
        return pd.read_csv(self.output / f"{name}.csv", dtype={"id": str})

    def receipt(self) -> dict:
        return json.loads((self.output / "receipt.json").read_text(encoding="utf-8"))

    def value(self, name: str = "prose") -> float:
        """The probe's value by its definition."""
        table = self.table(name)
        return (table.weight * table.score).sum() / table.weight.sum()
