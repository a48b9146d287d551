"""Cost of planning as an experiment grows, and of starting one job, as Markdown tables.

python -m benchmarks.scale                     # takes a quarter of an hour on two cores
python -m benchmarks.scale --adapters 10 100   # a minute or two
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.project_copy import ROOT, ProjectCopy

OVERLAY = "scale.yaml"
# An experiment has (arms + 1) · seeds · folds adapters: in every run all arms share their first stage.
SHAPES = {10: (9, 1, None), 100: (9, 10, None), 1000: (9, 10, 10), 5000: (49, 10, 10)}
STEPS = ["fetch_data", "fetch_model", "make_splits", "write_recipe", "train_adapter", "merge_adapters", "predict"]
STEPS += ["metrics", "report"]
# What the steps that load a model import once they work.
HEAVY = {
    "train_adapter": "stagewise.training.trainer",
    "predict": "transformers, peft, stagewise.inference.likelihood",
}
# The configuration's check, the lineage tree, and every adapter's settings as the rules pass them on.
OWN = f"""
import time
from stagewise.config.load_config import load
from stagewise.lineage import lineage_tree
from stagewise.pipeline.build_recipe import recipe_settings
started = time.process_time()
config = load("config.yaml", "{OVERLAY}")
for adapter in lineage_tree(config).values():
    recipe_settings(config, adapter).model_dump_json(exclude_defaults=True)
print(time.process_time() - started)
"""
TRIVIAL = """
rule all:
    input: expand("made/{n}", n=range(100))
rule make:
    output: "made/{n}"
    shell: "touch {output}"
"""


def overlay(arms: int, seeds: int, folds: int | None) -> dict:
    """The default experiment in so many arms, seeds and folds."""
    values: dict = {"seeds": list(range(seeds)), "arms": {"sequential": None, "rehearsal": None}}
    if folds:
        values |= {"folds": list(range(folds)), "tasks": {"pubmedqa": {"split": "official"}}}
    for number in range(arms):
        remedies = {"anchor": {"strength": (number + 1) / 100}}
        values["arms"][f"arm{number}"] = {"stages": [{"task": "pubmedqa"}, {"task": "dreaddit", "remedies": remedies}]}
    return values


@dataclass
class Run:
    """Cost and output of a command."""

    wall: float
    cpu: float
    """Seconds of all its threads and processes that it waited for; a busy neighbour does not change it."""
    memory: float
    """Peak of its largest process, MB."""
    output: str


def measured(command: list[str], folder: Path) -> Run:
    """Run a command that must succeed."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        for stream in (out, err):
            stream.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{err.read()[-2000:]}")
        return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.read())


def snakemake(space: ProjectCopy, *arguments: str) -> Run:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, "--configfile", OVERLAY]
    return measured(command, space.path)


def planning(sizes: list[int]) -> None:
    """CPU time, wall time and memory of a dry run, with nothing made yet and with all there (`stub_experiment`)."""
    head = ["adapters", "jobs", "our plan", "nothing made: CPU", "per further job", "wall", "memory"]
    head += ["all there: CPU", "wall", "memory"]
    print(f"| {' | '.join(head)} |\n|{'---:|' * len(head)}")
    first: tuple[int, float] | None = None
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            space = ProjectCopy(Path(folder))
            space.write(OVERLAY, overlay(*SHAPES[size]))
            plan = float(measured([sys.executable, "-c", OWN], space.path).output)
            new = snakemake(space, "-n", "--quiet", "rules")
            shutil.copy(ROOT / "benchmarks" / "stub_experiment.py", space.path)  # beside the package that it imports
            measured([sys.executable, "stub_experiment.py", "config.yaml", OVERLAY], space.path)
            old = snakemake(space, "-n", "--quiet", "rules")
        jobs = planned(new)
        further = f"{1000 * (new.cpu - first[1]) / (jobs - first[0]):.1f} ms" if first else ""
        first = first or (jobs, new.cpu)
        cells = [f"{size:,}", f"{jobs:,}", f"{plan:.2f} s"]
        cells += [f"{new.cpu:.1f} s", further, f"{new.wall:.1f} s", f"{new.memory:.0f} MB"]
        cells += [f"{old.cpu:.1f} s", f"{old.wall:.1f} s", f"{old.memory:.0f} MB"]
        if planned(old):
            raise SystemExit(f"{size} adapters: {planned(old)} jobs are planned where everything is there")
        print(f"| {' | '.join(cells)} |", flush=True)


def planned(run: Run) -> int:
    """Jobs of a dry run."""
    total = re.search(r"^total\s+(\d+)", run.output, re.MULTILINE)
    return int(total[1]) if total else 0


def starting() -> None:
    """Print the cost of one job before it does anything."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Snakefile").write_text(TRIVIAL, encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all"]
        none = measured([*command, "--dry-run"], Path(folder))
        hundred = measured(command, Path(folder))
    each = [10 * (after - before) for before, after in ((none.cpu, hundred.cpu), (none.wall, hundred.wall))]
    print(f"\nA job that does nothing costs Snakemake {each[0]:.0f} ms of CPU, {each[1]:.0f} ms of wall time.\n")
    print("| step | CPU to start | modules | with what its work imports | modules |")
    print("|---|---:|---:|---:|---:|")
    for step in STEPS:
        light, few = imports(f"scripts.{step}")
        cells = "| | |"
        if step in HEAVY:
            heavy, many = imports(f"scripts.{step}, {HEAVY[step]}")
            cells = f"| {heavy:.1f} s | {many:,} |"
        print(f"| {step} | {light:.2f} s | {few:,} {cells}", flush=True)


def imports(modules: str, runs: int = 3) -> tuple[float, int]:
    """Fewest CPU seconds of a Python that imports these and ends, and how many modules it has then."""
    prepare = "from stagewise.models.torch_environment import before_torch; before_torch()"
    code = f"{prepare}; import {modules}, sys; print(len(sys.modules))"
    times, count = [], 0
    for _ in range(runs):
        run = measured([sys.executable, "-c", code], ROOT)
        times, count = [*times, run.cpu], int(run.output)
    return min(times), count


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.split("\n")[0])
    parser.add_argument("--adapters", type=int, nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--no-jobs", action="store_true", help="leave out what starting a job costs")
    args = parser.parse_args(argv)
    planning(args.adapters)
    if not args.no_jobs:
        starting()
    return 0


if __name__ == "__main__":
    sys.exit(main())
