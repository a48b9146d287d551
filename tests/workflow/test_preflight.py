"""Preflight in the workflow, what a run says at its end, and archives."""

import pytest

from tests.workflow.conftest import jobs

pytestmark = pytest.mark.workflow

TINY = ("--configfile", "tiny.yaml")


def errors(done) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("error:")]


def test_a_hopeless_setting_stops_the_run_before_training(workspace):
    overlay = workspace.write("head.yaml", {"lora": {"target_modules": ["lm_head"]}})
    done = workspace.snakemake(*TINY, overlay, check=False)
    assert done.returncode
    assert errors(done)[-1].startswith("error: run_preflight failed: config: lora.target_modules names 'lm_head'")
    assert (workspace.path / "out/data/summary.json").is_file()
    assert not (workspace.path / "out/base").exists() or not list((workspace.path / "out/base").rglob("adapter"))
    # Mended, the same run is planned with one more check.
    planned = jobs(workspace.snakemake("-n", *TINY).stdout)
    assert planned["run_preflight"] == 1 and planned["train_adapter"] == 2 and "make_splits" not in planned


def test_what_is_known_at_the_start_stops_before_anything_is_fetched(workspace):
    overlay = workspace.write("mlflow.yaml", {"logging": {"report_to": ["mlflow"]}})
    done = workspace.snakemake(*TINY, overlay, check=False)
    assert done.returncode and "logging.report_to names 'mlflow', which is not installed" in "".join(errors(done))
    assert not (workspace.path / "models").exists() and not (workspace.path / "out/data").exists()


def test_a_target_says_what_was_made_and_no_more(workspace):
    done = workspace.snakemake(*TINY, "--", "splits")
    assert "The splits are in out/data." in done.stdout and "The report is" not in done.stdout
    assert "preflight of tiny" not in done.stderr  # nothing waits for it
    done = workspace.snakemake(*TINY, "--", "preflight")
    assert "  prompts " in done.stderr + done.stdout and "The report is" not in done.stdout


def test_an_archive_can_be_planned_where_it_is_unpacked(workspace, tmp_path):
    archive = tmp_path / "packed.tar.gz"
    done = workspace.snakemake(*TINY, "--archive", str(archive), check=False)
    assert done.returncode and errors(done)[-1].startswith("error: --archive: packs the files that git tracks, and")
    assert not archive.exists()
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c")
    workspace.run(*git, "init")
    workspace.run(*git, "add", "Snakefile", "config.yaml", *"rules scripts stagewise profiles report prompts".split())
    workspace.snakemake(*TINY, "--archive", str(archive))
    (tmp_path / "elsewhere").mkdir()
    workspace.run("tar", "-xzf", str(archive), "-C", str(tmp_path / "elsewhere"))
    workspace.path = tmp_path / "elsewhere"
    assert jobs(workspace.snakemake("-n", *TINY).stdout)["train_adapter"] == 2
