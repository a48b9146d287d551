"""Made-up experiments over the same test items, for comparisons of experiments."""

import json
import shutil
from pathlib import Path
from unittest import mock

import numpy as np

from stagewise.data.items import read_split
from stagewise.lineage import BASE, lineage_tree
from stagewise.metrics.build import build_metrics, format_metrics
from stagewise.metrics.read_results import read_results
from stagewise.provenance.sealed_json import write_sealed
from tests.helpers import fake_results as made
from tests.helpers.report_experiments import FAST, write


def write_both(folder: Path, seed: int = 1, guessed: str | None = None, **overlay) -> tuple[Path, Path]:
    """Write an experiment ``first`` and one ``other`` with the same items and arms, whose answers are drawn anew.

    Everyone in the other experiment guesses the task `guessed`.
    """
    settings = made.config(**FAST, **overlay)
    first, other = write(folder / "first", **overlay), folder / "other"
    shutil.copytree(first, other)
    rng = np.random.default_rng(seed)
    items = {
        (task, split): read_split(other / "data" / task / f"{split}.jsonl", declared.words)
        for task, declared in settings.active_tasks.items()
        for split in settings.evaluation.splits
    }
    skill = {guessed: dict.fromkeys(made.SKILL[guessed], 0.0)} if guessed else {}
    with mock.patch.dict(made.SKILL, skill):
        made.write_predictions(other, BASE, settings, items, rng)
        for lineage, adapter in lineage_tree(settings).items():
            receipt = json.loads((other / lineage / "adapter" / "receipt.json").read_text())
            made.write_predictions(other, lineage, settings, items, rng, adapter, receipt["inputs"]["recipe"])
    metrics = build_metrics(read_results(settings.model_copy(update={"experiment": "other"}), other))
    (other / "report_metrics.json").write_text(format_metrics(metrics), encoding="utf-8")
    return first, other


def changed(results: Path, target: Path, change) -> Path:
    """Copy results to `target` and change their metrics, which are sealed anew."""
    shutil.copytree(results, target)
    path = target / "report_metrics.json"
    values = json.loads(path.read_text())
    change(values)
    write_sealed(path, values)
    return target
