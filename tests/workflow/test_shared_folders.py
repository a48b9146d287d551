"""Plans where the disk is not one's own: somebody else's results, a read-only or a full disk."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.stub_experiment import write_stubs
from stagewise.config.load_config import load
from stagewise.provenance.code import ProjectCode
from tests.helpers.project_copy import ProjectCopy

pytestmark = pytest.mark.workflow

STUDY = {
    "model": "mine",
    "models": {"mine": {"path": "my-model"}},
    "dtype": "float32",
    "tasks": {"pubmedqa": {"split": "published"}},
}
NOTHING = "Nothing to be done"
PLAN = ("--configfile", "study.yaml", "-n")
# Another user who may read this Python's folder, as a user of a shared machine may.
SETPRIV = shutil.which("setpriv")
OTHER = "--reuid 1234 --regid 1234 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search"
needs_root = pytest.mark.skipif(os.geteuid() != 0 or SETPRIV is None, reason="needs root and setpriv")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished experiment of stubs, every input newer than what was made from it."""
    project = ProjectCopy(tmp_path_factory.mktemp("finished") / "project")
    (project.path / "my-model").mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (project.path / "my-model" / name).write_text('{"model_type": "llama"}\n')
    project.write("study.yaml", STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.path)
        code = ProjectCode(root=Path())
        write_stubs(load("config.yaml", "study.yaml"), code)
    for path in (project.path / "results").rglob("*"):
        os.utime(path, (1e9, 1e9))
    return project.path


@pytest.fixture
def project(finished, tmp_path):
    project = ProjectCopy(tmp_path / "project")
    shutil.copytree(finished, project.path, dirs_exist_ok=True)
    return project


def state(folder: Path) -> dict:
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(folder.rglob("*"))}


def test_a_dry_run_writes_nothing_into_results(project):
    results = project.path / "results"
    before = state(results)
    assert NOTHING in project.snakemake(*PLAN).stdout
    stale = project.snakemake(*PLAN, "--config", "training={learning_rate: 0.5}")
    assert " -> 0.5" in stale.stderr and "train_adapter" in stale.stdout
    assert state(results) == before


@needs_root
def test_anyone_can_plan_on_somebody_elses_results(project):
    for path in [project.path, *project.path.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o22)
    project.path.parent.chmod(0o777)
    before = state(project.path / "results")
    done = project.run(
        SETPRIV, *OTHER.split(), "snakemake", "--cores", "1", *PLAN[:-1], LOGNAME="other", HOME=str(project.path)
    )
    assert NOTHING in done.stderr
    assert {path: s for path, s in state(project.path / "results").items() if path in before} == before


@needs_root
def test_a_disk_that_is_read_only_or_full_is_one_sentence(project):
    """In a mount namespace of its own, so that nothing is left mounted."""
    script = """
        mount -t tmpfs -o size=16m tmpfs "$1" && cp -a "$2"/. "$1" && cd "$1" && shift 2
        mount -o remount,ro . ; "$@" -n ; mount -o remount,rw .
        echo ---- >&2
        rm -rf .snakemake/stagewise-settings ; dd if=/dev/zero of=fill bs=1k 2>/dev/null ; "$@" -n
    """
    mounted = project.path.parent / "mounted"
    mounted.mkdir()
    command = ["unshare", "-m", "bash", "-c", script, "-", str(mounted), str(project.path)]
    if subprocess.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("no mount namespaces here")
    done = project.run(*command, "snakemake", "--cores", "1", *PLAN[:-1], check=False)
    read_only, full = done.stderr.split("----\n")
    assert "Traceback" not in read_only
    assert read_only.splitlines()[-1].startswith(
        "error: .snakemake: cannot be written, and Snakemake keeps its records"
    )
    assert NOTHING in done.stdout, full
