"""The whole graph by configuration alone: new tasks, three stages, reruns, and refusals before any job."""

import json

import jsonschema
import pandas as pd
import pytest

from stagewise.config.yaml_files import read_yaml
from tests.workflow.conftest import colour_task, jobs, write_colours

pytestmark = pytest.mark.workflow
THIRD = {
    "tasks": {"size": colour_task("data/sizes.jsonl", ["small", "large"])},
    "arms": {"sequential": {"stages": [{"task": "colours"}, {"task": "warmth"}, {"task": "size"}]}},
}


def test_a_third_task_and_a_third_stage_need_no_code(workspace):
    write_colours(workspace.path / "data" / "sizes.jsonl", ["small", "large"], seed=2)
    overlay = ("--configfile", "tiny.yaml", workspace.write("third.yaml", THIRD))
    planned = jobs(workspace.snakemake("-n", *overlay).stdout)
    assert planned["train_adapter"] == 3 and planned["predict"] == 4

    workspace.snakemake(*overlay)
    out = workspace.path / "out"
    metrics = json.loads((out / "report_metrics.json").read_text())
    schema = json.loads((workspace.path / "schemas" / "report_metrics.schema.json").read_text())
    jsonschema.validate(metrics, schema)
    deepest = out / "base" / "seed-0" / "colours" / "warmth" / "size"
    assert json.loads((deepest / "recipe.json").read_text())["parents"][0]["lineage"] == "base/seed-0/colours/warmth"
    for lineage in ("base", "base/seed-0/colours", "base/seed-0/colours/warmth", "base/seed-0/colours/warmth/size"):
        for task in ("colours", "warmth", "size"):
            table = pd.read_csv(out / lineage / "predictions" / f"{task}.test.csv")
            items = [json.loads(line) for line in (out / "data" / task / "test.jsonl").open()]
            assert table.id.astype(str).tolist() == [item["id"] for item in items]
            assert table.label.tolist() == [item["label"] for item in items]
    assert "size" in (out / "report.md").read_text() and "size" in (out / "report.html").read_text()

    workspace.snakemake(*overlay, "--report", "snakemake-report.html")
    assert "report_metrics.json" in (workspace.path / "snakemake-report.html").read_text()

    # Nothing changed, so nothing runs; a newer file with the same bytes changes nothing either.
    assert "Nothing to be done" in workspace.snakemake(*overlay).stderr
    for path in [*out.rglob("*.jsonl"), workspace.path / "data" / "sizes.jsonl", *workspace.path.glob("prompts/*")]:
        path.touch()  # newer, with the same bytes
    assert "Nothing to be done" in workspace.snakemake(*overlay).stderr

    # Another setting of the last stage reruns that stage and its descendants.
    stages = [{"task": "colours"}, {"task": "warmth"}, {"task": "size", "training": {"learning_rate": 0.02}}]
    changed = workspace.write("changed.yaml", THIRD | {"arms": {"sequential": {"stages": stages}}})
    planned = jobs(workspace.snakemake("-n", "--configfile", "tiny.yaml", changed).stdout)
    assert planned.pop("run_preflight") == 1
    assert planned == {"write_recipe": 1, "train_adapter": 1, "predict": 1, "metrics": 1, "report": 1, "all": 1}

    # Two finished results are told apart by what they are made from.
    assert workspace.run("python", "-m", "scripts.explain", "out", "out").stdout == "no difference\n"
    stages = ("out/base/seed-0/colours", "out/base/seed-0/colours/warmth")
    explained = workspace.run("python", "-m", "scripts.explain", *stages, check=False)
    assert explained.returncode == 1 and explained.stdout.startswith('could matter: learns[0] "colours" -> "warmth"\n')
    assert "differs: adapter_model.safetensors changed\n" in explained.stdout
    assert "changes nothing: stage 1 -> 2: a name\n" in explained.stdout


def test_the_published_way_runs_with_everything_it_got_wrong(workspace):
    published = read_yaml(workspace.path / "experiments" / "published.yaml")
    wrong = {key: published[key] for key in ("prompting", "duplicates", "evaluation", "statistics")}
    wrong["training"] = published["training"] | {"epochs": 2, "eval_every": 2, "max_length": 96}
    # The second stage continues the step count of the first, so it needs more epochs.
    stages = [{"task": "colours"}, {"task": "warmth", "training": {"epochs": 5}}]
    wrong["arms"] = {"sequential": {"stages": stages}}
    workspace.snakemake("--configfile", "tiny.yaml", workspace.write("wrong.yaml", wrong))

    first = workspace.path / "out" / "base" / "seed-0" / "colours"
    steps = json.loads((first / "adapter" / "training.json").read_text())["steps"]
    child = json.loads((first / "warmth" / "adapter" / "training.json").read_text())
    assert child["resumed_from_step"] == steps
    table = pd.read_csv(first / "predictions" / "colours.validation.csv")
    assert "text" in table.columns and table["logprob:red"].isna().all()
    metrics = json.loads((workspace.path / "out" / "report_metrics.json").read_text())
    assert "published" in {record["comparison"] for record in metrics["forgetting"]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"trainning": {}}, "'trainning' is not a setting; did you mean 'training'?"),
        ({"training": {"learning_rat": 1}}, "did you mean 'learning_rate'?"),
        ({"arms": {"sequential": {"stages": [{"task": "colors"}]}}}, "names the task 'colors'"),
    ],
)
def test_a_bad_configuration_stops_snakemake_before_any_job(workspace, change, says):
    done = workspace.snakemake("--configfile", "tiny.yaml", workspace.write("bad.yaml", change), check=False)
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "bad.yaml" in errors[0] and says in errors[0]
    assert not (workspace.path / "out").exists()
