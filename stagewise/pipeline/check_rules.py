"""Comparison of the rules with the declared artifacts: a file that only one of them lists would be made again for no
reason, or never."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from stagewise.errors import InputError
from stagewise.pipeline.artifact import DECLARATIONS, Artifact

SAMPLED = 4
"""Artifacts of each rule that are compared in a plan: rules are the same for all of them."""


def check_rules(rules: Iterable, artifacts: Iterable[Artifact], sampled: int | None = SAMPLED) -> None:
    """Refuse rules and declarations that do not agree.

    Parameters
    ----------
    rules
        Snakemake's rules.
    artifacts
        Everything that is declared.
    sampled
        Compare so many artifacts of each rule; None compares all.

    Raises
    ------
    InputError
        For a rule with outputs that no artifact declares, or an artifact whose rule lists other files.
    """
    declared: dict[str, list[Artifact]] = defaultdict(list)
    for artifact in artifacts:
        declared[artifact.rule].append(artifact)
    by_name = {rule.name: rule for rule in rules}
    for rule in by_name.values():
        if list(rule.output) and rule.name not in (declared.keys() | DECLARATIONS.keys()):
            raise InputError(
                f"rule {rule.name}: no artifact declares what it makes, so nothing would make it again when its "
                "settings change; declare it in stagewise/pipeline/artifacts.py (docs/extending.md)"
            )
    for name, members in declared.items():
        if name not in by_name:
            raise InputError(f"artifacts of rule '{name}' are declared, but there is no such rule; add it to rules/")
        for artifact in members if sampled is None else members[: sampled // 2] + members[-(sampled // 2) :]:
            _compare(by_name[name], artifact)


def _compare(rule, artifact: Artifact) -> None:
    try:
        wildcards = rule.get_wildcards(str(artifact.outputs[0]))
    except Exception:  # Snakemake's own kinds of errors, for a path that no pattern of the rule gives
        wildcards = None
    if wildcards is None:
        raise InputError(f"rule {rule.name}: does not list {artifact.outputs[0]}, which is declared; make them agree")
    listed = {
        "output": rule.expand_output(wildcards)[0],
        "input": rule.expand_input(wildcards)[0],
    }
    for kind, files in (("output", artifact.outputs), ("input", artifact.inputs)):
        differ = {Path(str(file)) for file in listed[kind]} ^ set(map(Path, files))
        if differ:
            path = sorted(differ)[0]
            where, other = ("its declaration", "the rule") if path in files else ("the rule", "its declaration")
            raise InputError(
                f"rule {rule.name}: {path} is an {kind} in {where} and not in {other}; make rules/ and "
                "stagewise/pipeline/artifacts.py agree"
            )
