"""Made-up scores of probes with one score per item, for `fake_results`."""

import csv
from pathlib import Path
from zlib import crc32

import numpy as np

from stagewise.config.experiment import Config
from stagewise.lineage import Adapter
from stagewise.provenance.receipts import write_receipt

# Measure, whether higher is better, items, mean, and the change that each stage makes.
KINDS = {"harness": ("acc", True, 150, 0.6, -0.08), "text": ("bits_per_byte", False, 60, 0.9, 0.04)}


def write_probes(folder: Path, lineage: str, settings: Config, inputs: dict, adapter: Adapter | None = None) -> None:
    """Draw a score per item of every probe that has one and write files and receipt; nothing without probes.

    Every stage makes an adapter worse; a remedy halves that.
    """
    facts = {}
    for probe in settings.probes.item_scored:
        kind = "text" if probe in settings.probes.active_texts else "harness"
        *_, number, mean, change = KINDS[kind]
        shared = np.random.default_rng(crc32(probe.encode()))
        difficulty = shared.normal(size=number)
        weights = shared.integers(200, 300, number) if kind == "text" else np.ones(number)
        moved = change * adapter.stage if adapter else 0.0
        if adapter and adapter.remedies.model_dump(exclude_none=True):
            moved /= 2
        noise = np.random.default_rng(crc32(f"{probe}/{lineage}".encode())).normal(size=number)
        scores = mean + 0.2 * difficulty + moved + 0.02 * noise
        if kind == "harness":
            scores = (scores + 0.06 * noise > 0.55).astype(float)
        facts[probe] = write_scores(folder, probe, kind, scores, weights)
    if facts:
        write_receipt(folder, {"inputs": inputs, "probes": facts})


def write_scores(folder: Path, probe: str, kind: str, scores, weights) -> dict:
    """Write the file of one probe; return what its receipt says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{probe}.csv", "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "score", "weight"])
        for number, (score, weight) in enumerate(zip(scores, weights, strict=True)):
            writer.writerow([f"{probe}-{number}", repr(float(score)), repr(float(weight))])
    measure, higher_is_better, *_ = KINDS[kind]
    facts = {"measure": measure, "higher_is_better": higher_is_better, "items": len(scores), "kind": kind}
    return facts | {"checksum": f"{crc32(probe.encode()):064x}", "group": None}
