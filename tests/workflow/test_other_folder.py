"""A study in a folder of its own, with the project elsewhere."""

import shutil

import pytest

from tests.helpers.project_copy import ProjectFolder

pytestmark = pytest.mark.workflow

MODULE = """
module stagewise:
    snakefile: "{project}/Snakefile"
    config: config

use rule * from stagewise
"""


@pytest.fixture
def study(workspace, tmp_path) -> ProjectFolder:
    folder = ProjectFolder(tmp_path / "study")
    folder.path.mkdir()
    for name in ("config.yaml", "tiny.yaml"):
        shutil.copy(workspace.path / name, folder.path)
    for name in ("prompts", "data"):
        shutil.copytree(workspace.path / name, folder.path / name)
    return folder


@pytest.mark.parametrize("way", ["-s", "module"])
def test_steps_run_in_a_folder_without_the_project(workspace, study, way):
    if way == "module":
        (study.path / "Snakefile").write_text(MODULE.format(project=workspace.path))
        options = ["--max-checksum-file-size", "0"]
    else:
        options = ["-s", str(workspace.path / "Snakefile")]
    study.snakemake(*options, "--until", "make_splits", "--configfile", "tiny.yaml")
    assert (study.path / "out/data/warmth/test.jsonl").read_text()
    assert not (workspace.path / "out").exists()
