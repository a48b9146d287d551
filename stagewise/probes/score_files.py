"""Folders of scores: one for each probe in the cache, and one for all probes of a model."""

import shutil
from pathlib import Path

from stagewise.errors import InputError
from stagewise.probes.fingerprint import inputs_of_probe
from stagewise.provenance import cache
from stagewise.provenance.files import read_json, replaced_folder
from stagewise.provenance.receipts import RECEIPT, read_receipt, write_receipt

SCORES = "scores.csv"
"""Name of a probe's scores in the cache."""

_SCORING = ("seconds", "tokens", "device", "dtype", "packages")
"""Facts on how a probe was scored."""


def is_current(folder: Path, inputs: dict, image: str | None, names: set[str]) -> bool:
    """Check that a folder holds these files as these inputs give them, every one as its receipt says."""
    if not (folder / RECEIPT).is_file():
        return False
    try:
        receipt = read_receipt(folder, "the probes")
    except InputError:
        return False  # damaged or incomplete: made again
    same_image = image in (None, receipt.get("image"))
    return same_image and receipt.get("inputs") == inputs and set(receipt["files"]) == names


def collect_scores(cached: dict[str, Path], inputs: dict, image: str | None, folder: Path) -> None:
    """Copy each probe's scores from its folder in the cache to an empty folder, and write their receipt."""
    receipts = {}
    for probe, source in cached.items():
        shutil.copyfile(source / SCORES, folder / f"{probe}.csv")
        receipts[probe] = read_receipt(source, f"the probe {probe}")
    scoring = {probe: {key: receipt[key] for key in _SCORING} for probe, receipt in receipts.items()}
    first, *_ = scoring.values()
    facts = {
        "inputs": inputs,
        "image": image,
        "probes": {probe: receipt["probe"] for probe, receipt in receipts.items()},
        "scoring": scoring,
        "packages": first["packages"],
    }
    write_receipt(folder, facts)


def keep_scores(folder: Path, checkpoints, image: str | None) -> None:
    """Put the finished scores of a folder into the cache, probe by probe."""
    receipt = read_json(folder / RECEIPT, "the probes' receipt")
    for probe, record in receipt["probes"].items():
        inputs = inputs_of_probe(receipt["inputs"], probe)
        cached = cache.probe_cache(checkpoints, inputs, image)
        if cached.is_dir():
            continue
        with replaced_folder(cached) as made:
            shutil.copyfile(folder / f"{probe}.csv", made / SCORES)
            facts = {"inputs": inputs, "image": receipt["image"], "probe": record}
            write_receipt(made, facts | receipt["scoring"][probe])
