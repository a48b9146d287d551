"""A tiny experiment that ran undisturbed, for Snakemake and under DVC; tests kill runs in copies of it."""

import pytest

from stagewise.config.yaml_files import read_yaml
from tests.dvc.conftest import Project
from tests.workflow.conftest import tiny_workspace

# What a hook remembers is in the checkpoints too.
AVERAGED = {"task": "colours", "name": "colours", "remedies": {"ema": {}}}

# Two epochs of some steps, with checkpoints within and between them; a merged adapter.
LONGER = {
    "training": {"epochs": 2, "eval_every": 2, "max_length": 96, "learning_rate": 0.01},
    "arms": {
        "sequential": {"stages": [AVERAGED, {"task": "warmth"}]},
        "blend": {"stages": [AVERAGED, {"task": "warmth", "remedies": {"blend": {"alpha": 0.5}}}]},
        "rehearsal": None,
    },
}


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, tiny_model) -> Project:
    """The experiment after ``snakemake``. Read only: kill runs in copies."""
    plain = tiny_workspace(tmp_path_factory.mktemp("kill") / "project", tiny_model)
    project = Project(plain.path)
    project.change(**read_yaml(plain.path / "tiny.yaml") | LONGER)
    project.snakemake()
    return project


@pytest.fixture(scope="session")
def undisturbed_under_dvc(undisturbed, tmp_path_factory) -> Project:
    """The same after ``dvc repro``."""
    project = undisturbed.copy(tmp_path_factory.mktemp("kill-dvc") / "project")
    project.run("python", "-m", "scripts.write_dvc")
    ignored = ("/out/", "/models/", "/logs/", ".snakemake/", "__pycache__/", "/output.txt")
    (project.path / ".gitignore").write_text("\n".join(ignored) + "\n", encoding="utf-8")
    project.git("init", "-q")
    project.commit("The plan")
    project.dvc("repro")
    project.commit("The results")
    return project
