"""Run every check and print a short table."""

import sys
from dataclasses import replace

from stagewise.pipeline.preflight import (
    layers,
    machine,
    memory,
    packages,
    probes,
    prompts,
    report,
    schedule,
    sources,
    splits,
)
from stagewise.pipeline.preflight.check import CHECKS, WAITS, Finding, run_check
from stagewise.pipeline.preflight.context import Context
from stagewise.provenance.files import write_json

# Importing a module registers its checks.
MODULES = (sources, packages, machine, report, splits, schedule, layers, memory, prompts, probes)

_ORDER = [module.__name__ for module in MODULES]


def run_preflight(context: Context, record=None) -> int:
    """Check an experiment, and print a table and a sentence for each warning and failure on standard error.

    Parameters
    ----------
    record
        JSON file to write if nothing failed: the findings, for the steps that wait for it.

    Returns
    -------
    Exit code: 0, or 2 if a check failed.
    """
    findings = find(context)
    for line in (*table(context.config.experiment, findings), *sentences(findings)):
        print(line, file=sys.stderr)
    if any(finding.verdict == "failure" for finding in findings):
        return 2
    if record is not None:
        rows = [{"check": f.check, "verdict": f.verdict, "found": f.found} for f in findings]
        write_json(record, {"experiment": context.config.experiment, "checks": rows})
    return 0


def find(context: Context) -> list[Finding]:
    """Run every check; a refusal that several of them meet is said once."""
    checks = sorted(CHECKS, key=lambda each: _ORDER.index(each.function.__module__))
    return _once([finding for each in checks for finding in run_check(each, context)])


def _once(findings: list[Finding]) -> list[Finding]:
    said, kept = set(), []
    for finding in findings:
        if finding.sentence in said:
            finding = replace(finding, found="see above", verdict="later", sentence="")
        said |= {finding.sentence} - {""}
        kept.append(finding)
    return kept


def table(experiment: str, findings: list[Finding]) -> list[str]:
    """Lay the findings out in columns: check, verdict, what was found; those that wait for the same share a row."""
    waiting: dict[str, list[str]] = {}
    rows = []
    for finding in findings:
        if finding.found.startswith(WAITS):
            waiting.setdefault(finding.found, []).append(finding.check)
        else:
            rows.append((finding.check, finding.verdict, finding.found))
    rows += [("not yet", "later", f"{', '.join(checks)}: {found}") for found, checks in waiting.items()]
    names, verdicts = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines, last = [f"preflight of {experiment}"], None
    for name, verdict, found in rows:
        lines.append(f"  {'' if name == last else name:<{names}}  {verdict:<{verdicts}}  {found}")
        last = name
    return lines


def sentences(findings: list[Finding]) -> list[str]:
    """List what to do: warnings, then failures, each in a sentence."""
    return [f"warning: {finding.sentence}" for finding in findings if finding.verdict == "warning"] + [
        f"error: {finding.sentence}" for finding in findings if finding.verdict == "failure"
    ]
