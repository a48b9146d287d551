"""Where a task's raw files lie, and whether they are what the configuration says. Light: the workflow imports it."""

from pathlib import Path

from stagewise.config.tasks import SPLITS, File, FilesSplit, RandomSplit, Task
from stagewise.data.download import base_name
from stagewise.errors import InputError
from stagewise.provenance.files import sha256_file

RAW = "data/raw"


def raw_path(task_name: str, role: str, file: File, raw_dir=RAW) -> Path:
    """Path of a raw file: a local one where it stands, a fetched one in a folder of its task and role.

    The role keeps apart files that share a name, such as `train/0000.parquet` and `test/0000.parquet`.
    """
    if file.path is not None:
        return Path(file.path)
    return Path(raw_dir) / task_name / role / (base_name(file.url, file.member) or role)


def roles_read(task: Task) -> list[str]:
    """Roles of the files that the task's split rule reads, in the source's order."""
    files = task.sources[task.source].files
    rule = task.splits[task.split]
    if isinstance(rule, RandomSplit):
        used = {rule.file}
    elif isinstance(rule, FilesSplit):
        used = {getattr(rule, split) for split in SPLITS}
    else:
        used = set(files)
    return [role for role in files if role in used]


def check_raw(path: Path, file: File, key: str) -> str:
    """SHA-256 of a raw file, compared with the configuration's where that has one.

    Parameters
    ----------
    path
        Where the file lies.
    file
        Its declaration.
    key
        What the configuration calls it, for the error.

    Raises
    ------
    InputError
        Where it is missing, no regular file, or another file than the checksum says.
    """
    if not path.is_file():
        problem = "is not a file" if path.exists() else "there is no such file"
        way = "fetch it with python -m scripts.fetch_data" if file.url else "correct the path"
        raise InputError(f"{path}: {problem} ({key}); {way}")
    found = sha256_file(path)
    if file.sha256 and found != file.sha256:
        way = "delete it and fetch it again" if file.url else "correct the file or its sha256"
        raise InputError(f"{path}: expected sha256 {file.sha256} but found {found} ({key}); {way}")
    return found
