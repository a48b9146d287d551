"""The installable package: it holds every module and template, and works away from the checkout."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

from tests.helpers.project_copy import ROOT

PACKAGES = ("stagewise", "scripts")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that pip builds from a copy of the sources, without network."""
    folder = tmp_path_factory.mktemp("package")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    done = subprocess.run([*command, "--wheel-dir", folder / "built", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next((folder / "built").glob("stagewise-*.whl"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A folder for `sys.path` with the wheel's content and a user's own reader and remedy."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    (folder / "my_readers.py").write_text("def read_lines(path, reader, columns):\n    return []\n")
    (folder / "my_remedies.py").write_text(
        "from stagewise.remedies.base import Remedy\n\n\nclass Mine(Remedy):\n    '''One of the user's.'''\n"
    )
    return folder


def test_the_wheel_holds_every_module_and_template(wheel):
    sources = {
        path.relative_to(ROOT).as_posix()
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        content = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert content == sources


def test_dependencies_are_declared_in_the_locks_alone():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "dependencies" not in project and "optional-dependencies" not in project
    assert project["requires-python"]


@pytest.mark.parametrize(
    "code",
    [
        "from stagewise.config.readers import Reader; from stagewise.data.readers import find_format; "
        "find_format(Reader(format='my_readers:read_lines').format)",
        "from stagewise.remedies.registry import find_remedy; find_remedy('my_remedies:Mine')",
        "import stagewise.report.html, stagewise.pipeline.artifacts, scripts.train_adapter",
    ],
    ids=["reader", "remedy", "modules"],
)
def test_the_installed_package_works_away_from_the_checkout(site, tmp_path, code):
    """A reader or remedy of the user's is found beside it, without PYTHONPATH."""
    start = f"import sys; sys.path.insert(0, {str(site)!r}); import stagewise; "
    check = f"assert stagewise.__file__.startswith({str(site)!r}); "
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", start + check + code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
