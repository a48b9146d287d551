"""Certify an experiment: run it twice from scratch in different surroundings, and compare every byte that it leaves.

What is promised: on one kind of CPU, with the same number of threads and the same packages, an experiment gives the
same splits, recipes, adapters, predictions, probes and metrics, whatever the folder's name, the user, the time zone,
the locale, the age of the files and Python's hash seed are. A GPU adds numbers in an order of its own and promises
nothing to the bit.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from stagewise.errors import InputError
from stagewise.pipeline.compare_results import CLOCK_KEYS
from stagewise.provenance.differences import differences
from stagewise.provenance.files import read_json

KINDS = {
    "splits": r"data/.+",
    "recipes": r"base(-[^/]+)?/.+/recipe\.json",
    "adapters": r"base(-[^/]+)?/(.+/)?adapter/.+",
    "predictions": r"base(-[^/]+)?/(.+/)?predictions/.+",
    "probes": r"base(-[^/]+)?/(.+/)?probes/.+",
    "metrics": r"(report_)?metrics\.json",
}
"""Compared files, by pattern of the path below the results folder; the first that fits counts."""

NOT_COMPARED = r"checkpoints/.+|preflight\.json|report\.(html|md)|items\.html|figures/.+|\..+"
"""Caches, the preflight, which holds what is free of memory and disk, and pages of the metrics, which show times."""

CLOCK_LINES = {
    "README.md": r"\| time\b.*",
    "training_log.csv": r".*,(train_)?(runtime|samples_per_second|steps_per_second),.*",
}
"""Pattern of the lines that hold times, by name of the file: the model card and the training log."""

# Checksums of files that hold times, and of the records that hold those.
_FOLLOWS = re.compile(
    r"checksum|(inputs\.)?files\.(.+/)?(receipt|training|summary)\.json|files\.(README\.md|training_log\.csv)|"
    + CLOCK_KEYS
)
# Histories, environments, logs and caches of the checkout.
_NOT_COPIED = (".git", ".snakemake", ".venv*", "logs", "__pycache__", "*.pyc", ".pytest_cache", ".ruff_cache", "tmp")
_LINKED_FROM = 2**20  # bytes: model files and raw data, which no step writes into


@dataclass(frozen=True)
class Surroundings:
    """Surroundings that a run must not depend on."""

    folder: str
    umask: int
    modified: int
    """Time of every file that is read, seconds since 1970."""
    environment: dict[str, str]


SURROUNDINGS = (
    Surroundings("one", 0o022, 1_000_000_000, {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"}),
    Surroundings(
        "another user's/copy 2", 0o077, 1_700_000_000, {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "4711"}
    ),
)


@dataclass(frozen=True)
class Compared:
    """One file of the two runs."""

    kind: str
    name: str
    problem: str | None
    """The difference in words; None if there is none."""
    bytes: int


def run_twice(project: Path, scratch: Path, results: str, arguments: list[str]) -> list[Path]:
    """Run Snakemake on two copies of a project, each in surroundings of its own; return the two results folders.

    Parameters
    ----------
    project
        Folder with the Snakefile. Its results are not copied: both runs start from scratch.
    scratch
        Empty folder for the copies, which takes the disk space of two runs.
    results
        Name of the results folder below the project.
    arguments
        Of Snakemake: cores, configuration files.

    Raises
    ------
    InputError
        If a run fails, with the end of its output.
    """
    folders = []
    for number, around in enumerate(SURROUNDINGS, 1):
        home, copy = scratch / f"home-{number}", scratch / around.folder / "project"
        home.mkdir(parents=True)
        _copy(project, copy, results, around.modified)
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=copy,
            env=os.environ | around.environment | {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")},
            umask=around.umask,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if done.returncode:
            tail = "\n".join(done.stdout.splitlines()[-20:])
            raise InputError(f"{copy}: run {number} of 2 failed (exit status {done.returncode}):\n{tail}")
        folders.append(copy / results)
    return folders


def _copy(project: Path, copy: Path, results: str, modified: int) -> None:
    inside = (project / results).resolve()

    def ignored(folder, names):
        mine = set(shutil.ignore_patterns(*_NOT_COPIED)(folder, names))
        return mine | {name for name in names if (Path(folder) / name).resolve() == inside}

    def link_or_copy(source, target):
        if os.stat(source).st_size < _LINKED_FROM:
            shutil.copyfile(source, target)
            shutil.copymode(source, target)
            os.utime(target, (modified, modified))
            return
        try:
            os.link(os.path.realpath(source), target)
        except OSError:  # another file system
            shutil.copy2(source, target)

    shutil.copytree(project, copy, ignore=ignored, copy_function=link_or_copy)


def compare_bytes(first: Path, second: Path) -> list[Compared]:
    """Compare every file of two results folders; fields and lines that hold times are left out."""
    compared = []
    for name in sorted({*_files(first), *_files(second)}):
        kind = next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, name)), None)
        if kind is None and re.fullmatch(NOT_COMPARED, name):
            continue
        pair = [folder / name for folder in (first, second)]
        missing = [where for where, path in zip(("first", "second"), pair, strict=True) if not path.is_file()]
        size = max(path.stat().st_size for path in pair if path.is_file())
        problem = f"missing in the {missing[0]} run" if missing else _difference(*pair)
        compared.append(Compared(kind or "other files", name, problem, size))
    return compared


def _files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _difference(first: Path, second: Path) -> str | None:
    """Say how two files differ; None if they do not but for times."""
    contents = first.read_bytes(), second.read_bytes()
    if contents[0] == contents[1]:
        return None
    if first.suffix == ".json":
        records = (read_json(path, "the record") for path in (first, second))
        entries = [entry for entry in differences(*records) if not _FOLLOWS.fullmatch(entry.key)]
        if entries:
            return entries[0].text + (f" and {len(entries) - 1} more" if len(entries) > 1 else "")
        return None if _same_keys(*contents) else "written in another way"
    if pattern := CLOCK_LINES.get(first.name):
        texts = [re.sub(pattern, "", content.decode(errors="replace")) for content in contents]
        return None if texts[0] == texts[1] else "other lines"
    position = next((n for n, pair in enumerate(zip(*contents, strict=False)) if pair[0] != pair[1]), None)
    return "other lengths" if position is None else f"byte {position} differs"


def _same_keys(first: bytes, second: bytes) -> bool:
    """True if two JSON texts have the same keys in the same order."""
    keys = (re.findall(rb'"(?:[^"\\]|\\.)*"\s*:', text) for text in (first, second))
    return next(keys) == next(keys)


def describe(compared: list[Compared]) -> list[str]:
    """A table of what was compared, the files that differ, and what is promised for which machine."""
    lines = [f"{'':12} {'files':>6} {'equal':>6} {'MB':>8}"]
    for kind in [*KINDS, "other files"]:
        files = [entry for entry in compared if entry.kind == kind]
        if files or kind in KINDS:
            equal, size = sum(entry.problem is None for entry in files), sum(entry.bytes for entry in files) / 1e6
            lines.append(f"{kind:12} {len(files):6} {equal:6} {size:8.2f}")
    lines += [f"differs: {entry.name}: {entry.problem}" for entry in compared if entry.problem]
    lines += [
        "Not counted: times, speeds and memory (in JSON seconds*, tried_seconds, tokens_per_second, peak_memory_bytes; "
        "in training logs runtime, samples_per_second, steps_per_second; the model card's line of them), checksums of "
        "the files that hold them; reports, figures, checkpoints.",
        f"Promised for {_cpu()}, {os.environ.get('OMP_NUM_THREADS') or 'the default number of'} threads a process "
        f"(OMP_NUM_THREADS) at the same --cores, {_packages()}; not for a GPU, another kind of CPU or other packages.",
    ]
    return lines


def _cpu() -> str:
    try:
        names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        names = []
    return f"{names[0] if names else platform.processor() or 'this CPU'} ({platform.machine()})"


def _packages() -> str:
    return ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "peft", "numpy"))


def results_folder(project: Path, configfiles: list[str]) -> str:
    """Results folder of the experiment, as the configuration names it."""
    from stagewise.config.load_config import load

    folder = load(project / "config.yaml", *configfiles).results
    if Path(folder).is_absolute():
        raise InputError(
            f"config: results: {json.dumps(str(folder))} is an absolute path, which two runs would share; name a "
            "folder below the project"
        )
    return str(folder)
