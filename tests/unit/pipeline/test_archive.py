"""An archive that lacks code is refused."""

import subprocess

import pytest

from stagewise.errors import InputError
from stagewise.pipeline.archive import check_archive

ARGUMENTS = ["--cores", "1", "--archive", "x.tar.gz"]


def git(*arguments):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "Snakefile").write_text("")
    (tmp_path / "stagewise").mkdir()
    (tmp_path / "stagewise/errors.py").write_text("")
    return tmp_path


def test_a_clone_can_be_packed(folder):
    git("init")
    git("add", ".")
    check_archive(ARGUMENTS)
    check_archive(["--archive=x.tar.gz"])
    (folder / "notes.txt").write_text("")  # not part of the workflow
    check_archive(ARGUMENTS)


def test_what_git_does_not_track_is_refused(folder):
    check_archive(["--cores", "1", "all"])
    with pytest.raises(InputError, match="this is no clone; run it in one, or pack the folder yourself"):
        check_archive(ARGUMENTS)
    git("init")
    git("add", ".")
    (folder / "stagewise/mine.py").write_text("")
    with pytest.raises(InputError, match="git does not track stagewise/mine.py, so it would be left out; `git add`"):
        check_archive(ARGUMENTS)
    (folder / "stagewise/mine.py").unlink()
    (folder / "stagewise/errors.py").unlink()
    with pytest.raises(InputError, match="stagewise/errors.py is tracked and missing"):
        check_archive(ARGUMENTS)
