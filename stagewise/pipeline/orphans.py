"""Steps of a killed run that go on without it, here or as Slurm jobs: which there are, and what becomes of them."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from stagewise.errors import InputError
from stagewise.pipeline.run_claims import Run
from stagewise.pipeline.slurm_jobs import SlurmJob, cancel_jobs, jobs_of_run
from stagewise.provenance.processes import Process, all_processes, ancestors, end_processes

RUN_VARIABLE = "STAGEWISE_RUN"
"""Environment variable with the run's id: how a step is known to be of a run that is dead."""

PREFLIGHT_RULE = "run_preflight"

PATIENCE = 60
"""Seconds for a step to save its work after SIGTERM."""


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class PlannedStep:
    """A step that can start at once: everything that it is made from is there."""

    comment: str
    """As the Slurm executor describes it: rule and wildcards, or the group that it is in."""
    words: tuple[str, ...]
    """Its command line, from the script's name on; empty if it waits for another one of its group."""


def planned_steps(dag) -> list[PlannedStep]:
    """Read from Snakemake's plan which steps can start at once, but for the preflight, which nothing is made from."""

    def awaited(job) -> set:
        return {j for j in dag.dependencies[job] if dag.needrun(j) and j.name != PREFLIGHT_RULE}

    steps = []
    for job in dag.needrun_jobs():
        group = dag.get_job_group(job)
        jobs = group.jobs if group else [job]
        if not job.is_shell or not set().union(*map(awaited, jobs)).issubset(jobs):
            continue
        words = () if awaited(job) else step_words(shlex.split(job.shellcmd))
        steps.append(PlannedStep(_slurm_comment(group or job), words))
    return steps


def _slurm_comment(job) -> str:
    wildcards = "" if job.is_group() else "_".join(job.wildcards).replace("/", "_")
    return f"rule_{job.name}" + (f"_wildcards_{wildcards}" if wildcards else "")


def step_words(words: list[str]) -> tuple[str, ...]:
    """Cut a step's own words out of a command line: ``scripts.predict --settings …``; empty if it runs no step."""
    start = next((i for i, word in enumerate(words) if word.startswith("scripts.") and words[i - 1] == "-m"), None)
    if start is None:
        return ()
    end = words.index("2>&1", start) if "2>&1" in words[start:] else len(words)
    return tuple(words[start:end])


@dataclass(frozen=True)
class Orphan:
    """A step of a killed run that goes on on this machine."""

    words: tuple[str, ...]
    processes: tuple[Process, ...]

    @property
    def is_alive(self) -> bool:
        return any(process.is_alive for process in self.processes)

    @property
    def is_stopped(self) -> bool:
        return any(process.is_stopped for process in self.processes)

    def __str__(self) -> str:
        name = self.words[0].removeprefix("scripts.") if self.words else "a step"
        output = self.words[self.words.index("--output") + 1] if "--output" in self.words[:-1] else ""
        return f"{name} {output} (process {self.processes[0].pid})".replace("  ", " ")


def find_orphans(runs: Iterable[Run]) -> list[Orphan]:
    """Find the steps of killed runs that go on on this machine, each with all its processes."""
    runs = {run.id: run for run in runs}
    mine = {os.getpid(), *(process.pid for process in ancestors(os.getpid()))}
    others = {process.pid: process for process in all_processes() if process.pid not in mine}
    left = {pid: process for pid, process in others.items() if _belongs(process, runs)}
    # A container cleans the environment of what runs in it.
    started = {pid: process for pid, process in others.items() if _root(process, others, left) is not None}
    left |= {pid: process for pid, process in started.items() if process.state != "Z"}
    steps: dict[int, list[Process]] = {}
    for process in left.values():
        steps.setdefault(_root(process, others, left), []).append(process)
    orphans = []
    for processes in steps.values():
        words = next((words for process in processes if (words := step_words(process.command))), ())
        orphans.append(Orphan(words, tuple(processes)))
    return orphans


