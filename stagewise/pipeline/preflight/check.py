"""A check, what it reports, and the registry of all checks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from stagewise.errors import InputError
from stagewise.pipeline.preflight.context import Context

Verdict = Literal["ok", "note", "warning", "failure", "later"]
Need = Literal["model", "splits"]
Step = Literal["training", "any"]


@dataclass(frozen=True)
class Finding:
    """A row of the table."""

    found: str
    """A few words."""
    verdict: Verdict = "ok"
    sentence: str = ""
    """The problem and the way out, with the key or file; given for warnings and failures."""
    check: str = ""


@dataclass(frozen=True)
class Check:
    """A registered check."""

    name: str
    needs: frozenset[Need]
    """Files that must be there first."""
    step: Step
    """``training`` if only trainings need what is checked."""
    function: Callable[[Context], Iterable[Finding]]
    each_model: bool
    """True if it is done for each base model of the arms."""


WAITS = "waits for the "

CHECKS: list[Check] = []
"""Every check, in the order of the table."""


def check(name: str, *needs: Need, step: Step = "any", each_model: bool | None = None):
    """Register a generator of findings. It may raise `InputError`, which is a failure.

    What needs the model is done for each base model of the arms, unless `each_model` says otherwise.
    """

    def register(function):
        of_model = "model" in needs if each_model is None else each_model
        CHECKS.append(Check(name, frozenset(needs), step, function, of_model))
        return function

    return register


def run_check(each: Check, context: Context) -> Iterator[Finding]:
    """Run one check: its findings under its name, one that says what it waits for, or its refusal.

    With several base models a finding about one of them names it.
    """
    contexts = context.by_model if each.each_model and each.needs and context.has("model") else [context]
    for one in contexts:
        for finding in _findings(each, one):
            if len(contexts) > 1:
                sentence = finding.sentence and f"{finding.sentence} (base model {one.model})"
                finding = replace(finding, found=f"{one.model}: {finding.found}", sentence=sentence)
            yield finding


def _findings(each: Check, context: Context) -> Iterator[Finding]:
    missing = [need for need in sorted(each.needs) if not context.has(need)]
    if missing:
        yield Finding(WAITS + " and the ".join(missing), "later", check=each.name)
        return
    if each.step == "training" and not context.trainings:
        yield Finding("not needed, nothing is trained", check=each.name)
        return
    can_fail = each.step == "any" or not context.nothing_to_train
    try:
        for finding in each.function(context):
            verdict = "warning" if finding.verdict == "failure" and not can_fail else finding.verdict
            yield Finding(finding.found, verdict, finding.sentence, each.name)
    except InputError as error:
        yield Finding("refused", "failure" if can_fail else "warning", str(error), each.name)
