"""Jobs on a machine with GPUs: every GPU gets work, none gets two jobs, and one that cannot be used stops the run."""

import json
import os
import shutil
from pathlib import Path

import pytest

from benchmarks.stub_experiment import write_stubs
from stagewise.config.load_config import load
from tests.helpers import pretended_gpus
from tests.helpers.project_copy import ProjectFolder
from tests.workflow.conftest import tiny_workspace

pytestmark = pytest.mark.workflow

SEEDS = [0, 1, 2, 3]
GPUS = [{"uuid": "GPU-a"}, {"uuid": "GPU-b"}]
OVERLAY = ("--configfile", "tiny.yaml", "seeds.yaml")
ADAPTERS = [f"out/base/seed-{seed}/colours/adapter" for seed in SEEDS]
TARGETS = ("--", *(f"{folder}/receipt.json" for folder in ADAPTERS))
# Takes a GPU as a training does, holds it for a second, and writes down when.
STUB = """
import os, sys, time
from pathlib import Path
from stagewise.models import gpu_lock

gpu_lock.FOLDER = Path("locks").absolute()
folder = Path(sys.argv[sys.argv.index("--output") + 1])
gpu_lock.take_gpus(1, str(folder))
start = time.time()
time.sleep(1)
with open("jobs.txt", "a") as file:
    file.write(f"{os.environ['CUDA_VISIBLE_DEVICES']} {start} {time.time()}\\n")
for name in ("adapter_model.safetensors", "adapter_config.json", "README.md", "training_log.csv", "training.json"):
    (folder / name).write_text("stub")
(folder / "receipt.json").write_text("stub")
"""
RECORD = "import sys; open(sys.argv[sys.argv.index('--record') + 1], 'w').write('{}')"


@pytest.fixture(scope="module")
def machine(tmp_path_factory, tiny_model):
    """A project on a machine with two GPUs, whose trainings of four seeds are stubs; everything before is finished."""
    here = tmp_path_factory.mktemp("gpus")
    workspace = tiny_workspace(here / "project", tiny_model)
    stages = [{"task": "colours"}, {"task": "warmth", "remedies": {"rehearsal": {"share": 0.25}}}]
    arms = {"rehearsal": {"stages": stages}}  # beside the arm without it
    workspace.write("seeds.yaml", {"seeds": SEEDS, "arms": arms})
    before = Path.cwd()
    os.chdir(workspace.path)
    try:
        write_stubs(load("config.yaml", "tiny.yaml", "seeds.yaml"))
    finally:
        os.chdir(before)
    for script, text in (("train_adapter", STUB), ("preflight", RECORD)):
        (workspace.path / f"scripts/{script}.py").write_text(text, encoding="utf-8")
    inject = here / "inject"
    inject.mkdir()
    shutil.copy(pretended_gpus.__file__, inject)
    (inject / "sitecustomize.py").write_text("import pretended_gpus; pretended_gpus.pretend_from_environment()")
    environment = {"PYTHONPATH": str(inject), "STAGEWISE_DEVICE": "auto", "PRETENDED_GPUS": json.dumps(GPUS)}

    def run(*command: str, check: bool = True, **more: str):
        for folder in ADAPTERS:
            shutil.rmtree(workspace.path / folder, ignore_errors=True)
        (workspace.path / "jobs.txt").unlink(missing_ok=True)
        return workspace.run("snakemake", *command, *OVERLAY, *TARGETS, check=check, **environment | more)

    run.path, run.environment = workspace.path, environment
    return run


def intervals(path: Path) -> list[tuple[str, float, float]]:
    rows = [line.split() for line in (path / "jobs.txt").read_text().splitlines()]
    return [(gpu, float(start), float(end)) for gpu, start, end in rows]


def most_at_once(intervals) -> int:
    return max(sum(start <= moment < end for _, start, end in intervals) for _, moment, _ in intervals)


def test_each_gpu_has_one_job_at_any_time(machine):
    """Although there are cores for four."""
    done = machine("--cores", "32")
    assert "GPU: 2 here, for 2 trainings and predictions at a time" in done.stderr
    jobs = intervals(machine.path)
    assert len(jobs) == len(SEEDS) and most_at_once(jobs) == 2
    for gpu in GPUS:
        assert most_at_once([job for job in jobs if job[0] == gpu["uuid"]]) == 1
    assert "waiting for" not in done.stdout + done.stderr, "Snakemake starts no job before it has a GPU"


def test_jobs_share_gpus_by_a_setting_and_the_user_may_say_how_many_run(machine):
    machine("--cores", "32", STAGEWISE_JOBS_PER_GPU="2")
    assert most_at_once(intervals(machine.path)) == 4
    machine("--cores", "32", "--resources", "gpu=1")
    assert most_at_once(intervals(machine.path)) == 1


def test_a_gpu_that_cannot_be_used_stops_the_run_before_anything_is_fetched(machine):
    """The tests' torch cannot use the pretended GPUs."""
    receipt = machine.path / "models/tiny/receipt.json"
    text = receipt.read_text()
    receipt.unlink()
    done = machine("--cores", "2", check=False)
    assert done.returncode and "error: GPU: GPU 0 (NVIDIA A100, GPU-a), and torch " in done.stderr
    assert "or set STAGEWISE_DEVICE=cpu to compute on the CPU" in done.stderr and not receipt.exists()
    receipt.write_text(text)


def test_on_slurm_the_steps_of_siblings_are_one_job(machine):
    """Whatever GPUs the machine has that submits."""
    for folder in ADAPTERS:
        shutil.rmtree(machine.path / folder, ignore_errors=True)
    plan = ("snakemake", "-n", "--profile", "profiles/slurm", *OVERLAY)

    def groups(*more: str) -> dict[str, list[int]]:
        """Numbers of trainings and predictions in each planned job, by the names of the jobs."""
        text = ProjectFolder(machine.path).run(*plan, *more, **machine.environment).stdout
        named: dict[str, list[int]] = {}
        for part in text.partition("Group job ")[2].split("Group job "):
            steps = [part.count(f"    rule {rule}:") for rule in ("train_adapter", "predict")]
            named.setdefault(part.split()[0], []).append(steps[0] + 10 * steps[1])
            assert "gpu=1," in part and "nodes=1," in part
        return named

    first = {f"adapter_base_seed-{seed}_colours": [11] for seed in SEEDS}
    assert groups() == first | {f"siblings_of_base_seed-{seed}_colours": [22] for seed in SEEDS}
    names = [f"base_seed-{seed}_colours_{stage}" for seed in SEEDS for stage in ("warmth", "warmth+rehearsal-25")]
    alone = groups("--group-components", "siblings=1")
    assert alone == first | {f"adapter_{name}": [11] for name in names}
