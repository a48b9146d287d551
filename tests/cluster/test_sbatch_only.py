"""Snakemake as a job, by the script in docs/running/cluster.md, for users who may only run `sbatch`."""

import re
import sys
from pathlib import Path

from stagewise.provenance.files import read_json
from tests.cluster.conftest import SITE, THREADS
from tests.cluster.faults import Training
from tests.cluster.slurm import until

FIRST = "base/seed-0/colours"
# Long enough to leave checkpoints.
SMALL = {"training": {"epochs": 10, "eval_every": 10}}
ENDS = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")


def test_snakemake_in_a_job_stops_cleanly_before_its_limit_and_goes_on_in_the_next(workspace, cluster):
    here = workspace.path
    (here / ".venv").symlink_to(sys.prefix)
    (here / "logs" / "slurm").mkdir(parents=True)
    (here / "site").mkdir()
    workspace.write("site/config.v9+.yaml", SITE)
    page = Path("docs/running/cluster.md").read_text(encoding="utf-8")
    documented = re.search(r"```sh\n(#!/bin/bash\n.*?)```", page, re.S)[1]
    options = f"--profile site --configfile tiny.yaml {workspace.write('small.yaml', SMALL)} {' '.join(THREADS)}"
    script = documented.replace("--configfile experiments/remedies.yaml", options)
    assert script != documented and "--signal=B:INT@300" in script
    (here / "job.sh").write_text(script, encoding="utf-8")

    def submitted(*command: str) -> str:
        return workspace.run("sbatch", "--parsable", *command).stdout.strip()

    def ended(job: str) -> tuple[str, str]:
        """Wait for a job; return its state and its output."""
        state = until(lambda: next((s for s in (facts(job)["JobState"],) if s in ENDS), None), 600, f"job {job} ends")
        return state, Path(facts(job)["StdOut"]).read_text(encoding="utf-8", errors="replace")

    def facts(job: str) -> dict:
        return next(other for other in cluster.jobs() if other["JobId"] == job)

    whole = submitted("job.sh")
    first = Training(cluster, here, FIRST, print)
    step, _ = first.frozen_after_checkpoint()
    # Slurm does this five minutes before the limit.
    cluster.ask("scancel", "--signal=INT", "--batch", whole)
    state, output = ended(whole)
    until(lambda: first.jobs()[-1]["JobState"] == "CANCELLED", 60, "the training's job is cancelled")
    print(f"interrupted after step {step}: {state}, the training {first.jobs()[-1]['JobState']}")
    assert "You are running snakemake in a SLURM job context" in output

    state, output = ended(submitted("job.sh"))
    print(f"submitted again: {state}")
    assert state == "COMPLETED", output[-5000:]
    trained = read_json(here / "out" / FIRST / "adapter" / "training.json", "the summary")
    assert trained["resumed_from_step"] >= step  # a checkpoint at SIGTERM, if it came to that
    assert (here / "out" / "report.html").is_file()

    # Without the profile, all steps run inside one job.
    state, output = ended(
        submitted("--cpus-per-task=8", "--gpus=1", "--wrap", "snakemake --cores 8 --configfile tiny.yaml small.yaml -n")
    )
    assert state == "COMPLETED" and "Nothing to be done" in output, output
