"""Arms, folds and remedies by configuration alone."""

import json

import jsonschema
import pytest

from tests.workflow.conftest import jobs

pytestmark = pytest.mark.workflow

FIRST = {"task": "colours"}
OUTSIDE = '''
from stagewise.remedies.base import Remedy


class Twice(Remedy):
    """Trains on every row twice over, in as many steps."""

    def rows(self, rows, earlier, seed):
        return rows + rows
'''
ARMS = {
    "sequential": {"stages": [FIRST, {"task": "warmth"}]},
    "isolated": {"adapters": "per_task", "stages": [FIRST, {"task": "warmth"}]},
    "multitask": {"stages": [{"task": ["colours", "warmth"]}]},
    "mixed": {"stages": [FIRST, {"task": "warmth", "remedies": {"rehearsal": {}, "lab_remedies:Twice": {}}}]},
    "blend": {"stages": [FIRST, {"task": "warmth", "remedies": {"blend": {"alpha": 0.5}}}]},
}


def test_every_kind_of_arm_runs_with_a_remedy_from_outside_the_package(workspace):
    (workspace.path / "lab").mkdir()
    (workspace.path / "lab" / "lab_remedies.py").write_text(OUTSIDE)
    overlay = ("--configfile", "tiny.yaml", workspace.write("arms.yaml", {"arms": ARMS}))
    outside = {"PYTHONPATH": str(workspace.path / "lab")}
    refused = workspace.snakemake("-n", *overlay, check=False)
    assert "is its folder on PYTHONPATH?" in refused.stderr and refused.returncode

    planned = jobs(workspace.snakemake("-n", *overlay, **outside).stdout)
    # The first stage is learnt once; blending trains nothing.
    assert (planned["train_adapter"], planned["merge_adapters"], planned["predict"]) == (5, 1, 7)
    workspace.snakemake(*overlay, **outside)
    assert "Nothing to be done" in workspace.snakemake(*overlay, **outside).stderr
    # One process for the first stages, one for the child of `colours` without a remedy from outside, two for the one
    # with it, one for the merge and one for the base model's predictions.
    logs = [path.read_text(encoding="utf-8") for path in (workspace.path / "logs" / "out").rglob("*.log")]
    assert sum("Loading weights" in log for log in logs) == 6

    out = workspace.path / "out"
    metrics = json.loads((out / "report_metrics.json").read_text())
    jsonschema.validate(metrics, json.loads((workspace.path / "schemas" / "report_metrics.schema.json").read_text()))
    assert {record["arm"] for record in metrics["arm_summaries"]} == set(ARMS)
    mixed = next(a for a in metrics["adapters"] if a["lineage"].endswith("warmth+rehearsal-10+twice"))
    assert mixed["remedies"] == {"rehearsal": {"share": 0.1}, "lab_remedies:Twice": {}}
    trained = json.loads((out / mixed["lineage"] / "adapter" / "training.json").read_text())
    assert trained["items"] == 2 * (24 + trained["rehearsed"] // 2) and trained["rehearsed"] > 0
    plain = json.loads((out / "base/seed-0/colours/warmth/adapter/training.json").read_text())
    assert trained["steps"] == plain["steps"]
    blend = next(a for a in metrics["adapters"] if a["lineage"].endswith("warmth/merged-blend-0.5"))
    assert blend["sources"] == ["base/seed-0/colours", "base/seed-0/colours/warmth"]
    assert "blend" in (out / "report.md").read_text()

    # Another share is another adapter; the rest stays.
    changed = {"arms": {"mixed": {"stages": [FIRST, {"task": "warmth", "remedies": {"rehearsal": {"share": 0.25}}}]}}}
    again = workspace.snakemake("-n", *overlay, workspace.write("changed.yaml", changed), **outside)
    planned = jobs(again.stdout)
    assert planned.pop("run_preflight") == 1
    assert planned == {"write_recipe": 1, "train_adapter": 1, "predict": 1, "metrics": 1, "report": 1, "all": 1}


def test_a_sweep_in_two_orders_runs_to_its_report(workspace):
    rates, alphas = [0.01, 0.001], [0.25, 0.75]
    second = {"task": 2, "sweep": {"training.learning_rate": rates}}
    blended = {"task": 2, "sweep": {"remedies.blend.alpha": alphas}}
    values = {
        "orders": {"up": ["colours", "warmth"], "down": ["warmth", "colours"]},
        "arms": {
            "sequential": {"stages": [{"task": 1}, second]},
            "blend": {"stages": [{"task": 1}, blended]},
            "small": {"stages": [{"task": 1}, {"task": 2, "name": "small", "lora": {"r": 2}}]},
        },
        "statistics": {"reference": "sequential", "primary_outcome": "average"},
        "evaluation": {"splits": ["validation", "test"]},
    }
    overlay = ("--configfile", "tiny.yaml", workspace.write("sweep.yaml", values))
    planned = jobs(workspace.snakemake("-n", *overlay).stdout)
    # In each order the first stage, two learning rates, the default one for blend, and a rank of its own.
    assert (planned["train_adapter"], planned["merge_adapters"], planned["predict"]) == (2 * 5, 2 * 2, 2 * 7 + 1)
    workspace.snakemake(*overlay)
    assert "Nothing to be done" in workspace.snakemake(*overlay).stderr

    metrics = json.loads((workspace.path / "out" / "report_metrics.json").read_text())
    jsonschema.validate(metrics, json.loads((workspace.path / "schemas" / "report_metrics.schema.json").read_text()))
    for arm, labels in {
        "sequential-up": [f"learning_rate={rate}" for rate in rates],
        "blend-down": [f"alpha={alpha}" for alpha in alphas],
    }.items():
        tried = [variant for variant in metrics["variants"] if variant["arm"] == arm]
        assert [variant["variant"] for variant in tried] == labels
        best = max(tried, key=lambda variant: variant["validation"]["value"])
        assert [variant["chosen"] for variant in tried] == [variant is best for variant in tried]
        last = max((stage for stage in metrics["arms"] if stage["arm"] == arm), key=lambda stage: stage["stage"])
        assert best["lineages"] == [last["lineage"]]
    tried = {cost["arm"]: cost["tried"] for cost in metrics["costs"]}
    assert tried == {f"{arm}-{order}": 1 + (arm != "small") for arm in values["arms"] for order in ("up", "down")}
    references = {claim["arms"][0]: claim["against"] for claim in metrics["claims"] if claim["kind"] == "arms"}
    assert references["blend-down"] == "sequential-down" and references["small-up"] == "sequential-up"

    # Another value trains what it needs and nothing else.
    second["sweep"]["training.learning_rate"] = [*rates, 0.005]
    again = workspace.snakemake("-n", "--configfile", "tiny.yaml", workspace.write("sweep.yaml", values))
    assert jobs(again.stdout)["train_adapter"] == 2


def test_arms_seeds_and_folds_span_the_graph(workspace):
    ids = list(range(48))
    folds = {"test": ids[:12], "folds": [ids[12 + 9 * k : 21 + 9 * k] for k in range(4)]}
    (workspace.path / "data" / "folds.json").write_text(json.dumps(folds))
    task = {"colours": {"split": "folded", "splits": {"folded": {"rule": "ids", "ids": "data/folds.json", "fold": 0}}}}
    values = {"tasks": task, "arms": ARMS | {"mixed": None}, "seeds": [0, 1, 2], "folds": [0, 3]}
    overlay = ("--configfile", "tiny.yaml", workspace.write("folds.yaml", values))
    planned = jobs(workspace.snakemake("-n", *overlay).stdout)
    # Four trainings, a blend and their predictions in each of six runs; the base model once.
    assert planned["train_adapter"] == 4 * 6 and planned["merge_adapters"] == 6
    assert planned["predict"] == 5 * 6 + 1 and planned["make_splits"] == 2

    targets = [f"out/data/fold-{fold}/summary.json" for fold in (0, 3)]
    workspace.snakemake(*overlay, "--", *targets)
    for fold in (0, 3):
        lines = (workspace.path / f"out/data/fold-{fold}/colours/validation.jsonl").read_text().splitlines()
        assert [int(json.loads(line)["id"]) for line in lines] == folds["folds"][fold]
    tests = {(workspace.path / f"out/data/fold-{fold}/colours/test.jsonl").read_bytes() for fold in (0, 3)}
    assert len(tests) == 1

    unfolded = workspace.write("unfolded.yaml", {"folds": [0, 1]})
    done = workspace.snakemake("-n", "--configfile", "tiny.yaml", unfolded, check=False)
    assert "no task of the arms has a split with a fold" in done.stderr and done.returncode


def test_a_steps_command_stays_short_however_many_arms_there_are(workspace):
    arms = {f"arm{n}": {"stages": [FIRST, {"task": "warmth", "name": f"w{n}"}]} for n in range(100)}
    overlay = workspace.write("arms.yaml", {"arms": arms})
    printed = workspace.snakemake("-n", "-p", "--configfile", "tiny.yaml", overlay).stdout
    commands = [line for line in printed.splitlines() if "python -m scripts." in line]
    assert len(commands) > 300 and max(map(len, commands)) < 800
    assert any("scripts.metrics" in command for command in commands)
