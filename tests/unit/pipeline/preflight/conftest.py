"""A small experiment with a tiny model and finished splits, in an empty folder."""

import pytest

from stagewise.config.base import validate
from stagewise.config.experiment import Config
from stagewise.config.yaml_files import merge
from stagewise.models.receipts import write_model_receipt
from stagewise.pipeline.preflight.check import Finding
from stagewise.pipeline.preflight.context import Context
from stagewise.pipeline.preflight.run import find
from tests.helpers.tiny_data import make_items, task_settings, write_splits

LABELS = {"colours": ["red", "green"], "warmth": ["warm", "cold"]}
SIZES = {"train": 24, "validation": 10, "test": 40}


class TinyExperiment:
    """Writes the files of an experiment, and runs its preflight."""

    def __init__(self, folder, model):
        self.folder, self.model = folder, model
        self.values = {
            "experiment": "tiny",
            "results": "out",
            "model": "tiny",
            "models": {"tiny": {"path": str(model)}},
            "dtype": "float32",
            "logging": {"report_to": []},
            "tasks": {
                name: task_settings({"items": f"{name}.jsonl"}, {w.upper(): w for w in words}, shorten="text")
                for name, words in LABELS.items()
            },
            "arms": {"sequential": {"stages": [{"task": "colours"}, {"task": "warmth"}]}},
            "lora": {"r": 4, "alpha": 8},
            "training": {"epochs": 1, "max_length": 96, "batch_size": 4, "gradient_accumulation": 1},
        }
        (folder / "prompt.txt").write_text("{text}\nWhich one?\n", encoding="utf-8")
        for name in LABELS:
            (folder / f"{name}.jsonl").write_text("{}\n", encoding="utf-8")
        self.items = {
            name: {
                split: make_items(
                    [words[n % 2] for n in range(size)], lambda n, label: {"text": f"{label} {n}"}, split + "-{}"
                )
                for split, size in SIZES.items()
            }
            for name, words in LABELS.items()
        }

    def config(self, **overlay) -> Config:
        return validate(Config, merge(self.values, overlay), "tiny.yaml")

    def write_model(self) -> None:
        write_model_receipt("models/tiny", "tiny", {"path": str(self.model)}, files_at=self.model)

    def write_data(self, folder: str = "out/data") -> None:
        write_splits(self.folder / folder, self.items)

    def findings(self, *, elsewhere=False, planned=False, **overlay) -> list[Finding]:
        """All findings, once model and splits are written."""
        self.write_model()
        self.write_data()
        return find(Context(self.config(**overlay), elsewhere, planned))

    def problems(self, **overlay) -> list[tuple[str, str]]:
        """Verdict and sentence of each warning and failure."""
        findings = self.findings(**overlay)
        return [(f.verdict, f.sentence) for f in findings if f.verdict in ("warning", "failure")]


@pytest.fixture
def tiny_experiment(tmp_path, monkeypatch, tiny_model) -> TinyExperiment:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STAGEWISE_MIRROR", raising=False)
    return TinyExperiment(tmp_path, tiny_model)
