"""Refusal of a `snakemake --archive` that could not run where it is unpacked: Snakemake packs what git tracks."""

import subprocess
from pathlib import Path

from stagewise.errors import InputError

PROJECT = ("Snakefile", "config.yaml", "rules", "scripts", "stagewise", "profiles", "report")
"""Files that every run needs. Prompts, raw files and overlays are inputs, which are packed whether tracked or not."""

_WAY = "or pack the folder yourself, such as with `tar --exclude=.venv --exclude=.snakemake -czf FILE .`"


def check_archive(arguments: list[str]) -> None:
    """Refuse ``--archive``, if it is among the arguments of Snakemake's command line, where it would leave code out.

    Raises
    ------
    InputError
        Without a git repository, or with files of the project that it does not track.
    """
    if not any(argument.split("=")[0] == "--archive" for argument in arguments):
        return
    try:
        done = _git("ls-files", "--error-unmatch", "Snakefile")
    except OSError:
        raise InputError(f"--archive: packs the files that git tracks, and git is not installed; {_WAY[3:]}") from None
    if done.returncode:
        raise InputError(f"--archive: packs the files that git tracks, and this is no clone; run it in one, {_WAY}")
    untracked = _git("ls-files", "--others", "--exclude-standard", "--", *PROJECT).stdout.splitlines()
    if untracked:
        raise InputError(f"--archive: git does not track {untracked[0]}, so it would be left out; `git add` it, {_WAY}")
    lost = [name for name in _git("ls-files").stdout.splitlines() if not Path(name).exists()]
    if lost:
        raise InputError(f"--archive: {lost[0]} is tracked and missing; `git restore` it, or `git rm` it")


def _git(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", "-c", "core.quotepath=off", *arguments], capture_output=True, text=True)
