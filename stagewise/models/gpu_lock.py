"""GPUs of this machine, each to as many jobs at a time as it may have: one, unless `JOBS_VARIABLE` allows more.

A job locks a file that stands for a place on a GPU. The kernel frees it when the job's process dies, however it dies.
"""

import os
import sys
from pathlib import Path

from stagewise.errors import InputError
from stagewise.models.gpus import DEVICE_VARIABLE, VISIBLE_VARIABLE, Gpu, expected_gpu, jobs_per_gpu, visible_gpus
from stagewise.provenance.lock import hold_files

FOLDER = Path("/tmp/stagewise-gpus")
"""Folder of the locks: not of TMPDIR, which differs between users, jobs and containers that share a GPU."""

_taken: list[Gpu] = []


def take_gpus(count: int, work: str, deadline: float | None = None) -> list[Gpu]:
    """Take free GPUs for this process until it ends, and hide all others from it; call it before torch is imported.

    If too few are free, wait, and say for whom. A process that has them already keeps them, and one of several that
    train together has its launcher's. Without a GPU nothing is done; `check_gpu` tells if that is wrong.

    Parameters
    ----------
    count
        Number of GPUs. More than one are for a launcher: the program that takes this process's place holds them.
    work, deadline
        As of `stagewise.provenance.lock.locked`.

    Returns
    -------
    The GPUs; empty without any.

    Raises
    ------
    InputError
        If fewer GPUs are visible than `count`, but some.
    Unfinished
        If too few are free at the deadline.
    """
    if len(_taken) >= count:
        return _taken[:count]
    gpus = visible_gpus()
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        return gpus
    if not gpus:
        if count == 1:
            _show_first()
        return []
    if len(gpus) < count:
        raise InputError(
            f"{count} processes need {count} GPUs, but this job sees {len(gpus)}; ask for more of them, or for fewer "
            "processes, in the profile"
        )
    _make_folder()
    places = [[FOLDER / f"{gpu.uuid}.{place}.lock" for place in range(jobs_per_gpu())] for gpu in gpus]
    held = hold_files(places, count, work, "uses a GPU", deadline)
    for descriptor in held.values():
        os.set_inheritable(descriptor, count > 1)
    _taken[:] = [gpus[index] for index in sorted(held)]
    os.environ[VISIBLE_VARIABLE] = ",".join(gpu.uuid for gpu in _taken)
    print(f"{work}: on {', '.join(map(str, _taken))}", file=sys.stderr)
    return list(_taken)


def _show_first() -> None:
    """Show one GPU alone, unlocked, where the driver's library is missing, as in some containers.

    If transformers sees several, it copies the model onto all of them (DataParallel) and multiplies the batch.
    """
    visible = os.environ.get(VISIBLE_VARIABLE, "0" if expected_gpu() else "")
    if visible:
        os.environ[VISIBLE_VARIABLE] = visible.split(",")[0]


def hide_gpus() -> None:
    """Have this process compute on the CPU; call it before torch is imported."""
    os.environ |= {DEVICE_VARIABLE: "cpu", VISIBLE_VARIABLE: ""}


def _make_folder() -> None:
    """Make the folder, in which every user may lock and nobody may delete another's files."""
    try:
        FOLDER.mkdir(mode=0o1777)
    except FileExistsError:
        if FOLDER.is_symlink():
            raise InputError(f"{FOLDER}: a link, by which locks would be written elsewhere; remove it") from None
        return
    FOLDER.chmod(0o1777)  # mkdir heeds the umask
