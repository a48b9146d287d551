"""Finished prediction files in the cache, each under the fingerprint of what that file alone is made from.

So a task that is added to a finished study is scored alone: the files of the others are copied.
"""

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError
from stagewise.predictions.fingerprint import file_inputs, split_name
from stagewise.provenance import cache
from stagewise.provenance.checksums import ChecksumMemory
from stagewise.provenance.files import replaced_folder, sha256_file
from stagewise.provenance.receipts import RECEIPT, read_receipt, write_receipt
from stagewise.provenance.sealed_json import is_sealed

FACTS = (
    "method",
    "seconds",
    "tokens",
    "items",
    "shortened",
    "control_tokens",
    "content_free",
    "tokens_per_batch",
    "changed_answers",
    "device",
    "dtype",
    "packages",
)
"""Keys on how one file was made, in its receipt in the cache; None where there is nothing to say."""

_SUMS = ("seconds", "tokens", "items")
_PER_FILE = ("shortened", "control_tokens")
_PER_TASK = ("content_free", "changed_answers")
_MAY_DIFFER = ("tokens_per_batch", "device", "packages")


@dataclass(frozen=True)
class KeptFiles:
    """The cache's prediction files of one model."""

    checkpoints: Path
    """Folder of the cache."""
    inputs: dict
    """Inputs record of all its predictions (`prediction_inputs`, `adapter_group`)."""
    image: str | None
    """SHA-256 of the container image that this runs in, if it does."""

    @property
    def together(self) -> Path:
        """Folder whose lock is held while files are made; before files were kept one by one, it held all of them."""
        return cache.predictions_cache(self.checkpoints, self.inputs, self.image)

    def folder(self, name: str) -> Path:
        """Folder of one file, named as ``task.split``."""
        return cache.predictions_cache(self.checkpoints, file_inputs(self.inputs, name), self.image)

    def take(self, folder: Path) -> None:
        """Put the intact files of a folder into the cache (`keep_files`)."""
        keep_files(folder, self.checkpoints, self.image)

    def missing(self) -> list[str]:
        """Names, as ``task.split``, of the files that have to be made."""
        return [
            name
            for name in self.inputs["files"]
            if not is_current(self.folder(name), file_inputs(self.inputs, name), self.image)
        ]

    def write(self, name: str, write_csv, facts: dict) -> None:
        """Keep a file that `write_csv` writes to the path that it is given, with the `FACTS` on how it was made."""
        with replaced_folder(self.folder(name)) as folder:
            write_csv(folder / f"{name}.csv")
            _write_facts(folder, file_inputs(self.inputs, name), self.image, facts)

    def copy_all(self, folder: Path) -> dict:
        """Copy every file to an empty folder, and write a receipt that sums up how they were made; return it."""
        facts = {}
        for name in self.inputs["files"]:
            facts[name] = read_receipt(self.folder(name), "the stored predictions")
            shutil.copy2(self.folder(name) / f"{name}.csv", folder)
        images = {entry["image"] for entry in facts.values()}
        image = images.pop() if len(images) == 1 else self.image
        if not facts:  # probes alone are scored
            settings = self.inputs["settings"]
            nothing = {"method": settings["evaluation"]["method"], "dtype": settings["dtype"], "packages": {}}
            return write_receipt(folder, {"inputs": self.inputs, "image": image} | nothing)
        return write_receipt(folder, {"inputs": self.inputs, "image": image} | summarize_files(facts))


def is_current(folder: Path, inputs: dict, image: str | None) -> bool:
    """Check that a folder holds the predictions that these inputs give, every file as its receipt says."""
    if not (folder / RECEIPT).is_file():
        return False
    try:
        receipt = read_receipt(folder, "the predictions")
    except InputError:
        return False  # damaged or incomplete: made again
    names = {f"{name}.csv" for name in inputs["files"]}
    same_image = image in (None, receipt.get("image"))
    return same_image and receipt.get("inputs") == inputs and set(receipt["files"]) == names


