"""The whole graph through `--profile profiles/slurm`, with every kind of accident, against an undisturbed local run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import yaml

from stagewise.provenance.files import read_json
from tests.cluster.compare import IGNORED_KEYS, IGNORED_METRICS, compare
from tests.cluster.conftest import SITE, THREADS
from tests.cluster.faults import Training
from tests.helpers.project_copy import ProjectCopy

FIRST = "base/seed-0/colours"
SECOND, REHEARSED = f"{FIRST}/warmth", f"{FIRST}/warmth+rehearsal-25"
STAGES = [{"task": "colours"}, {"task": "warmth", "remedies": {"rehearsal": {"share": 0.25}}}]
# Two arms; trainings that leave a checkpoint every ten of some two hundred steps.
LONGER = {"arms": {"rehearsal": {"stages": STAGES}}, "training": {"epochs": 30, "eval_every": 10}}


def test_a_cluster_run_with_accidents_leaves_what_a_local_run_leaves(workspace, cluster, tmp_path):
    overlay = ("--configfile", "tiny.yaml", workspace.write("longer.yaml", LONGER), *THREADS)
    (workspace.path / "site").mkdir()
    workspace.write("site/config.v9+.yaml", SITE)
    away = ProjectCopy(tmp_path / "cluster")
    shutil.copytree(workspace.path, away.path, dirs_exist_ok=True)
    on_cluster = ("snakemake", "--profile", "profiles/slurm", "--profile", "site", *overlay)

    say = Log()
    first, second, rehearsed = (Training(cluster, away.path, lineage, say) for lineage in (FIRST, SECOND, REHEARSED))
    with (
        started(workspace.path, "snakemake", "--cores", "2", *overlay) as local,
        started(away.path, *on_cluster) as remote,
        ThreadPoolExecutor() as pool,
    ):
        accidents = {FIRST: first.preempted, SECOND: second.killed_then_cancelled, REHEARSED: rehearsed.timed_out}
        # The second stages wait for the first, each accident for its training.
        steps = {FIRST: accidents.pop(FIRST)()}
        steps |= {lineage: pool.submit(accident) for lineage, accident in accidents.items()}
        steps = {lineage: step if isinstance(step, int) else step.result() for lineage, step in steps.items()}
        finished(remote, away.path)
        say("the run on the cluster has ended well")
        finished(local, workspace.path)
        say("the local run has ended well")

    states = {training.lineage: [job["JobState"] for job in training.jobs()] for training in (first, second, rehearsed)}
    say(f"states of their jobs: {states}")
    assert states == {
        FIRST: ["COMPLETED"],
        SECOND: ["FAILED", "CANCELLED", "COMPLETED"],
        REHEARSED: ["TIMEOUT", "COMPLETED"],
    }
    for lineage, step in steps.items():
        summary = read_json(away.path / "out" / lineage / "adapter" / "training.json", "the summary")
        # Slurm wakes the process with SIGCONT and SIGTERM, which it may heed: a step or two, and a checkpoint.
        assert summary["resumed_from_step"] >= step, lineage
        say(f"{lineage}: resumed from step {step} of {summary['steps']}")
    check_requested_resources(cluster, say)
    assert "Nothing to be done" in away.run(*on_cluster, "-n").stdout

    same = compare(workspace.path / "out", away.path / "out", tmp_path / "redrawn")
    for how, names in same.items():
        say(f"{len(names)} files are the same {how}: {' '.join(names)}")
    say(
        f"not compared: {IGNORED_KEYS}; rows of training_log.csv that match {IGNORED_METRICS.pattern}; "
        "the line of times in the model card"
    )
    exact = same["byte for byte"]
    assert sum(name.endswith("adapter_model.safetensors") for name in exact) == 3
    assert sum("/predictions/" in name for name in exact) == 4 * 2
    assert sum(name.endswith("recipe.json") for name in exact) == 2 * 3


class Log:
    """Print events with their time."""

    def __init__(self):
        self.started = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"[{time.monotonic() - self.started:4.0f} s] {text}", flush=True)


@contextmanager
def started(folder: Path, *command: str):
    """Run a command in the background, with output to ``output.txt``; kill it when the block ends."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with open(folder / "output.txt", "wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def finished(process: subprocess.Popen, folder: Path) -> None:
    assert process.wait(900) == 0, (folder / "output.txt").read_text(errors="replace")[-5000:]


def check_requested_resources(cluster, say) -> None:
    """Check that jobs asked Slurm for the sum of their steps' minutes, and for more at each attempt."""
    asked = yaml.safe_load(Path("profiles/slurm/config.v9+.yaml").read_text(encoding="utf-8"))["set-resources"]
    assert all(value[key].endswith(" * attempt") for value in asked.values() for key in ("mem_mb", "runtime"))
    checked = set()
    for job in cluster.jobs():
        steps = [rule for rule in ("train_adapter", "predict") if rule in job["Comment"]]
        if not steps:
            continue
        attempt = 1 + [other["JobId"] for other in cluster.jobs(job["Comment"])].index(job["JobId"])
        megabytes = max(int(asked[rule]["mem_mb"].split("*")[0]) for rule in steps) * attempt
        minutes = sum(int(asked[rule]["runtime"].split("*")[0]) for rule in steps) * attempt
        assert job["MinMemoryNode"] in (f"{megabytes}M", f"{megabytes / 1024:g}G")
        hours = f"{minutes // 60:02}:{minutes % 60:02}:00"
        assert job["TimeLimit"] == (hours if job["JobState"] != "TIMEOUT" else "00:01:00")
        assert (job["TresPerJob"], job["NumNodes"]) == ("gres:gpu:1", "1")
        assert (job["Requeue"], job["Partition"]) == ("1", "batch")
        assert job["JobName"].startswith("stagewise_")
        checked.add((*steps, attempt))
        say(f"{job['Comment']}, attempt {attempt}: {job['TRES']}, {job['TimeLimit']}, {job['JobState']}")
    assert {("train_adapter", "predict", 3), ("train_adapter", "predict", 2), ("predict", 1)} <= checked
