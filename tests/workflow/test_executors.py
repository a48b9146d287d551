"""The same graph, unchanged, under other executors of Snakemake."""

import json

import pytest

from tests.workflow.conftest import jobs

pytestmark = pytest.mark.workflow

OVERLAY = ("--configfile", "tiny.yaml")
# Runs a job in the background and prints its id, as the submit command of a batch system does.
SUBMIT = """#!/bin/sh
echo "$1" >> submitted.txt
sh "$1" > job.log 2>&1 &
echo $!
"""


def test_other_executors_plan_the_same_graph(workspace):
    local = jobs(workspace.snakemake("-n", *OVERLAY).stdout)
    assert local["train_adapter"] == 2 and local["predict"] == 3
    generic = ("--executor", "cluster-generic", "--cluster-generic-submit-cmd", "qsub -pe smp {threads}")
    # Kubernetes shares no file system, so Snakemake needs a storage for files between jobs; a dry run needs no cluster.
    kubernetes = ("--executor", "kubernetes", "--kubernetes-namespace", "lab", "--default-storage-provider", "fs")
    kubernetes += ("--default-storage-prefix", str(workspace.path))
    for executor in (generic, kubernetes):
        planned = jobs(workspace.run("snakemake", "-n", "--jobs", "4", *executor, *OVERLAY).stdout)
        print(executor[1], planned)
        assert planned == local


def test_jobs_with_gpus_decide_the_compute_type(workspace, monkeypatch):
    """The machine that plans, a login node, has none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    auto = ("--config", "dtype=auto", "--set-resources", "train_adapter:gpu=1")
    assert "dtype: auto is bfloat16" in workspace.snakemake("-n", *OVERLAY, *auto).stderr


def test_the_generic_executor_submits_what_is_not_local(workspace):
    submit = workspace.path / "submit"
    submit.write_text(SUBMIT, encoding="utf-8")
    submit.chmod(0o755)
    folder = workspace.path / "out" / "base" / "seed-0" / "colours"
    workspace.run(
        *("snakemake", "--jobs", "2", "--executor", "cluster-generic", "--cluster-generic-submit-cmd", "./submit"),
        *("--seconds-between-status-checks", "1", "--latency-wait", "5", *OVERLAY),
        *("--", f"{folder.relative_to(workspace.path)}/predictions/receipt.json"),
    )
    submitted = (workspace.path / "submitted.txt").read_text().splitlines()
    rules = sorted(line.rpartition("snakejob.")[2].split(".")[0] for line in submitted)
    # Splits, model and recipes are made on the machine that runs Snakemake.
    assert rules == ["predict", "train_adapter"]
    trained = json.loads((folder / "adapter" / "receipt.json").read_text())["inputs"]["recipe"]
    assert json.loads((folder / "recipe.json").read_text())["fingerprint"] == trained
    assert (folder / "predictions" / "colours.test.csv").is_file()


def test_several_processes_are_a_setting_of_the_profile(workspace):
    """Their number is not part of the experiment: the recipe is the same, and another number reruns nothing."""
    folder = workspace.path / "out" / "base" / "seed-0" / "colours"
    target = ("--", f"{folder.relative_to(workspace.path)}/adapter/receipt.json")
    assert "--processes 1 " in workspace.snakemake("-n", "-p", *OVERLAY, *target).stdout

    profile = workspace.path / "profiles" / "two" / "config.yaml"
    profile.parent.mkdir()
    profile.write_text("set-resources: {train_adapter: {processes: 2}}\n", encoding="utf-8")
    two = ("--profile", "profiles/two", *OVERLAY)
    assert "--processes 2 " in workspace.snakemake("-n", "-p", *two, *target).stdout
    workspace.snakemake(*two, *target)
    assert json.loads((folder / "adapter" / "training.json").read_text())["processes"] == 2
    assert "Nothing to be done" in workspace.snakemake(*OVERLAY, *target).stderr
