"""A check, what it reports, and the registry of all checks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from stagewise.errors import InputError
from stagewise.pipeline.preflight.context import Context

Verdict = Literal["ok", "note", "warning", "failure", "later"]
Need = Literal["model", "splits"]


@dataclass(frozen=True)
class Finding:
    """A row of the table."""

    found: str
    """A few words."""
    verdict: Verdict = "ok"
    sentence: str = ""
    """What is wrong and the way out, with the key or file; given for warnings and failures."""
    check: str = ""


@dataclass(frozen=True)
class Check:
    """A registered check."""

    name: str
    needs: frozenset[Need]
    """What must be there first."""
    function: Callable[[Context], Iterable[Finding]]


CHECKS: list[Check] = []
"""Every check, in the order of the table."""


def check(name: str, *needs: Need):
    """Register a generator of findings. It may raise `InputError`, which is a failure."""

    def register(function):
        CHECKS.append(Check(name, frozenset(needs), function))
        return function

    return register


def run_check(each: Check, context: Context) -> Iterator[Finding]:
    """Run one check: its findings under its name, one that says what it waits for, or its refusal."""
    missing = [need for need in sorted(each.needs) if not context.has(need)]
    if missing:
        yield Finding(f"waits for the {' and the '.join(missing)}", "later", check=each.name)
        return
    try:
        for finding in each.function(context):
            yield Finding(finding.found, finding.verdict, finding.sentence, each.name)
    except InputError as error:
        yield Finding("refused", "failure", str(error), each.name)
