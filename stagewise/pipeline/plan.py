"""Preparation of a plan: check the rules, mark stale outputs, and say the reasons."""

import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.errors import InputError
from stagewise.inference.template import Template
from stagewise.pipeline.artifact import Artifact
from stagewise.pipeline.check_rules import check_rules
from stagewise.pipeline.experiment import Experiment
from stagewise.pipeline.freshness import Verdict, explain, settle
from stagewise.provenance.checksums import ChecksumMemory
from stagewise.provenance.code import ProjectCode
from stagewise.provenance.files import read_json
from stagewise.provenance.packages import mixed_versions, package_versions


def open_experiment(config: Config, declared: Config, image: str | None, definition: Path) -> Experiment:
    """Open an experiment for a plan, with the checksums that earlier plans remembered.

    Parameters
    ----------
    config, declared
        The configuration with its compute type resolved, and as the user wrote it.
    image
        SHA-256 of the container image that steps run in, if they do.
    definition
        File that steps without any input depend on.
    """
    checksums = ChecksumMemory()
    return Experiment(config, declared, image, definition, checksums, ProjectCode(checksums))


def prepare_plan(
    experiment: Experiment, artifacts: list[Artifact], rules: Iterable | None, dry_run: bool = False
) -> dict[Path, int]:
    """Compare rules and declarations, make file times tell what content says, and say why outputs are stale.

    Parameters
    ----------
    rules
        Snakemake's; None leaves them uncompared.
    dry_run
        True writes nothing but the checksums that the next plan may remember.

    Returns
    -------
    Times, in nanoseconds, that the files should have and that were not written: Snakemake is to take them instead.

    Raises
    ------
    InputError
        If a rule and the declarations do not agree, or a prompt file and its task.
    """
    _check_prompt_files(experiment.config)
    if rules is not None:
        check_rules(rules, artifacts)
    unwritten: dict[Path, int] = {}
    verdicts = settle(artifacts, None if dry_run else experiment.checksum.set_time, unwritten)
    _refuse_missing_inputs(artifacts, verdicts)
    for line in [*explain(verdicts), *_mixed_packages(artifacts, verdicts)]:
        print(line, file=sys.stderr)
    experiment.checksum.save()
    experiment.code.save()
    return unwritten


def _check_prompt_files(config: Config) -> None:
    """Refuse a prompt that shows another task's fields, or lacks one; Snakemake says if a file is missing."""
    for task in config.active_tasks.values():
        if Path(task.prompt).is_file():
            Template.read(task.prompt, task.variables)


def check_own_folder(path) -> None:
    """Refuse a folder that Snakemake cannot write to: it keeps its records there, in a dry run as well.

    Raises
    ------
    InputError
        After the reasons why outputs are stale have been said, which is what a dry run is for.
    """
    path = Path(path)
    there = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    if not os.access(there, os.W_OK):
        raise InputError(
            f"{path}: cannot be written, and Snakemake keeps its records there, for -n as well; what is stale by its "
            "content stands above, and to list jobs work on a copy that you can write to"
        )


def _refuse_missing_inputs(artifacts: list[Artifact], verdicts: list[Verdict]) -> None:
    """Refuse to plan if a stale output needs a file that is neither there nor made by any rule.

    Snakemake would not make the output again, and what is made from it would be taken for new.
    """
    made = {path for artifact in artifacts for path in artifact.outputs}
    for verdict in verdicts:
        missing = [path for path in verdict.artifact.inputs if verdict.reasons and path not in made]
        for path in missing:
            if not path.exists():
                raise InputError(
                    f"{path}: no such file, and {verdict.artifact.label} is to be made from it "
                    f"({verdict.reasons[0]}); put it there or correct the configuration"
                )


def phase_files(artifacts: Iterable[Artifact]) -> dict[str, list[str]]:
    """List the files of each phase, by the name of the rule that asks for them."""
    files: dict[str, list[str]] = defaultdict(list)
    for artifact in artifacts:
        files[artifact.phase_target] += map(str, artifact.outputs)
    return files


def _mixed_packages(artifacts: list[Artifact], verdicts: list[Verdict]) -> list[str]:
    """Warn if what is made now stands beside results of other package versions."""
    stale = {id(verdict.artifact) for verdict in verdicts}
    if not stale:
        return []
    made: dict[str, dict[str, str]] = {}
    for artifact in artifacts:
        if artifact.packages is None or id(artifact) in stale:
            continue
        try:
            facts = read_json(artifact.packages, "a finished output")
            parts = facts.get("scoring", {}).items()  # of predictions, if not all files were made with the same ones
            by_part = {f"{artifact.label}/{name}": part["packages"] for name, part in parts if part.get("packages")}
            made |= by_part or {artifact.label: facts["packages"] or {}}
        except (InputError, OSError, LookupError, TypeError, AttributeError):
            continue
    return [f"warning: {sentence}" for sentence in mixed_versions(made, package_versions())]
