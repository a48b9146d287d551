"""Records of a file of items, with the columns that stand in files of their own."""

from pathlib import Path

from stagewise.config.sources import Source
from stagewise.config.tasks import Task
from stagewise.data.raw_files import check_raw, raw_path
from stagewise.data.readers import read_records
from stagewise.data.texts import as_text
from stagewise.errors import InputError


def task_columns(task: Task) -> list[str]:
    """List the columns that a task reads, in the order of its settings."""
    columns = [task.id, *task.label_columns, task.group, *(column.column for column in task.fields.values())]
    columns += [*(task.options.columns if task.options else []), *task.sources[task.source].agreement]
    return list(dict.fromkeys(column for column in columns if column is not None))


def read_role(name: str, task: Task, role: str, raw_dir) -> tuple[list[dict], dict[str, dict]]:
    """Read the records of one role, and join the columns that its source's `joins` name.

    Returns
    -------
    Records with the columns of `task_columns`, in the order of the role's own file; and name and sha256 of each file
    that was read, by role.

    Raises
    ------
    InputError
        For a file that is missing or not what it should be, or rows that cannot be joined.
    """
    source = task.sources[task.source]
    files, columns = {}, task_columns(task)
    joined = {column for join in source.joins for column in join.columns}
    item_columns = [column for column in columns if column not in joined]
    item_columns += [join.by for join in source.joins if join.by is not None and join.by not in item_columns]
    if not item_columns:
        raise InputError(f"tasks.{name}: no column comes from the file '{role}', only from those joined to it")
    path = _checked(name, task.source, source, role, raw_dir, files)
    records = read_records(path, source.reader, item_columns)
    for join in source.joins:
        other = _checked(name, task.source, source, join.files[role], raw_dir, files)
        key = join.by if join.key is None else join.key
        rows = read_records(other, join.reader or source.reader, join.columns + ([key] if join.by is not None else []))
        if join.by is None:
            matches = _by_row(path, records, other, rows)
        else:
            matches = _by_key(path, records, join.by, other, rows, key)
        records = [
            record | {column: match.get(column) for column in join.columns}
            for record, match in zip(records, matches, strict=True)
        ]
    return records, files


def _checked(name: str, source_name: str, source: Source, role: str, raw_dir, files: dict) -> Path:
    """Path of a role's file; its name and checksum are added to `files`."""
    path = raw_path(name, role, source.files[role], raw_dir)
    sha256 = check_raw(path, source.files[role], f"tasks.{name}.sources.{source_name}.files.{role}")
    files[role] = {"name": path.name, "sha256": sha256}
    return path


def _by_row(path: Path, records: list[dict], other: Path, rows: list[dict]) -> list[dict]:
    if len(rows) != len(records):
        raise InputError(
            f"{other}: {len(rows)} rows, but {path} has {len(records)} and they are joined row by row; correct the "
            "files, or name with joins.by a column of both"
        )
    return rows


def _by_key(path: Path, records: list[dict], by: str, other: Path, rows: list[dict], key: str) -> list[dict]:
    """Match rows by the texts of their keys; a record without a match lacks the columns."""
    row_of: dict[str, dict] = {}
    for number, row in enumerate(rows, 1):
        if (text := as_text(row[key])) in row_of:
            raise InputError(f"{other}: row {number} has the {key} '{text}' of an earlier row; keep one of them")
        row_of[text] = row
    row_of.pop("", None)
    matches = [row_of.get(as_text(record[by]), {}) for record in records]
    if not any(matches):
        raise InputError(f"{other}: no row has a '{key}' that is a '{by}' of {path}; name other columns in joins")
    return matches
