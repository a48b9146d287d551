"""Slurm jobs of a run: which there are, and their end."""

import subprocess
from dataclasses import dataclass

PATIENCE = 60
"""Seconds until a command of Slurm is given up; its controller may be busy."""
# States of jobs that use a node; of the others, squeue's default list has only those that will.
RUNNING = {"RUNNING", "COMPLETING", "STOPPED", "SUSPENDED", "SIGNALING", "STAGE_OUT", "CONFIGURING"}


@dataclass(frozen=True)
class SlurmJob:
    """A job that waits or runs."""

    id: str
    state: str
    comment: str
    """The executor's: rule and wildcards of the step."""

    @property
    def is_running(self) -> bool:
        return self.state in RUNNING


def jobs_of_run(name: str) -> list[SlurmJob] | None:
    """List a run's jobs that have not ended; None if Slurm does not answer.

    Parameters
    ----------
    name
        Name of all jobs of the run, which the executor calls "SLURM run ID".
    """
    lines = _ask("squeue", "--noheader", "--name", name, "--format", "%i|%T|%k")
    if lines is None:
        return None
    return [SlurmJob(*line.split("|", 2)) for line in lines if line.count("|") >= 2]


def cancel_jobs(jobs: list[SlurmJob]) -> None:
    """Cancel jobs."""
    if jobs:
        _ask("scancel", *(job.id for job in jobs))


def _ask(*command: str) -> list[str] | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
