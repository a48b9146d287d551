"""A task that is added to a finished study is scored alone, by every adapter, and nothing is trained for it."""

import json
import re

import pytest

from tests.workflow.conftest import colour_task, write_colours

pytestmark = pytest.mark.workflow

LINEAGES = ("base", "base/seed-0/colours", "base/seed-0/colours/warmth")


def scored_files(project) -> dict[str, list[str]]:
    """Names of the prediction files that the last run's prediction steps scored, by lineage."""
    logs = {lineage: project.path / "logs" / "out" / lineage / "predict.log" for lineage in LINEAGES}
    names = r"\b((?:colours|warmth|moods)\.(?:validation|test)): +100%"
    return {lineage: sorted(set(re.findall(names, log.read_text()))) for lineage, log in logs.items()}


def receipts(project) -> dict[str, dict]:
    return {
        name: json.loads((project.path / "out" / name / "predictions/receipt.json").read_text()) for name in LINEAGES
    }


def test_every_adapter_is_scored_on_the_new_task_alone(workspace):
    splits = {"evaluation": {"splits": ["validation", "test"]}}
    overlay = ("predictions", "--configfile", "tiny.yaml", workspace.write("splits.yaml", splits))
    workspace.snakemake(*overlay)
    before = receipts(workspace)

    write_colours(workspace.path / "data" / "moods.jsonl", ["glad", "sad"], seed=2)
    new = {
        "tasks": {"moods": colour_task("data/moods.jsonl", ["glad", "sad"])},
        "arms": {"other": {"stages": [{"task": "moods"}]}},
    }
    more = (*overlay, workspace.write("more.yaml", new))
    workspace.snakemake(*more)
    assert scored_files(workspace) == dict.fromkeys(LINEAGES, ["moods.test", "moods.validation"])
    for lineage in LINEAGES[1:]:
        log = (workspace.path / "logs" / "out" / lineage / "train_adapter.log").read_text()
        assert "steps of" not in log and " is at " in log, "copied"
    for lineage, receipt in receipts(workspace).items():
        kept = {name: receipt["files"][name] for name in before[lineage]["files"]}
        assert kept == before[lineage]["files"] and len(receipt["files"]) == 6
        assert receipt["content_free"].keys() == {"colours", "warmth", "moods"}
    assert "Nothing to be done" in workspace.snakemake(*more).stderr
