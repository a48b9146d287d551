"""Costs of commands, sides that take turns, and ratios of their medians."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stagewise.errors import InputError

ROOT = Path(__file__).resolve().parents[1]

Figures = dict
"""Figures of one run by name: ``wall_seconds``, ``cpu_seconds``, ``peak_mb`` and what its part adds."""


@dataclass(frozen=True)
class Run:
    """Cost and output of a command."""

    wall_seconds: float
    cpu_seconds: float
    """Of all its threads and of the processes that it waited for; a busy neighbour hardly changes it."""
    peak_mb: float
    """Peak memory of its largest process, MB of 10⁶ bytes; at least that of the process that started it."""
    output: str
    """Its standard output."""

    @property
    def costs(self) -> Figures:
        """Costs, rounded for a record."""
        return {
            "wall_seconds": round(self.wall_seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "peak_mb": round(self.peak_mb),
        }


def run_command(command: list, folder: Path = ROOT, without: Iterable[str] = (), **environment: str) -> Run:
    """Run a command to its end and measure it.

    `environment` is added to this process's, of which `without` is left out.

    Raises
    ------
    InputError
        If it fails; the message has the end of its standard error.
    """
    command = [str(word) for word in command]
    # The workflow's commands call `python`: this one.
    inherited = {name: value for name, value in os.environ.items() if name not in set(without)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = inherited | {"PATH": path} | environment
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        for stream in (out, err):
            stream.seek(0)
        if process.returncode:
            raise InputError(f"{' '.join(command)} ended with {process.returncode}:\n{err.read()[-2000:]}")
        return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, out.read())


@dataclass
class Progress:
    """Lines on what is measured, how far it is and how long it may still take."""

    part: str
    budget: float
    """Seconds that the part may take."""
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds of the budget that are left; negative if it is overdrawn."""
        return self.budget - (time.monotonic() - self.started)

    def say(self, text: str) -> None:
        """Print a line on standard error."""
        print(f"[{self.part}] {text}; at most {max(self.left, 0) / 60:.1f} min left", file=sys.stderr, flush=True)


def alternate(
    sides: Mapping[str, Callable[[int], Figures]], rounds: int, progress: Progress, needed_rounds: int = 1
) -> dict[str, list[Figures]]:
    """Measure sides in turn, A B A B, so that what changes on the machine meanwhile changes both.

    Parameters
    ----------
    sides
        Function by name that measures the side once; it gets the number of the round.
    rounds
        Rounds at most. A round that would overdraw the budget is left out, but for the first `needed_rounds`.

    Returns
    -------
    Figures of every run, by side.
    """
    runs: dict[str, list[Figures]] = {name: [] for name in sides}
    for number in range(rounds):
        started = time.monotonic()
        for name, measure in sides.items():
            figures = measure(number)
            runs[name].append(figures)
            shown = ", ".join(form.format(figures[key]) for key, form in SHOWN.items() if key in figures)
            progress.say(f"round {number + 1} of {rounds}: {name}: {shown}")
        if number + 1 >= needed_rounds and time.monotonic() - started > progress.left:
            break
    return runs


SHOWN = {"wall_seconds": "{:.1f} s wall", "cpu_seconds": "{:.1f} s CPU", "tokens_per_second": "{:.0f} tokens/s"}
"""Figures of a progress line."""


def median(runs: list[Figures], figure: str) -> float:
    """Median of a figure over runs."""
    return statistics.median(run[figure] for run in runs)


def ratio(runs: dict[str, list[Figures]], side: str, to: str, figure: str) -> float:
    """Ratio of the medians of a figure: how many times as much `side` has as `to`."""
    return median(runs[side], figure) / median(runs[to], figure)
