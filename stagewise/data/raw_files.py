"""Paths and checksums of a task's raw files. Imports nothing heavy: the workflow imports it for every plan."""

from pathlib import Path

from stagewise.config.tasks import SPLITS, File, FilesSplit, RandomSplit, Task
from stagewise.data.download import base_name
from stagewise.errors import InputError
from stagewise.provenance.files import sha256_file

RAW = "data/raw"


def raw_path(task_name: str, role: str, file: File, raw_dir=RAW) -> Path:
    """Path of a raw file: its own path if it is local, or ``{raw_dir}/{task}/{role}/{name}`` if it is fetched.

    The role separates files that share a name, such as ``train/0000.parquet`` and ``test/0000.parquet``.
    """
    if file.path is not None:
        return Path(file.path)
    return Path(raw_dir) / task_name / role / (base_name(file.url, file.member) or role)


def roles_read(task: Task) -> list[str]:
    """List the roles of the files of items that the task's split rule reads, in the source's order."""
    source = task.sources[task.source]
    rule = task.splits[task.split]
    if isinstance(rule, RandomSplit):
        used = {rule.file}
    elif isinstance(rule, FilesSplit):
        used = {getattr(rule, split) for split in SPLITS}
    else:
        used = set(source.files) - source.joined_roles
    return [role for role in source.files if role in used]


def check_raw(path: Path, file: File, key: str) -> str:
    """Compute a raw file's SHA-256 and compare it with the configuration's, if that has one.

    Parameters
    ----------
    path
        Path of the file.
    file
        Its declaration.
    key
        Configuration key of the declaration, for the error.

    Raises
    ------
    InputError
        If the file is missing, is not a regular file, or has another checksum.
    """
    if not path.is_file():
        problem = "is not a file" if path.exists() else "there is no such file"
        way = "fetch it with python -m scripts.fetch_data" if file.url else "correct the path"
        raise InputError(f"{path}: {problem} ({key}); {way}")
    sha256 = sha256_file(path)
    if file.sha256 and sha256 != file.sha256:
        way = "delete it and fetch it again" if file.url else "correct the file or its sha256"
        raise InputError(f"{path}: expected sha256 {file.sha256} but found {sha256} ({key}); {way}")
    return sha256
