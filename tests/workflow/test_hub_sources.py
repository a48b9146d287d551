"""Data sets of the hub in a run, whose branch is asked for once; and the plan of a published benchmark."""

import json

import pytest

from tests.helpers import branched_hub
from tests.helpers.tiny_data import task_settings
from tests.workflow.conftest import jobs

pytestmark = pytest.mark.workflow

DEAD = "http://127.0.0.1:9"


def films(count: int) -> bytes:
    lines = [f"{n},film {n},{('bad', 'good')[n % 2]}" for n in range(count)]
    return "\n".join(["id,text,label", *lines]).encode() + b"\n"


def test_a_plan_needs_no_network_once_the_commit_is_written_down(workspace):
    lock = workspace.path / "sources.lock"
    task = task_settings(
        {"items": {"dataset": "me/films", "split": "train"}},
        {"bad": "bad", "good": "good"},
        reader={"format": "jsonl"},
        prompt="prompts/colours.txt",
        fields={"note": "text"},
    )
    arms = {"arms": {"sequential": {"stages": [{"task": "films"}]}}, "tasks": {"films": task}}
    overlay = ("--configfile", "tiny.yaml", workspace.write("films.yaml", arms), "--", "out/data/summary.json")
    with branched_hub.serve() as hub:
        commit = hub.push("datasets", "me/films", {"films.csv": films(40)})
        reach = {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(workspace.path / "home")}
        planned = workspace.snakemake("-n", *overlay, **reach)
        assert f"me/films@main is {commit}" in planned.stderr and not lock.exists()
        workspace.snakemake(*overlay, **reach)
        hub.push("datasets", "me/films", {"films.csv": films(60)})
    written = json.loads(lock.read_text())
    assert written["datasets"] == {"me/films@main": commit}
    summary = json.loads((workspace.path / "out/data/summary.json").read_text())
    assert sum(split["items"] for split in summary["tasks"]["films"]["splits"].values()) == 40
    (digest,) = written["files"].values()
    assert summary["tasks"]["films"]["files"]["items"]["sha256"] == digest
    # Neither the network nor the branch's newer commit matters to the same command.
    assert "Nothing to be done" in workspace.snakemake(*overlay, HF_ENDPOINT=DEAD).stderr


def test_a_published_benchmark_is_planned(workspace):
    planned = jobs(workspace.snakemake("-n", "--configfile", "experiments/trace.yaml").stdout)
    assert (planned["train_adapter"], planned["fetch_data"]) == (8, 24)
