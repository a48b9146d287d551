"""Cost as an experiment grows: planning by adapters, metrics and report by items, arms and seeds, scoring by tokens.

python -m benchmarks.run growth
python -m benchmarks.growth --adapters 1000 5000    # planning of large experiments alone; minutes
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, Figures, Progress, Run, run_command
from benchmarks.records import write_record
from benchmarks.workspace import STAGE, Workspace
from stagewise.errors import InputError, exit_on_input_error
from tests.helpers.project_copy import ProjectCopy

OVERLAY = "growth.yaml"
# (arms, seeds, folds) by adapters, of which there are (arms + 1) · seeds · folds: all arms of a run share stage 1.
SHAPES = {10: (9, 1, None), 100: (9, 10, None), 1000: (9, 10, 10), 5000: (49, 10, 10)}
# (test items, arms, seeds) of made-up results.
RESULTS = [(200, 2, 1), (2000, 2, 1), (200, 20, 1), (200, 20, 3)]
# Times that a text is repeated in every item of the scored set, and the items of it.
REPEATS, ITEMS = (1, 2, 4, 8), 16
# The configuration's check, the lineage tree, and every adapter's settings as the rules pass them on.
PLAN = f"""
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


def run(folder: Path, settings: dict, progress: Progress) -> dict:
    """Measure planning of 10 and 100 adapters, metrics and report, and scoring of longer texts."""
    figures: dict = {"planning": {str(size): measure_planning(size, progress) for size in (10, 100)}}
    figures["results"] = measure_results(RESULTS, progress)
    figures["tokens"] = measure_tokens(folder, settings, progress)
    return figures


def overlay(arms: int, seeds: int, folds: int | None) -> dict:
    """The default experiment in so many arms, seeds and folds."""
    values: dict = {"seeds": list(range(seeds)), "arms": {"sequential": None, "rehearsal": None}}
    if folds:
        values |= {"folds": list(range(folds)), "tasks": {"pubmedqa": {"split": "official"}}}
    for number in range(arms):
        remedies = {"anchor": {"strength": (number + 1) / 100}}
        values["arms"][f"arm{number}"] = {"stages": [{"task": "pubmedqa"}, {"task": "dreaddit", "remedies": remedies}]}
    return values


def measure_planning(size: int, progress: Progress) -> Figures:
    """Measure a dry run of so many adapters with nothing made yet, and with all there (`stub_experiment`).

    Raises
    ------
    InputError
        If jobs are planned although everything is there.
    """
    with tempfile.TemporaryDirectory() as temporary:
        space = ProjectCopy(Path(temporary))
        space.write(OVERLAY, overlay(*SHAPES[size]))
        plan = float(run_command([sys.executable, "-c", PLAN], space.path).output)
        new = dry_run(space)
        shutil.copy(ROOT / "benchmarks" / "stub_experiment.py", space.path)  # beside the package that it imports
        run_command([sys.executable, "stub_experiment.py", "config.yaml", OVERLAY], space.path)
        old = dry_run(space)
    progress.say(f"planning of {size} adapters: {new.cpu_seconds:.1f} s CPU, {old.cpu_seconds:.1f} s with all there")
    if planned_jobs(old):
        raise InputError(f"{size} adapters: {planned_jobs(old)} jobs are planned where everything is there")
    return {
        "jobs": planned_jobs(new),
        "plan_cpu_seconds": round(plan, 3),
        "nothing_made": new.costs,
        "all_there": old.costs,
    }


