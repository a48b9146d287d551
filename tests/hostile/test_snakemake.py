"""The command that users type, with configurations that nobody can have meant: a dry run ends in one sentence."""

import re

import pytest

from tests.helpers.project_copy import ProjectCopy
from tests.helpers.refusals import contents

pytestmark = pytest.mark.workflow

# name: (content of config.yaml or None for the project's own, arguments, what the sentence says)
CASES = {
    "config.yaml in latin-1": ("experiment: café\n".encode("latin-1"), (), r"config\.yaml: line 1 is not UTF-8 text"),
    "config.yaml with a list as key": (b"? [a]\n: 1\n", (), r"config\.yaml: line 1: a key is a text, not a list"),
    "config.yaml with an impossible date": (b"experiment: 2020-13-45\n", (), r"config\.yaml: line 1: '2020-13-45'"),
    "config.yaml inside itself": (b"seeds: &s [*s]\n", (), r"config\.yaml: line 1: an alias stands inside"),
    "unknown key": (None, ("--config", "sead=1"), r"error: --config: 'sead' is not a setting; did you mean 'seeds'"),
    "wildcards": (None, ("--config", "results=out{x}"), r"error: --config: 'results': a path may hold no braces"),
    "results in data": (None, ("--config", "results=data"), r"error: --config: 'results': 'data' is a folder of"),
    "overlay in latin-1": (None, ("--configfile", "latin.yaml"), r"latin\.yaml: line 1 is not UTF-8 text"),
    "overlay that is missing": (None, ("--configfile=gone.yaml",), r"gone\.yaml: no such configuration file"),
    "overlay without a key": (None, ("--configfile", "empty.yaml"), r"empty\.yaml: holds no settings"),
    "overlay inside itself": (None, ("--configfile", "loop.yaml"), r"loop\.yaml: line 1: an alias stands inside"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> ProjectCopy:
    project = ProjectCopy(tmp_path_factory.mktemp("hostile") / "project")
    (project.path / "loop.yaml").write_text("seeds: &s [*s]\n")
    (project.path / "latin.yaml").write_bytes("experiment: café\n".encode("latin-1"))
    (project.path / "empty.yaml").write_text("# nothing\n")
    return project


@pytest.mark.parametrize("case", CASES)
def test_a_dry_run_says_it_in_one_sentence(project, case):
    content, arguments, says = CASES[case]
    path = project.path / "config.yaml"
    own = path.read_bytes()
    if content is not None:
        path.write_bytes(content)
    before = made_files(project)
    try:
        done = project.snakemake("-n", *arguments, check=False)
    finally:
        path.write_bytes(own)
    errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert done.returncode == 1 and len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert re.search(says, errors[0]), errors[0]
    assert made_files(project) == before


def made_files(project: ProjectCopy) -> list[str]:
    """What a run makes: everything but Snakemake's own folder and compiled modules."""
    return [
        name
        for name in contents(project.path)
        if not name.startswith((".snakemake", ".cache")) and "__pycache__" not in name
    ]


def test_the_command_line_means_what_a_file_says(project):
    """`null` is nothing, not a text of four letters: the steps get the same settings as from an overlay."""
    (project.path / "none.yaml").write_text("prompting: {system: null}\nseeds: [3]\n")
    plans = [
        project.snakemake("-n", "-p", *arguments).stdout
        for arguments in (("--configfile", "none.yaml"), ("--config", 'prompting={"system": null}', "seeds=[3]"))
    ]
    settings = [set(re.findall(r"(\w+Settings-[0-9a-f]{16})\.json", plan)) for plan in plans]
    assert settings[0] == settings[1] and any(name.startswith("RecipeSettings") for name in settings[0])
