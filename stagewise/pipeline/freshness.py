"""Content decides what is current; file times only carry the verdict to Snakemake.

Before a plan is made, every output that is there is compared with what it would be made from now: receipts and recipes
against settings and checksums. Current files get times that say so, however new a checkout or a download made their
inputs; stale files get a time older than any input. The default profile has Snakemake look at nothing else.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError
from stagewise.pipeline.artifact import Artifact

STALE = 1
"""Seconds since 1970: older than any input. Snakemake takes 0 for no time at all."""
LINES = 40
"""Stale outputs that are named with their reasons; the others are counted."""


@dataclass(frozen=True)
class Verdict:
    """A stale output."""

    artifact: Artifact
    reasons: tuple[str, ...]
    """Empty if it is stale only because an input is made again."""


def settle(
    artifacts: Iterable[Artifact],
    set_time: Callable[[Path, int], None] | None,
    unwritten: dict[Path, int] | None = None,
) -> list[Verdict]:
    """Make file times tell what content says, inputs before what is made from them.

    Parameters
    ----------
    set_time
        Sets a file's modification time, in nanoseconds; None for a plan that writes nothing.
    unwritten
        Receives the times that cannot be set, because a file is somebody else's or the disk is read-only, for whoever
        reads times to take them instead.

    Returns
    -------
    Every output that is stale, and every one that is made from such.

    Raises
    ------
    InputError
        If a file's time cannot be set and there is no `unwritten`.
    """
    times_of = _Times(set_time, unwritten)
    verdicts, renewed = [], set()
    for artifact in artifacts:
        times = {path: time for path in artifact.outputs if (time := times_of.get(path))}
        if not times:
            continue
        reasons = _stale_reasons(artifact, set(times))
        if reasons:
            times_of.set([path for path, time in times.items() if time != STALE * 10**9], STALE * 10**9)
        else:
            newest = max(map(times_of.get, artifact.inputs), default=0)
            times_of.set([path for path, time in times.items() if time < newest], newest)
        keep = artifact.keep_parts if reasons else artifact.keep
        if keep and set_time:
            with suppress(OSError):  # a disk that is full or read-only; the cache saves work and nothing else
                keep()
        follows = not renewed.isdisjoint(artifact.inputs)
        if reasons or follows:
            renewed.update(artifact.outputs)
            verdicts.append(Verdict(artifact, tuple(reasons)))
    return verdicts


def explain(verdicts: list[Verdict]) -> list[str]:
    """Say in one line each why outputs are stale, and how many others are made from them."""
    reasons: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.reasons:
            reasons.setdefault(verdict.artifact.label, []).extend(verdict.reasons)
    lines = [f"{label}: {'; '.join(_distinct(phrases))}" for label, phrases in reasons.items()]
    following = list(
        dict.fromkeys(v.artifact.label for v in verdicts if not v.reasons and v.artifact.label not in reasons)
    )
    if len(lines) > LINES:
        lines[LINES:] = [f"and {len(lines) - LINES} more stale outputs"]
    if following:
        shown = ", ".join(following[:4]) + (f" and {len(following) - 4} more" if len(following) > 4 else "")
        lines.append(f"made from these: {shown}")
    return lines


def _distinct(phrases: list[str]) -> list[str]:
    """Leave out what another phrase of the same output explains."""
    phrases = list(dict.fromkeys(phrases))
    return [phrase for phrase in phrases if phrase != "recipe changed" or len(phrases) == 1]


def _stale_reasons(artifact: Artifact, there: set[Path]) -> list[str]:
    missing = [path for path in artifact.outputs if path not in there and path not in artifact.optional]
    if missing:
        return [f"missing: {path.name}" for path in missing]
    try:
        return artifact.reasons()
    except PermissionError as error:
        return [f"{error.filename}: this user may not read it"]
    except InputError as error:
        return [re.split("; (?:delete|run)", str(error))[0]]  # the workflow does
    except (OSError, LookupError, TypeError, AttributeError, ValueError):
        return ["incomplete, or written by another version"]


def _time(path: Path) -> int:
    """Modification time in nanoseconds, the link's or its target's, whichever is later; 0 for no file."""
    try:
        return max(path.stat().st_mtime_ns, path.lstat().st_mtime_ns)
    except OSError:
        return 0


class _Times:
    """Times of files on the disk, and those that could not be written there; see `settle`."""

    def __init__(self, set_time: Callable[[Path, int], None] | None, unwritten: dict[Path, int] | None):
        self._set_time = set_time
        self._unwritten = {} if unwritten is None and set_time is None else unwritten

    def get(self, path: Path) -> int:
        time = _time(path)
        return (self._unwritten or {}).get(path, time) if time else 0

    def set(self, paths: list[Path], time: int) -> None:
        for path in paths:
            try:
                if self._set_time:
                    self._set_time(path, time)
                    continue
            except OSError as error:
                if self._unwritten is None:
                    raise InputError(
                        f"{path}: its time cannot be set ({error.strerror or 'not permitted'}: it belongs to someone "
                        "else or the disk is read-only); work on a copy of your own"
                    ) from None
            self._unwritten[path] = time