def dry_run(space: ProjectCopy) -> Run:
    """Let Snakemake plan the experiment."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "-n", "--quiet", "rules", "--configfile", OVERLAY]
    return run_command(command, space.path)


def planned_jobs(run: Run) -> int:
    """Jobs of a dry run."""
    total = re.search(r"^total\s+(\d+)", run.output, re.MULTILINE)
    return int(total[1]) if total else 0


def measure_results(shapes: list[tuple[int, int, int]], progress: Progress) -> list[Figures]:
    """Measure the metrics and report steps on made-up results of so many test items, arms and seeds."""
    from tests.helpers import fake_results, report_experiments

    rows = []
    for items, arms, seeds in shapes:
        with tempfile.TemporaryDirectory() as temporary:
            results, out = Path(temporary, "results"), Path(temporary, "out")
            out.mkdir()
            declared = fake_results.config(**overlay(arms, seeds, None))
            fake_results.write_results(results, declared, sizes={"train": 160, "validation": 60, "test": items})
            for lineage, adapter in report_experiments.lineage_tree(declared).items():
                report_experiments.write_log(results / lineage / "adapter" / "training_log.csv", adapter)
            settings = Path(temporary, "settings.json")
            settings.write_text(declared.model_dump_json(), encoding="utf-8")
            metrics, pages = measure_steps(settings, results, out)
            size = (out / "report_metrics.json").stat().st_size, (out / "r.html").stat().st_size
        rows.append({"items": items, "arms": arms, "seeds": seeds, "metrics": metrics.costs, "report": pages.costs})
        rows[-1] |= {"metrics_kb": round(size[0] / 1000), "report_kb": round(size[1] / 1000)}
        progress.say(f"{items} items × {arms} arms × {seeds} seeds: metrics {metrics.cpu_seconds:.1f} s CPU")
    return rows


def measure_steps(settings: Path, results: Path, out: Path) -> tuple[Run, Run]:
    """Run the metrics step and the report step."""
    from tests.helpers import report_experiments

    full = out / "report_metrics.json"
    command = [sys.executable, "-m", "scripts.metrics", "--settings", settings, "--results", results]
    metrics = run_command([*command, "--output", full, "--flat", out / "metrics.json"])
    command = [sys.executable, "-m", "scripts.report", *report_experiments.arguments(full, results, out)]
    return metrics, run_command(command)


def measure_tokens(folder: Path, settings: dict, progress: Progress) -> list[Figures]:
    """Measure the prediction step of the base model on items whose sections are repeated."""
    longest = STAGE | {"limit": {"train": 16, "validation": 4, "test": ITEMS}, "training": {"max_length": 2048}}
    workspace = Workspace(folder / "tokens", longest, "tokens.yaml", settings["models"])
    workspace.make_inputs()
    sample = workspace.folder / "data" / "sample" / "pubmedqa.json"
    items = json.loads(sample.read_text(encoding="utf-8"))
    settings_files = ["--settings", "config.yaml", workspace.overlay]
    rows = []
    for repeats in REPEATS:
        longer = {name: item | {"CONTEXTS": item["CONTEXTS"] * repeats} for name, item in items.items()}
        sample.write_text(json.dumps(longer), encoding="utf-8")
        out = workspace.fresh(f"tokens-{repeats}")
        command = [sys.executable, "-m", "scripts.make_splits", *settings_files, "--output", out / "data"]
        run_command(command, workspace.folder)
        command = [sys.executable, "-m", "scripts.predict", *settings_files, "--model", workspace.model]
        command += ["--data", out / "data", "--output", out / "predictions"]
        cost = run_command(command, workspace.folder, OMP_NUM_THREADS=str(settings["threads"]))
        receipt = json.loads((out / "predictions" / "receipt.json").read_text(encoding="utf-8"))
        rows.append({"tokens_per_item": round(receipt["tokens"] / ITEMS), "seconds": receipt["seconds"], **cost.costs})
        progress.say(f"{rows[-1]['tokens_per_item']} tokens an item: {receipt['seconds']:.1f} s of scoring")
    return rows


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.split("\n")[0])
    parser.add_argument("--adapters", type=int, nargs="+", choices=SHAPES, default=list(SHAPES))
    args = parser.parse_args(argv)
    progress = Progress("planning", 1500)
    figures = {str(size): measure_planning(size, progress) for size in args.adapters}
    print(f"written to {write_record('planning', {}, {'planning': figures})}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
