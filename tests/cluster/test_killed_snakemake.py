"""Snakemake is killed while its jobs run: the same command waits for those that it wants and cancels the others."""

import os
import signal

from stagewise.provenance.files import read_json
from tests.cluster.conftest import SITE, THREADS
from tests.cluster.faults import Training
from tests.cluster.slurm import until
from tests.cluster.test_cluster import finished, started

FIRST = "base/seed-0/colours"
SECOND = f"{FIRST}/warmth"
# Long enough to leave checkpoints.
SMALL = {"training": {"epochs": 10, "eval_every": 10}}
FASTER = {"arms": {"sequential": {"stages": [{"task": "colours"}, {"task": "warmth", "training": {"epochs": 12}}]}}}


def test_the_same_command_again_after_snakemake_was_killed(workspace, cluster):
    here = workspace.path
    (here / "site").mkdir()
    workspace.write("site/config.v9+.yaml", SITE)
    overlays = ["tiny.yaml", workspace.write("small.yaml", SMALL)]

    def command(*more):
        words = ("snakemake", "--profile", "profiles/slurm", "--profile", "site", *THREADS, "--configfile", *overlays)
        return (*words, *more, "--", f"out/{SECOND}/adapter/receipt.json")

    first, second = (Training(cluster, here, lineage, print) for lineage in (FIRST, SECOND))

    with started(here, *command()) as run:
        _, process = first.frozen_after_checkpoint()
        os.killpg(run.pid, signal.SIGKILL)
    with started(here, *command()) as run:
        # It goes on from the first training's result; nothing is trained twice.
        until(lambda: "waiting for the result" in (here / "output.txt").read_text(), 60, "the second run to wait")
        os.kill(process, signal.SIGCONT)
        step, process = second.frozen_after_checkpoint()
        output = (here / "output.txt").read_text(encoding="utf-8")
        os.killpg(run.pid, signal.SIGKILL)
    (job,) = first.jobs()
    assert job["JobState"] == "COMPLETED"
    assert f"Slurm job {job['JobId']} ({job['Comment']}): waiting" in output

    # Another setting: the second training is of no use any more.
    with started(here, *command(workspace.write("faster.yaml", FASTER))) as run:
        finished(run, here)
    output = (here / "output.txt").read_text(encoding="utf-8")
    old, new = until(second.jobs, 10, "the jobs of the second training")
    assert (old["JobState"], new["JobState"]) == ("CANCELLED", "COMPLETED")
    assert f"cancelled, left by an interrupted run: Slurm job {old['JobId']}" in output
    assert read_json(here / "out" / SECOND / "adapter" / "training.json", "the summary")["epochs"] == 12