def keep_files(folder: Path, checkpoints, image: str | None, checksums: ChecksumMemory | None = None) -> None:
    """Put each intact prediction file of a folder into the cache, by what its receipt says that it is made from.

    The folder may be incomplete, damaged in part, or stale; receipts that say how long all files took, and not each,
    are read too.

    Parameters
    ----------
    folder
        Folder of prediction files and their receipt; nothing is done if it is none.
    checkpoints
        Folder of the cache.
    image
        SHA-256 of the container image of this run, if it has one; without, predictions of any are taken.
    checksums
        Remembered checksums, which are told that a second name leaves a file's content alone.
    """
    if not (Path(folder) / RECEIPT).is_file():
        return
    try:
        receipt = read_receipt(folder, "the predictions", verify=False)
        records = {name: file_inputs(receipt["inputs"], name) for name in receipt["inputs"]["files"]}
        made_in = receipt.get("image") if image else None
        targets = {name: cache.predictions_cache(checkpoints, record, made_in) for name, record in records.items()}
        new = [name for name, target in targets.items() if not target.is_dir()]
        facts = split_facts(receipt, folder) if new else {}
    except (InputError, LookupError, TypeError, AttributeError):
        return  # damaged, or of no version that is known here
    if not is_sealed(receipt):
        return
    for name in new:
        path = Path(folder) / f"{name}.csv"
        if path.is_file() and (checksums or sha256_file)(path) == receipt["files"].get(path.name):
            with replaced_folder(targets[name]) as made:
                cache.link(path, made / path.name, checksums)
                _write_facts(made, records[name], receipt.get("image"), facts[name])


def _write_facts(folder: Path, inputs: dict, image: str | None, facts: dict) -> None:
    write_receipt(folder, {"inputs": inputs, "image": image} | {key: facts.get(key) for key in FACTS})


def summarize_files(facts: dict[str, dict]) -> dict:
    """Sum up how prediction files were made.

    Parameters
    ----------
    facts
        `FACTS` by file, named as ``task.split``.

    Returns
    -------
    Sums over the files, figures by file and by task, the smallest ``tokens_per_batch``, and under ``scoring`` what each
    file took. Where files were made on several devices or with several versions of packages, theirs are there too.
    """
    first = next(iter(facts.values()))
    summary = {"method": first["method"], "dtype": first["dtype"]}
    summary |= {key: sum(entry[key] for entry in facts.values()) for key in _SUMS}
    summary["seconds"] = round(summary["seconds"], 3)
    for key in _PER_FILE:
        summary[key] = {name: entry[key] for name, entry in facts.items() if entry[key] is not None}
    for key in _PER_TASK:
        summary[key] = {}
        for name, entry in facts.items():
            if entry[key] is not None:
                summary[key].setdefault(split_name(name)[0], entry[key])
    mixed = [key for key in _MAY_DIFFER if any(entry[key] != first[key] for entry in facts.values())]
    batches, devices = ([entry[key] for entry in facts.values() if entry[key]] for key in _MAY_DIFFER[:2])
    summary |= {
        "tokens_per_batch": min(batches, default=None),  # an older version did not say
        "device": " and ".join(dict.fromkeys(devices)) or None,
        "packages": first["packages"],
    }
    summary["scoring"] = {name: {key: entry[key] for key in (*_SUMS, *mixed)} for name, entry in facts.items()}
    return summary


def split_facts(receipt: dict, folder: Path) -> dict[str, dict]:
    """Tell from a folder's receipt how each of its files was made; the inverse of `summarize_files`.

    A receipt of an older version has sums alone: every file gets a part in proportion to its items.
    """
    facts = {}
    for name in receipt["inputs"]["files"]:
        task, split = split_name(name)
        entry = {key: receipt.get(key) for key in ("method", "dtype", *_MAY_DIFFER)}
        entry |= {key: receipt.get(key, {}).get(name) for key in _PER_FILE}
        entry |= {key: receipt.get(key, {}).get(task) for key in _PER_TASK}
        if split != "validation":
            entry["changed_answers"] = None
        facts[name] = entry | (receipt["scoring"][name] if "scoring" in receipt else _part(receipt, folder, name))
    return facts


def _part(receipt: dict, folder: Path, name: str) -> dict:
    """Estimate what one file took of what all took."""
    items, path = 0, Path(folder) / f"{name}.csv"
    if path.is_file():
        with open(path, encoding="utf-8", newline="") as handle:
            items = sum(1 for _ in csv.reader(handle)) - 1
    share = items / max(receipt["items"], 1)
    return {
        "seconds": round(receipt["seconds"] * share, 3),
        "tokens": round(receipt["tokens"] * share),
        "items": items,
    }
