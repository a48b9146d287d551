"""Start of a run after another one, which may live, have ended, or have been killed.

A run that starts takes the claims on its folders. If a run before it was killed (Snakemake alone, say, by ``kill -9``
or for want of memory), steps of that run may go on, here or as Slurm jobs. Those whose result the new run would make by
the same command are waited for, so that no work is lost; the others are ended, so that none of them replaces a new
result by an old one. A training that is ended goes on from its last checkpoint when it is wanted again.
"""

import atexit
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

from stagewise.errors import InputError
from stagewise.pipeline.orphans import RUN_VARIABLE, PlannedStep, say, settle_orphans, wait_until
from stagewise.pipeline.run_claims import Claim, Run, keep_alive
from stagewise.provenance.memory import FOLDER


class RunStart:
    """Start of a run, from the moment when its plan begins until its first step.

    Parameters
    ----------
    targets
        Folders that the run writes to.
    """

    def __init__(self, targets: Iterable):
        self.claims = [Claim(target) for target in sorted(map(str, targets))]
        self.seen = self._last_runs()
        self.run: Run | None = None
        for run in self._runs():
            if run.was_here and not run.ended:
                state = "goes on" if run.process.is_alive else "was interrupted"
                say(f"note: a run {state} here: {run}")

    def begin(
        self,
        planned: Callable[[], list[PlannedStep]],
        slurm_run: str | None = None,
        started_elsewhere: bool = False,
    ) -> None:
        """Take the claims until this process ends; see to what a killed run left.

        If anything had to be waited for, this process starts again with the same command, to plan by what is there now.

        Parameters
        ----------
        planned
            Gives the steps that can start at once.
        slurm_run
            Name of all Slurm jobs that the run will submit.
        started_elsewhere
            The process has changed its folder, so that the paths of its command are not valid any more.

        Raises
        ------
        InputError
            If another run holds one of the folders, or this process cannot be started again.
        """
        refuse_foreign_locks()
        waited = self._take_claims()
        is_outdated = waited or self._last_runs() != self.seen
        killed = self._killed_runs()
        self.run = replace(Run.of_this_process(), slurm_run=slurm_run, unfinished=list(map(asdict, killed)))
        self._write()
        atexit.register(self.end)
        keep_alive(self.claims)
        if killed:
            is_outdated |= settle_orphans(killed, planned())
            self.run = replace(self.run, unfinished=[])
            self._write()
        if is_outdated:
            self.end()
            start_again(started_elsewhere)
        os.environ[RUN_VARIABLE] = self.run.id

    def end(self) -> None:
        """Write down that the run ended by itself; what it had not seen to yet stays written."""
        self.run = replace(self.run, ended=True)
        self._write()

    def _take_claims(self) -> bool:
        """Take every claim; return whether another run had to be waited for."""
        waited = False
        for claim in self.claims:
            if claim.take():
                continue
            holder = claim.holder()
            if holder is None or not holder.lost_its_starter:
                way_out = f", or end it with `kill -INT {holder.pid}`" if holder and holder.was_here else ""
                raise InputError(
                    f"{claim.target}: {holder or 'another run'} makes this now; wait for it{way_out}, "
                    "and give the command again"
                )
            say(
                f"{claim.target}: waiting for {holder}, which goes on although what had started it is gone; "
                f"Ctrl-C stops waiting, `kill -INT {holder.pid}` ends it"
            )
            wait_until(claim.take, "that run")
            waited = True
        return waited

    def _killed_runs(self) -> list[Run]:
        """List the last holders of the claims that did not end properly, and what they in turn had not seen to."""
        runs = self._runs()
        killed = {run.id: run for run in runs if not run.ended}
        killed |= {values["id"]: Run.parse(values) for run in runs for values in run.unfinished}
        return [replace(run, unfinished=[]) for run in killed.values()]

    def _runs(self) -> list[Run]:
        runs = {run.id: run for claim in self.claims if (run := claim.read())}
        return list(runs.values())

    def _last_runs(self) -> set[tuple[str, bool]]:
        return {(run.id, run.ended) for run in self._runs()}

    def _write(self) -> None:
        for claim in self.claims:
            claim.write(self.run)


def refuse_foreign_locks(folder: Path = FOLDER / "locks") -> None:
    """Refuse to run beside Snakemake's own locks: nothing is known of their writer, since our runs leave none.

    Raises
    ------
    InputError
        If there are any.
    """
    if any(folder.glob("*.lock")):
        raise InputError(
            f"{folder}: locked by a Snakemake that was started without profiles/default or by an older version, and "
            "whether it lives is not known; make sure that none runs here, then `snakemake --unlock`"
        )


def start_again(started_elsewhere: bool) -> None:
    """Replace this process by a new one with the same command.

    Raises
    ------
    InputError
        If that is not possible: started in another folder, or not by the command ``snakemake``.
    """
    by_command = "snakemake" in Path(sys.argv[0]).name or sys.argv[0].endswith("snakemake/__main__.py")
    if started_elsewhere or not by_command:
        raise InputError("what an earlier run was doing here has ended since this one was planned; start it again")
    say("planned again, by what is there now")
    sys.stdout.flush()
    os.environ.pop(RUN_VARIABLE, None)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
