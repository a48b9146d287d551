"""One output of the workflow: its rule, its inputs, and the reasons why it may not be current."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagewise.errors import InputError


@dataclass(frozen=True)
class DvcOut:
    """A file or folder that DVC tracks."""

    path: Path
    push: bool = True
    cache: bool = True
    metrics: bool = False
    dependency: Path | None = None
    """Path that later stages depend on, if not `path` as a whole."""


@dataclass(frozen=True)
class Artifact:
    """The files that one job leaves.

    Attributes
    ----------
    rule
        Name of the rule that makes them.
    phase
        DVC stage that they belong to.
    label
        Their name in a reason.
    outputs, inputs
        Files, as the rule lists them.
    reasons
        Function that phrases each difference between the files and what settings and inputs give now; an empty list
        if the files are current. It may raise `InputError` or `OSError` if a file that it needs is missing.
    tracked
        Files and folders that DVC tracks.
    optional
        Outputs that may be missing as long as no job needs them: they can be made again.
    record, expected
        The JSON file among the outputs that holds their inputs record, and what that record should be now.
    keep
        Puts current files into the cache of finished work.
    keep_parts
        Puts those files of a stale output into it that are of use to the job that makes it again.
    packages
        The JSON file among the outputs that says which package versions made them.
    """

    rule: str
    phase: str
    label: str
    outputs: tuple[Path, ...]
    inputs: tuple[Path, ...]
    reasons: Callable[[], list[str]]
    tracked: tuple[DvcOut, ...]
    record: Path | None = None
    expected: Callable[[], Any] | None = None
    optional: tuple[Path, ...] = ()
    keep: Callable[[], None] | None = None
    keep_parts: Callable[[], None] | None = None
    packages: Path | None = None

    @property
    def phase_target(self) -> str:
        """Name of the rule that asks for everything of the phase."""
        return {"report": "all_results"}.get(self.phase, self.phase.replace("-", "_"))


Declaration = Callable[..., Iterator[Artifact]]
DECLARATIONS: dict[str, Declaration] = {}
"""By rule, in the order in which data flows: a function of the experiment that gives the rule's artifacts."""


def declares(rule: str) -> Callable[[Declaration], Declaration]:
    """Register the declaration of a rule's artifacts; see docs/extending.md."""

    def register(declaration: Declaration) -> Declaration:
        if rule in DECLARATIONS:
            raise InputError(f"the artifacts of rule '{rule}' are declared twice; keep one declaration")
        DECLARATIONS[rule] = declaration
        return declaration

    return register
