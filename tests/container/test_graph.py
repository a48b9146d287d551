"""The workflow in the image: the same bytes as on the host, nothing of the host inside, a GPU only where asked for."""

import json
import os
import shlex
import shutil

import pytest

from stagewise.errors import NETWORK_VARIABLES
from stagewise.provenance.files import sha256_file
from tests.workflow.conftest import jobs

RUN = ("--sdm", "apptainer", "--configfile", "tiny.yaml")
# Results to compare; not recipes, which name their image, and reports, which have clock times.
RESULTS = ("*.safetensors", "predictions/*.csv", "data/*/*.jsonl")
# Variables of Apptainer, the shell, the image and profiles/apptainer.env.
EXPECTED_VARIABLES = {
    "PATH",
    "HOME",
    "PWD",
    "SHLVL",
    "TERM",
    "LANG",
    "LD_LIBRARY_PATH",
    "PS1",
    "PROMPT_COMMAND",
    "USER_PATH",
    "_",
}
EXPECTED_VARIABLES |= {"PYTHONNOUSERSITE", "OMP_NUM_THREADS", "HF_HUB_OFFLINE", "OLDPWD", "STAGEWISE_DEVICE"}
EXPECTED_VARIABLES |= set(NETWORK_VARIABLES)


@pytest.fixture
def poison(workspace, monkeypatch):
    """Ways into a step's Python from outside: a module path, a user's site-packages, a start-up file, a variable."""
    for folder in (workspace.path / "poison", workspace.path / ".local" / "lib" / "python3.11" / "site-packages"):
        folder.mkdir(parents=True)
        (folder / "peft.py").write_text("raise ImportError('the host leaks in')\n")
    variables = {
        "PYTHONPATH": str(workspace.path / "poison"),
        "PYTHONUSERBASE": str(workspace.path / ".local"),
        "PYTHONSTARTUP": str(workspace.path / "poison" / "peft.py"),
        "STAGEWISE_POISON": "1",
        "HF_HUB_CACHE": "/nowhere",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def results(folder) -> dict[str, str]:
    files = {path for pattern in RESULTS for path in folder.rglob(pattern) if "checkpoints" not in path.parts}
    return {str(path.relative_to(folder)): sha256_file(path) for path in sorted(files)}


def releases(folder) -> dict[str, str]:
    """Package releases in every training.json, without torch's build (+cpu): the host may have the CUDA lock's."""
    return {
        f"{path.relative_to(folder)}: {name}": version.partition("+")[0]
        for path in sorted((folder / "base").rglob("training.json"))
        for name, version in json.loads(path.read_text())["packages"].items()
    }


def test_the_graph_gives_the_same_bytes_in_the_image_and_sees_nothing_of_the_host(
    workspace, image, recorded, tmp_path, request
):
    here = tmp_path / "here"
    shutil.copytree(workspace.path, here)
    workspace.snakemake("--configfile", "tiny.yaml")
    shutil.move(workspace.path / "out", here / "out")
    for left in (".snakemake", "logs"):
        shutil.rmtree(workspace.path / left)

    poison = request.getfixturevalue("poison")
    harmed = workspace.run("python", "-c", "import peft", check=False)
    assert "the host leaks in" in harmed.stderr  # it does harm outside the image
    workspace.snakemake(*RUN, STAGEWISE_IMAGE=str(image))

    steps = recorded.steps()
    print(f"\nin the image: {', '.join(sorted(steps))}")
    assert {"make_splits", "write_recipe", "train_adapter", "predict", "metrics", "report"} <= steps.keys()
    host, container = results(here / "out"), results(workspace.path / "out")
    for name, sha256 in container.items():
        print(f"{'same' if host.get(name) == sha256 else 'DIFFERENT'}  {sha256[:12]}  {name}")
    assert sum(name.endswith(".safetensors") for name in host) == 2 and any(name.endswith(".csv") for name in host)
    assert container == host
    print(f"packages in training.json: {releases(workspace.path / 'out')}")
    assert releases(workspace.path / "out") == releases(here / "out") != {}

    variables = dict(line.partition("=")[::2] for line in recorded.inside("predict", "env").splitlines() if "=" in line)
    foreign = {
        name
        for name in variables
        if name not in EXPECTED_VARIABLES and not name.startswith(("APPTAINER_", "SINGULARITY_"))
    }
    print(f"variables inside that are neither Apptainer's nor the image's: {sorted(foreign) or 'none'}")
    assert not foreign and poison["PYTHONPATH"] not in variables.values()
    assert variables["OMP_NUM_THREADS"] == "2"  # --cores 2 caps the rule's threads
    path = recorded.inside("predict", "python -c 'import sys; print(*sys.path)'")
    assert str(workspace.path) not in path and "the host" not in path
    assert not any("--nv" in call for call in steps.values())
    left = sorted(p.name for p in workspace.path.iterdir() if p.name not in {q.name for q in here.iterdir()})
    print(f"left in the project's folder by the image alone: {left}")

    # The image's content is part of the identity of results; a run without an image accepts those of any image.
    assert jobs(workspace.snakemake(*RUN, "-n", STAGEWISE_IMAGE=str(image)).stdout) == {}
    rebuilt = tmp_path / image.name
    shutil.copyfile(image, rebuilt)
    with open(rebuilt, "ab") as file:
        file.write(b"other")
    again = jobs(workspace.snakemake(*RUN, "-n", STAGEWISE_IMAGE=str(rebuilt)).stdout)
    print(f"with a rebuilt image: {again}")
    assert (again["make_splits"], again["train_adapter"], again["predict"]) == (1, 2, 3)
    assert jobs(workspace.snakemake("-n", "--configfile", "tiny.yaml").stdout) == {}


def test_only_a_step_that_was_given_a_gpu_gets_the_driver(workspace, image, recorded):
    """As Slurm does, this scheduler names the GPU to the jobs that asked for one."""
    submit = workspace.path / "submit"
    submit.write_text(
        '#!/bin/sh\n[ "$1" = 0 ] || export CUDA_VISIBLE_DEVICES=0,1\nnohup sh "$2" >/dev/null 2>&1 &\necho $!\n'
    )
    submit.chmod(0o755)
    workspace.snakemake(
        *RUN,
        *("--executor", "cluster-generic", "--cluster-generic-submit-cmd", "./submit {resources.gpu}", "--jobs", "2"),
        *("--default-resources", "gpu=0", "--set-resources", "train_adapter:gpu=1", "--latency-wait", "5"),
        *("--", "out/base/seed-0/colours/adapter/receipt.json", "out/base/predictions/receipt.json"),
        check=False,  # there is no such GPU, which the training says
        STAGEWISE_IMAGE=str(image),
        STAGEWISE_DEVICE="auto",
    )
    steps = recorded.steps()
    for name, call in sorted(steps.items()):
        print(f"\n{name}: apptainer {shlex.join(call[: call.index('bash')])}", end="")
    assert "--nv" in steps["train_adapter"]
    assert not any("--nv" in call for name, call in steps.items() if name != "train_adapter")
    assert "CUDA_VISIBLE_DEVICES=0,1\n" in recorded.inside("train_adapter", "env")
    assert "CUDA_VISIBLE_DEVICES" not in recorded.inside("predict", "env")


def test_a_missing_image_is_said_to_be_missing(workspace, apptainer):
    failed = workspace.snakemake(
        *RUN, "--", "out/data/summary.json", check=False, STAGEWISE_IMAGE=str(workspace.path / "none.sif")
    )
    assert failed.returncode != 0 and "none.sif" in failed.stderr + failed.stdout
    assert not os.path.exists(workspace.path / "out" / "data" / "summary.json")
