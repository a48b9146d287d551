"""Start a run, have it killed at a point, give the same command again, and compare with an undisturbed run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from stagewise.provenance.files import read_json
from tests.cluster.compare import PAGES, content, files
from tests.dvc.conftest import Project
from tests.kill.points import FINAL, FIRST, STEPS, KillPoint

INJECT = Path(__file__).parent / "inject"
COMMANDS = {"snakemake": ("snakemake", "--cores", "2"), "dvc": ("dvc", "repro")}
PATIENCE = 600
"""Seconds for one command, on a busy machine."""


@dataclass
class Outcome:
    """What became of a run that was killed at a point."""

    point: KillPoint
    killed: int | None
    """Exit code of the killed command; negative for a signal."""
    repetitions: list[int]
    """Exit codes of the same command, given again until one is 0, at most three times."""
    different: list[str]
    """Results that differ from those of the undisturbed run."""
    left: list[str]
    """Processes that are still there."""
    output: str

    @property
    def is_good(self) -> bool:
        return self.killed != 0 and self.repetitions == [0] and not self.different and not self.left

    @property
    def row(self) -> str:
        """Line of the final table."""
        equal = "equal" if not self.different else f"differ: {' '.join(self.different[:3])}"
        left = f", left: {len(self.left)} processes" if self.left else ""
        return f"{self.point!s:60} | {self.killed!s:>4} | {' '.join(map(str, self.repetitions)):10} | {equal}{left}"


def without_outputs(reference: Project, path: Path, step: str, removed: tuple[str, ...] = ()) -> Project:
    """Copy a finished project without the outputs of a step, what the cache has of them, and what is `removed`."""
    project = reference.copy(path)
    outputs = [*FINAL, *STEPS[step], *removed]
    if step == "train_adapter":
        outputs.append(f"out/checkpoints/{read_json(path / FIRST / 'recipe.json', 'the recipe')['fingerprint'][:16]}")
    if step == "merge_adapters":
        recipe = path / Path(STEPS[step][0]).parent / "recipe.json"
        outputs.append(f"out/checkpoints/{read_json(recipe, 'the recipe')['fingerprint'][:16]}")
    for name in outputs:
        target = path / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    return project


def kill_and_repeat(reference: Project, path: Path, point: KillPoint) -> Outcome:
    """Kill a run at a point, and give the same command again until it ends well."""
    project = without_outputs(reference, path, point.step, point.removed)
    mark = path.parent / "killed.json"
    where = {key: getattr(point, key) for key in ("event", "path", "count", "victim", "linger")}
    where |= {"process": point.where, "mark": str(mark)}
    injected = {"PYTHONPATH": str(INJECT), "STAGEWISE_KILL_POINT": json.dumps(where)}
    output = path / "output.txt"
    killed = run(project, COMMANDS[point.tool], output, **injected)
    if not mark.exists():
        return Outcome(point, killed, [], ["never killed"], [], output.read_text(errors="replace"))
    if point.lost:
        cut(project, point.lost)
    repetitions: list[int] = []
    while len(repetitions) < 3 and 0 not in repetitions:
        repetitions.append(run(project, COMMANDS[point.tool], output))
    left = still_there(path)
    different = differences(reference.path / "out", path / "out")
    return Outcome(point, killed, repetitions, different, left, output.read_text(errors="replace"))


def run(project: Project, command: tuple[str, ...], output: Path, **variables: str) -> int:
    """Run a command to its end in a session of its own; its steps may survive it."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    with open(output, "ab") as handle:
        process = subprocess.Popen(
            command,
            cwd=project.path,
            env=environment | variables,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
        )
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()


def cut(project: Project, patterns: tuple[str, ...]) -> None:
    """Cut files in half, and leave nothing of every third one."""
    paths = sorted(path for pattern in patterns for path in project.path.glob(pattern) if path.is_file())
    for number, path in enumerate(paths):
        whole = path.read_bytes()
        path.unlink()  # a second name of it, in the cache, keeps its content unless it is listed as well
        path.write_bytes(whole[: len(whole) // 2] if number % 3 else b"")


def differences(expected: Path, actual: Path) -> list[str]:
    """Name the results that differ or are missing; wall times may differ, and pages, which show them, are left out."""
    one, other = files(expected), files(actual)
    names = {name for name in one.keys() | other.keys() if not name.startswith(PAGES)}
    return sorted(
        name
        for name in names
        if name not in one or name not in other or content(name, one[name]) != content(name, other[name])
    )


def still_there(folder: Path, patience: float = 10) -> list[str]:
    """Command lines of processes that work in a folder, after some seconds for them to end."""
    end = time.monotonic() + patience
    while (left := _working_in(folder)) and time.monotonic() < end:
        time.sleep(0.2)
    return left


def _working_in(folder: Path) -> list[str]:
    lines = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve() == folder.resolve() and (command := (entry / "cmdline").read_bytes()):
                lines.append(command.decode(errors="replace").replace("\0", " "))
        except OSError:
            continue
    return lines
