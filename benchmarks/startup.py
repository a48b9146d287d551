"""Start-up: the help of every step, a dry run, and the imports of a training and a prediction.

python -m benchmarks.run startup
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, Figures, Progress, Run, median, run_command
from tests.helpers.project_copy import ProjectCopy

# What the steps that load a model import once they work.
WORK = {
    "train_adapter": "stagewise.training.trainer, trl, datasets, peft",
    "predict": "transformers, peft, stagewise.inference.likelihood",
}
TRIVIAL = """
rule all:
    input: expand("made/{n}", n=range(100))
rule make:
    output: "made/{n}"
    shell: "touch {output}"
"""


def run(folder: Path, settings: dict, progress: Progress) -> dict:
    """Measure each start as often as there are rounds."""
    rounds = settings["rounds"]
    steps = sorted(path.stem for path in (ROOT / "scripts").glob("[a-z]*.py"))
    figures: dict = {"help": {step: repeat(["-m", f"scripts.{step}", "--help"], rounds) for step in steps}}
    progress.say(f"help of {len(steps)} steps")
    figures["imports"] = {step: repeat(["-c", importing(step)], rounds) for step in WORK}
    progress.say("imports of a training and of a prediction")
    with tempfile.TemporaryDirectory() as temporary:
        copy = ProjectCopy(Path(temporary)).path
        plan = ["-m", "snakemake", "-n", "--quiet", "rules", "--cores", "2"]
        figures["dry_run"] = repeat(plan, rounds, copy)
    progress.say("dry run")
    figures["trivial_job"] = trivial_job()
    progress.say("a job that does nothing")
    return figures


def importing(step: str) -> str:
    """Program that imports what a step imports once it works, and prints the number of modules."""
    prepare = "from stagewise.models.torch_environment import before_torch; before_torch()"
    return f"{prepare}; import scripts.{step}, {WORK[step]}, sys; print(len(sys.modules))"


def repeat(arguments: list[str], rounds: int, folder: Path = ROOT) -> Figures:
    """Medians of a Python command's costs over several runs."""
    runs: list[Run] = [run_command([sys.executable, *arguments], folder) for _ in range(rounds)]
    costs = [run.costs for run in runs]
    figures = {figure: round(median(costs, figure), 3) for figure in costs[0]}
    last = runs[-1].output.strip().rpartition("\n")[2]
    return figures | ({"modules": int(last)} if last.isdigit() else {})


def trivial_job() -> Figures:
    """Milliseconds that Snakemake itself takes for each of a hundred jobs that do nothing."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "Snakefile").write_text(TRIVIAL, encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all"]
        plan, jobs = run_command([*command, "--dry-run"], folder), run_command(command, folder)
    return {
        "cpu_ms": round(10 * (jobs.cpu_seconds - plan.cpu_seconds), 1),
        "wall_ms": round(10 * (jobs.wall_seconds - plan.wall_seconds), 1),
    }
