"""Content-addressed cache of finished adapters, predictions and probes, so that making them again costs a copy.

Snakemake deletes a step's outputs before the step runs, so the cache lies elsewhere: ``{results}/checkpoints``.
It may be deleted at any time; its content is checked against its receipt before it is used.
"""

import os
import shutil
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from stagewise.provenance.checksums import ChecksumMemory
from stagewise.provenance.files import replaced_folder
from stagewise.provenance.fingerprints import fingerprint


def adapter_cache(checkpoints, inputs: dict, image: str | None) -> Path:
    """Folder of an adapter's checkpoints; the finished one is ``adapter`` in it.

    Parameters
    ----------
    inputs
        The adapter's inputs record (`stagewise.models.adapters.adapter_inputs`).
    image
        SHA-256 of the container image, if it is made in one.
    """
    key = fingerprint(inputs | ({"image": image} if image else {}))
    return Path(checkpoints) / inputs["recipe"][:16] / key[:16]


def predictions_cache(checkpoints, inputs: dict, image: str | None) -> Path:
    """Folder of predictions by their inputs record (`stagewise.predictions.fingerprint`), of one file or of all."""
    return Path(checkpoints) / "predictions" / fingerprint(inputs | ({"image": image} if image else {}))[:32]


def probe_cache(checkpoints, inputs: dict, image: str | None) -> Path:
    """Folder of one probe's scores by its inputs record (`stagewise.probes.fingerprint`)."""
    return Path(checkpoints) / "probes" / fingerprint(inputs | ({"image": image} if image else {}))[:32]


def keep(folder, cached: Path, checksums: ChecksumMemory | None = None) -> None:
    """Put a finished folder's files into the cache under a second name; copies if the disk has no hard links.

    `checksums` are told that a second name leaves a file's content alone.
    """
    if cached.is_dir():
        return
    with replaced_folder(cached) as made:
        shutil.copytree(folder, made, dirs_exist_ok=True, copy_function=partial(link, checksums=checksums))


def link(source, target, checksums: ChecksumMemory | None = None) -> None:
    """Give a file a second name, see `keep`."""
    with checksums.same_content(source) if checksums else nullcontext():
        try:
            os.link(os.path.realpath(source), target)
        except OSError:
            shutil.copy2(source, target)
