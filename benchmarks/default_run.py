"""The default experiment from nothing, by step: wall seconds of every job and the share of imports.

python -m benchmarks.run default-run
"""

import json
import sys
from pathlib import Path

from benchmarks import startup
from benchmarks.measure import Figures, Progress, run_command
from tests.helpers.project_copy import ProjectCopy

RULE_IMPORTS = {"train_adapter": "train_adapter", "predict": "predict"}
"""Rules whose jobs import torch, and the step of `startup.WORK` whose imports they have."""


def run(folder: Path, settings: dict, progress: Progress) -> dict:
    """Run the default experiment once in a copy of the project where nothing is made yet."""
    copy = ProjectCopy(folder / "default-run").path
    command = [sys.executable, "-m", "snakemake", "--cores", str(settings["threads"])]
    cost = run_command(command, copy)
    jobs = read_jobs(copy / ".snakemake" / "metadata")
    progress.say(f"{cost.wall_seconds:.0f} s wall, {cost.cpu_seconds:.0f} s CPU, {sum(map(len, jobs.values()))} jobs")
    imports = {step: startup.repeat(["-c", startup.importing(step)], 1) for step in set(RULE_IMPORTS.values())}
    importing = sum(imports[step]["cpu_seconds"] * model_loads(copy, rule) for rule, step in RULE_IMPORTS.items())
    metrics = json.loads((copy / "results" / "report_metrics.json").read_text(encoding="utf-8"))
    return {
        "run": cost.costs,
        "jobs": jobs,
        "model_loads": {rule: model_loads(copy, rule) for rule in RULE_IMPORTS},
        "import_cpu_seconds": round(importing, 2),
        "verdicts": [claim["verdict"] for claim in metrics.get("claims", [])],
        "training_peak_mb": training_peak(copy / "results"),
    }


def read_jobs(metadata: Path) -> dict[str, list[Figures]]:
    """Wall seconds of each job, by rule, from the records that Snakemake keeps of outputs, one for each output."""
    jobs: dict[str, dict[str, tuple[float, Figures]]] = {}
    for path in sorted(metadata.rglob("*")):
        record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if record.get("endtime") is None:
            continue
        name = record["log"][0].removeprefix("logs/").removesuffix(".log") if record["log"] else record["rule"]
        seconds = round(record["endtime"] - record["starttime"], 2)
        rule = jobs.setdefault(record["rule"], {})
        rule.setdefault(name, (record["starttime"], {"job": name, "wall_seconds": seconds}))
    return {rule: [job for _, job in sorted(jobs[rule].values(), key=lambda entry: entry[0])] for rule in sorted(jobs)}


def model_loads(copy: Path, rule: str) -> int:
    """Jobs of a rule that loaded a model: those whose log does not say that the result was copied."""
    logs = (copy / "logs").rglob(f"{rule}.log")
    return sum("copied" not in log.read_text(encoding="utf-8") for log in logs)


def training_peak(results: Path) -> int:
    """Largest peak memory that a training recorded, MB."""
    summaries = results.rglob("adapter/training.json")
    peaks = [json.loads(path.read_text(encoding="utf-8")).get("peak_memory_bytes") or 0 for path in summaries]
    return round(max(peaks, default=0) / 1e6)
