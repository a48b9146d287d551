"""Jobs that wait for the preflight's record. Imports nothing heavy.

The record is no result, and nothing is made from it: only jobs that train or score in this run wait for it, and
it is made again for them. Snakemake would otherwise either run every job that lists a missing file, or not look at the
jobs behind one that is made again.
"""

from collections.abc import Iterable
from pathlib import Path

from stagewise.pipeline.artifact import Artifact
from stagewise.pipeline.freshness import STALE

WAITING = ("train_adapter", "predict", "probe")
"""Rules whose jobs wait for the record."""


def due_outputs(artifacts: list[Artifact], arguments: Iterable[str], unwritten: dict[Path, int]) -> set[Path]:
    """List the outputs of trainings, predictions and probes that this run makes.

    Call it once stale files have the time that says so (`freshness.settle`).

    Parameters
    ----------
    arguments
        Snakemake's command line: of phases that it names, such as ``stage_1``, those before and themselves count.
    unwritten
        Times in nanoseconds that files should have and that are not on the disk (`plan.prepare_plan`).
    """
    arguments = set(arguments)
    asked = _asked(artifacts, arguments)
    consumed = {path for artifact in asked for path in artifact.inputs}
    due, needed = set(), set()
    # What is missing is made only for what is made from it, as Snakemake has it.
    for artifact in reversed(asked):
        outputs = set(artifact.outputs)
        wanted = bool(outputs & needed) or not outputs & consumed or artifact.phase_target in arguments
        wanted |= not arguments.isdisjoint(map(str, outputs))
        if _is_stale(artifact, unwritten) or (wanted and _is_missing(artifact)):
            needed.update(artifact.inputs)
            due |= outputs if artifact.rule in WAITING else set()
    return due


def _asked(artifacts: list[Artifact], arguments: set[str]) -> list[Artifact]:
    """Artifacts of the phases that are asked for and of those before; all of them if no phase is named."""
    order = list(dict.fromkeys(artifact.phase_target for artifact in artifacts))
    named = [number for number, phase in enumerate(order) if phase in arguments]
    phases = order[: max(named) + 1] if named else order
    return [artifact for artifact in artifacts if artifact.phase_target in phases]


def _is_missing(artifact: Artifact) -> bool:
    return not all(path.exists() for path in artifact.outputs if path not in artifact.optional)


def _is_stale(artifact: Artifact, unwritten: dict[Path, int]) -> bool:
    paths = [path for path in artifact.outputs if path not in artifact.optional]
    return any(unwritten[path] == STALE * 10**9 if path in unwritten else is_marked_stale(path) for path in paths)


def is_marked_stale(path: Path) -> bool:
    """Tell if a plan has given a file, or the link to it, the time of what is to be made again."""
    try:
        return STALE in (path.stat().st_mtime, path.lstat().st_mtime)
    except OSError:
        return False