def _belongs(process: Process, runs: dict[str, Run]) -> bool:
    environment = process.environment
    run = runs.get(environment.get(RUN_VARIABLE, ""))
    # Within another Slurm job than the run's own it is a job that the run submitted.
    return run is not None and process.state != "Z" and environment.get("SLURM_JOB_ID") == run.slurm_job


def _root(process: Process, others: dict[int, Process], left: dict[int, Process]) -> int | None:
    """Find the outermost of `left` among a process and those that started it; None if there is none."""
    root = None
    walked = set()
    while process and process.pid not in walked:
        root = process.pid if process.pid in left else root
        walked.add(process.pid)
        process = others.get(process.parent)
    return root


def settle_orphans(runs: list[Run], planned: list[PlannedStep]) -> bool:
    """Wait for the steps of killed runs that are wanted, and end the others.

    Returns
    -------
    True if there were any, so that a plan made before has to be made again.
    """
    for run in runs:
        if not run.was_here and not run.slurm_run:
            say(f"warning: steps of {run} may go on there, out of this machine's sight; make sure that none does")
    wanted_words = {step.words for step in planned} - {()}
    orphans = find_orphans(runs)
    unwanted = [orphan for orphan in orphans if orphan.words not in wanted_words or orphan.is_stopped]
    wanted = [orphan for orphan in orphans if orphan not in unwanted]
    for orphan in unwanted:
        say(f"an interrupted run left {orphan}: ended, since this run makes something else")
    end_processes([process for orphan in unwanted for process in orphan.processes], PATIENCE)
    for orphan in wanted:
        say(
            f"an interrupted run left {orphan}: waiting for its result; Ctrl-C stops waiting, "
            f"`kill {orphan.processes[0].pid}` ends it"
        )
    wait_until(lambda: not any(o.is_alive and not o.is_stopped for o in wanted), "the interrupted run's steps")
    end_processes([process for orphan in wanted for process in orphan.processes], PATIENCE)  # if it was stopped
    submitted = [settle_slurm_jobs(run, {step.comment for step in planned}) for run in runs if run.slurm_run]
    return bool(orphans) or any(submitted)


def settle_slurm_jobs(run: Run, wanted: set[str], every: float = 10) -> bool:
    """Cancel a killed run's jobs that wait in Slurm's queue or that nobody wants, and wait for the others.

    Returns
    -------
    True if there were any.

    Raises
    ------
    InputError
        If Slurm does not say which there are.
    """
    jobs = jobs_of_run(run.slurm_run)
    if jobs is None:
        raise InputError(
            f"Slurm does not answer, and jobs of an interrupted run may still write here; "
            f"`squeue --name {run.slurm_run}` lists them: give the command again when Slurm answers"
        )
    if not jobs:
        return False
    stay = [job for job in jobs if job.is_running and job.comment in wanted]
    gone = [job for job in jobs if job not in stay]
    if gone:
        say(f"cancelled, left by an interrupted run: {_named(gone)}")
    cancel_jobs(gone)
    if stay:
        say(
            f"an interrupted run left {_named(stay)}: waiting for the result; Ctrl-C stops waiting, "
            f"`scancel {' '.join(job.id for job in stay)}` ends it"
        )
    # A cancelled job takes a while to end, and what is not wanted must not write meanwhile.
    wait_until(lambda: jobs_of_run(run.slurm_run) == [], "the interrupted run's Slurm jobs", every)
    return True


def _named(jobs: list[SlurmJob]) -> str:
    return ", ".join(f"Slurm job {job.id} ({job.comment})" for job in jobs)


def wait_until(is_over: Callable[[], bool], what: str, every: float = 0.5) -> None:
    """Wait, and say once a minute that this goes on."""
    started = said = time.monotonic()
    while not is_over():
        time.sleep(every)
        if (now := time.monotonic()) - said >= 60:
            said = now
            say(f"still waiting for {what}, {(now - started) / 60:.0f} min")
