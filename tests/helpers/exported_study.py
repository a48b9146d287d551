"""A made-up study with a report, whose adapters are real ones of the tiny model, so that they can be exported."""

import json
import shutil
from pathlib import Path

from stagewise.metrics.build import format_metrics
from stagewise.models.adapters import ADAPTER_WEIGHTS
from stagewise.provenance.files import sha256_file, write_json
from stagewise.provenance.receipts import write_receipt
from stagewise.recipe import Recipe
from tests.helpers import fake_results, tiny_llama

FIRST, SECOND = "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
SIZES = {"train": 40, "validation": 20, "test": 40}


def write_study(folder: Path, model: Path, **overlay) -> Path:
    """Write results with ``report_metrics.json`` and adapters that fit `model` to ``folder/results``; return that."""
    overlay = {"statistics": {"bootstrap_samples": 100}, "published": None} | overlay
    results = folder / "results"
    _, metrics = fake_results.experiment(results, sizes=SIZES, **overlay)
    for seed, lineage in enumerate((FIRST, SECOND)):
        recipe = Recipe.read(results / lineage / "recipe.json")
        adapter = results / lineage / "adapter"
        made = tiny_llama.build_adapter(folder / "made" / str(seed), model, seed, recipe.fingerprint)
        shutil.copytree(made, adapter, dirs_exist_ok=True)
        shutil.rmtree(made)
        receipt = json.loads((adapter / "receipt.json").read_text())
        write_receipt(adapter, {"inputs": receipt["inputs"]})
        scored = results / lineage / "predictions" / "receipt.json"
        values = json.loads(scored.read_text())
        values["inputs"]["adapter"]["weights"] = sha256_file(adapter / ADAPTER_WEIGHTS)
        write_json(scored, values)
    (results / "report_metrics.json").write_text(format_metrics(metrics), encoding="utf-8")
    return results
