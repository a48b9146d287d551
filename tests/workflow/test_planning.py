"""Planning: rules are compared with declarations before anything runs; a failed run ends with its reason."""

import pytest

pytestmark = pytest.mark.workflow

TINY = ("--configfile", "tiny.yaml")
NOTE = """
rule note:
    output:
        f"{R}/note.txt",
    params:
        threshold=1,
    shell:
        "echo {params.threshold} > {output}"
"""


def errors(done) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("error:")]


def test_a_rule_that_nobody_declared_is_refused(workspace):
    """Nothing would make its output again when its parameters change."""
    (workspace.path / "rules/note.smk").write_text(NOTE)
    path = workspace.path / "Snakefile"
    path.write_text(
        path.read_text().replace('include: "rules/current', 'include: "rules/note.smk"\ninclude: "rules/current')
    )
    done = workspace.snakemake("-n", *TINY, "--", "out/note.txt", check=False)
    assert done.returncode and len(errors(done)) == 1
    assert "rule note: no artifact declares what it makes" in errors(done)[0] and "docs/extending.md" in errors(done)[0]


def test_a_rule_that_lists_another_file_than_declared_is_refused(workspace):
    path = workspace.path / "rules/report.smk"
    path.write_text(path.read_text().replace('        flat=f"{R}/metrics.json",\n', ""))
    done = workspace.snakemake("-n", *TINY, check=False)
    assert (
        done.returncode
        and len(errors(done)) == 1
        and "out/metrics.json is an output in its declaration" in errors(done)[0]
    )


def test_all_rules_agree_with_all_declarations(workspace, tiny_model):
    """A plan compares a few artifacts of each rule; this test compares all."""
    path = workspace.path / "stagewise/pipeline/check_rules.py"
    path.write_text(path.read_text().replace("sampled: int | None = SAMPLED", "sampled: int | None = None"))
    arms = {
        "isolated": {"adapters": "per_task", "stages": [{"task": "colours"}, {"task": "warmth"}]},
        "blend": {"stages": [{"task": "colours"}, {"task": "warmth", "remedies": {"blend": {"alpha": 0.5}}}]},
        "other": {"model": "other", "lora": {"r": 2}, "stages": [{"task": "colours"}, {"task": "warmth"}]},
    }
    models = {"other": {"path": str(tiny_model)}}
    overlay = workspace.write("arms.yaml", {"arms": arms, "models": models, "seeds": [0, 1]})
    assert "train_adapter" in workspace.snakemake("-n", *TINY, overlay).stdout


def test_a_training_is_told_what_its_resources_allow(workspace):
    """They change no plan: what is current does not depend on them."""
    resources = ("runtime=90", "micro_batch=2", "gradient_checkpointing=off")
    planned = [
        workspace.snakemake("-n", "-p", *TINY, *more).stdout
        for more in ((), ("--set-resources", *(f"train_adapter:{resource}" for resource in resources)))
    ]
    assert ["--time-limit" in plan for plan in planned] == [False, True]
    assert planned[1].count("--time-limit 90 ") == 2 == planned[0].count("-m scripts.train_adapter ")
    assert "--time-limit" not in planned[1].replace("--time-limit 90 ", "")
    assert "--micro-batch auto " in planned[0] and "--gradient-checkpointing auto " in planned[0]
    assert "--micro-batch 2 " in planned[1] and "--gradient-checkpointing off " in planned[1]


def test_a_failed_step_ends_the_run_with_one_sentence(workspace):
    data = workspace.path / "data/colours.jsonl"
    data.write_text("{\n")
    done = workspace.snakemake(*TINY, check=False)
    (last,) = errors(done)[-1:]
    assert (
        last.startswith("error: make_splits failed: data/colours.jsonl: ")
        and "(log: logs/out/data/make_splits.log)" in last
    )
    # Neither settings nor whole commands stand between the lines.
    assert max(map(len, done.stderr.splitlines())) < 1500
