"""Paths and checksums of a task's raw files. Imports nothing heavy: the workflow imports it for every plan."""

import re
from pathlib import Path

from stagewise.config.hub_names import MAIN
from stagewise.config.sources import DATA_SET_FORMAT, File
from stagewise.config.sources_lock import expected_sha256
from stagewise.config.tasks import SPLITS, FilesSplit, RandomSplit, Task
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
    name = dataset_file(file) if file.dataset else base_name(file.url, file.member) or role
    return Path(raw_dir) / task_name / role / name


def dataset_file(file: File) -> str:
    """Name of the local file that a split of a data set of the hub becomes; it holds the commit's first digits."""
    name = file.dataset.rpartition("/")[2]
    revision = re.sub(r"[^\w.+-]", "-", file.revision or MAIN)[:12]
    return "-".join(filter(None, (name, file.config, file.split, revision))) + f".{DATA_SET_FORMAT}"


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
    """Compute a raw file's SHA-256 and compare it with that of the configuration, or of its first fetch.

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
        way = "fetch it with python -m scripts.fetch_data" if file.is_fetched else "correct the path"
        raise InputError(f"{path}: {problem} ({key}); {way}")
    sha256 = sha256_file(path)
    expected = expected_sha256(file) if file.is_fetched else file.sha256
    if expected and sha256 != expected:
        way = "delete it and fetch it again" if file.is_fetched else "correct the file or its sha256"
        raise InputError(f"{path}: expected sha256 {expected} but found {sha256} ({key}); {way}")
    return sha256
