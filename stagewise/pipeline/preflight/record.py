"""The record of a passed preflight, which trainings and predictions wait for. Imports nothing heavy.

It is no result, and nothing is made from it: its time alone tells Snakemake whether to check again. Snakemake takes an
ancient input that is there for no reason to run a job, and one that is missing for a reason to run every job that has
it. So the file is always there once there are results.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from stagewise.pipeline.artifact import Artifact
from stagewise.pipeline.freshness import STALE

WAITING = ("train_adapter", "merge_adapters", "predict")
"""Rules whose outputs are missing if something is to be trained or scored."""


def mark_record(
    record: Path,
    artifacts: list[Artifact],
    arguments: Iterable[str],
    unwritten: dict[Path, int],
    dry_run: bool = False,
) -> None:
    """Make the record old if this run trains or scores anything, so that it is made again, and new otherwise.

    Call it once stale files have the time that says so (`freshness.settle`).

    Parameters
    ----------
    arguments
        Snakemake's command line: of phases that it names, such as ``stage_1``, those before and themselves count.
    unwritten
        Times in nanoseconds that files should have and that are not on the disk (`plan.prepare_plan`); receives the
        record's in a dry run, or if the disk cannot be written to.
    """
    if not record.parent.is_dir():
        return
    due = any(_is_due(artifact, unwritten) for artifact in _asked(artifacts, arguments))
    time_ns = STALE * 10**9 if due else time.time_ns()
    try:
        if not dry_run:
            record.touch()
            os.utime(record, ns=(time_ns, time_ns))
            return
    except OSError:
        pass  # planned instead
    unwritten[record] = time_ns


def _asked(artifacts: list[Artifact], arguments: Iterable[str]) -> list[Artifact]:
    """Artifacts of the phases that are asked for and of those before; all of them if no phase is named."""
    order = list(dict.fromkeys(artifact.phase_target for artifact in artifacts))
    named = [order.index(argument) for argument in arguments if argument in order]
    phases = order[: max(named) + 1] if named else order
    return [artifact for artifact in artifacts if artifact.phase_target in phases]


def _is_due(artifact: Artifact, unwritten: dict[Path, int]) -> bool:
    if artifact.phase == "report":
        return False
    outputs = [path for path in artifact.outputs if path not in artifact.optional]
    if artifact.rule in WAITING and not all(path.exists() for path in outputs):
        return True
    return any(unwritten[path] == STALE * 10**9 if path in unwritten else is_marked_stale(path) for path in outputs)


def is_marked_stale(path: Path) -> bool:
    """Tell if a plan has given a file, or the link to it, the time of what is to be made again."""
    try:
        return STALE in (path.stat().st_mtime, path.lstat().st_mtime)
    except OSError:
        return False
