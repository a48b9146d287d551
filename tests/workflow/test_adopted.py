"""Adapters and models from elsewhere in the whole workflow: judged in one command, and planned as stages."""

import json
import sys

import pytest
import yaml

from tests.helpers import tiny_llama
from tests.helpers.adapters_from_elsewhere import save_adapter
from tests.workflow.conftest import colour_task, jobs

pytestmark = pytest.mark.workflow

TASKS = {
    "colours": colour_task("data/colours.jsonl", ["red", "green", "blue"]),
    "warmth": colour_task("data/warmth.jsonl", ["warm", "cold"]),
}


def test_one_command_says_what_two_checkpoints_forgot(workspace, tiny_model):
    user = workspace.path.parent / "user"
    for number in (1, 2):
        save_adapter(user / f"checkpoint-{number}", tiny_model, seed=number)
    (user / "tasks.yaml").write_text(yaml.safe_dump(TASKS))
    (user / "prose.txt").write_text("Today was a calm day at the lake. " * 200)

    def ask(*more: str):
        command = [sys.executable, "-m", "scripts.forgot", "--base", str(tiny_model), "--results", "out"]
        command += ["--adapter", "checkpoint-1", "checkpoint-2", "--task", "tasks.yaml", "--learnt", "colours"]
        command += ["--text", "prose.txt", "--set", "training={max_length: 96}", "dtype=float32", "--cores", "2"]
        project, workspace.path = workspace.path, user
        try:
            return workspace.run(*command, *more, PYTHONPATH=str(project))
        finally:
            workspace.path = project

    said = ask().stdout
    assert "learnt colours" in said and str(user / "out" / "report.html") in said
    assert (user / "out" / "report.html").is_file()
    metrics = json.loads((user / "out" / "report_metrics.json").read_text())
    first, second = metrics["adapters"]
    assert [first["adopted"]["kind"], first["tasks"], first["stage"], second["stage"]] == ["adapter", ["colours"], 1, 2]
    assert first["adopted"]["files"] != second["adopted"]["files"]
    (cost,) = metrics["costs"]
    assert (cost["trainings"], cost["merges"], cost["adopted"], cost["steps"]) == (0, 0, 2, 0)
    scored = {(*score["lineages"], score["task"]) for score in metrics["scores"]}
    assert {(lineage, task) for lineage in ("base", second["lineage"]) for task in TASKS} <= scored
    report = (user / "out" / "report.md").read_text()
    assert "from elsewhere" in report and str(user) not in report

    again = ask()
    assert again.stdout == said and "Nothing to be done" in again.stderr


def test_stages_from_elsewhere_are_planned_beside_trained_ones(workspace, tiny_model):
    save_adapter(workspace.path / "runs" / "mine", tiny_model)
    tiny_llama.build(workspace.path / "tuned", seed=5)
    (workspace.path / "tuned" / "receipt.json").unlink()
    mine = {"adapter": "runs/mine", "learnt": "colours"}
    blended = {"task": "warmth", "remedies": {"blend": {"alpha": 0.5}}}
    arms = {
        "sequential": None,
        "mine": {"stages": [mine, {"task": "warmth"}]},
        "blend": {"stages": [mine, blended]},
        "whole": {"stages": [{"model": "tuned", "learnt": "colours"}]},
    }
    values = {"arms": arms, "models": {"tuned": {"path": "tuned"}}, "seeds": [0, 1]}
    unused = colour_task("data/colours.jsonl", ["red", "green", "blue"])
    overlay = ("--configfile", "tiny.yaml", workspace.write("adopt.yaml", values | {"tasks": {"unused": unused}}))
    dry = workspace.snakemake("-n", *overlay)
    planned = jobs(dry.stdout)
    counts = {rule: planned[rule] for rule in ("fetch_model", "fetch_adapter", "adopt_adapter", "adopt_model")}
    assert counts == {"fetch_model": 2, "fetch_adapter": 1, "adopt_adapter": 2, "adopt_model": 2}
    assert (planned["train_adapter"], planned["merge_adapters"], planned["predict"]) == (2, 2, 9)
    assert dry.stderr.count("tasks.unused is in no arm and no probe, so nothing is made of it") == 1

    (workspace.path / "runs").rename(workspace.path / "moved")
    refused = workspace.snakemake(*overlay, check=False)
    assert refused.returncode and "arms.mine: the adapter runs/mine: there is no such folder" in refused.stderr
    assert not (workspace.path / "out" / "data").exists()
