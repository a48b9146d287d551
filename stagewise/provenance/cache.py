"""Finished work, kept by what it was made from, so that making it again costs a copy.

Snakemake deletes a step's outputs before the step runs, so the store lies elsewhere: ``{results}/checkpoints``.
It may be deleted at any time; what is in it is checked against its receipt before it is used.
"""

import os
import shutil
from pathlib import Path

from stagewise.provenance.files import replaced_folder
from stagewise.provenance.fingerprints import fingerprint


def adapter_place(checkpoints, recipe: str, parents: list[str], image: str | None) -> Path:
    """Folder of an adapter's checkpoints; the finished one is ``adapter`` in it.

    Parameters
    ----------
    recipe
        The recipe's fingerprint.
    parents
        Checksums of the parents' weights. Training on a GPU is not bit-reproducible, so a parent's recipe alone does
        not say which weights it has.
    image
        Checksum of the container image, if it is made in one.
    """
    key = fingerprint({"recipe": recipe, "parents": parents} | ({"image": image} if image else {}))
    return Path(checkpoints) / recipe[:16] / key[:16]


def predictions_place(checkpoints, facts: dict, image: str | None) -> Path:
    """Folder of predictions by what they are made from (`predictions.facts` and `predictions.adapter_facts`)."""
    return Path(checkpoints) / "predictions" / fingerprint(facts | ({"image": image} if image else {}))[:32]


def keep(folder, place: Path) -> None:
    """Put a finished folder's files into the store under a second name; copies where the disk has no hard links."""
    if place.is_dir():
        return
    with replaced_folder(place) as made:
        shutil.copytree(folder, made, dirs_exist_ok=True, copy_function=_link)


def _link(source, target) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)
