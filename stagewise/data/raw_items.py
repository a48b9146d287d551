"""Turn raw records into items, and set aside each row that cannot be used, with the reason."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stagewise.config.base import shown
from stagewise.config.tasks import FilesSplit, Task
from stagewise.data.columns import list_names
from stagewise.data.content_ids import content_ids
from stagewise.data.gold import Gold, GoldReader
from stagewise.data.items import Item, SetAside
from stagewise.data.joins import read_role, task_columns
from stagewise.data.raw_files import RAW, raw_path, roles_read
from stagewise.data.set_aside import Losses, Problem, check_labels, check_unknown_labels
from stagewise.data.texts import as_text, field_text, is_readable
from stagewise.errors import InputError


@dataclass
class Pool:
    """All rows of a task, sorted into items and rows set aside."""

    items: list[Item]
    set_aside: list[SetAside]
    files: dict[str, dict]
    """Name and sha256 of each file that was read, by role."""
    rows: int
    file_names: list[str]
    """Names by which items refer to those files, in the order in which they were read."""

    def sorted(self, rows: list[SetAside]) -> list[SetAside]:
        """Sort rows into the order in which they were read."""
        order = {name: number for number, name in enumerate(self.file_names)}
        return sorted(rows, key=lambda row: (order[row.file], row.row))


class RawId(NamedTuple):
    """An id as the raw file has it."""

    value: object
    location: str


def read_items(name: str, task: Task, raw_dir=RAW) -> Pool:
    """Read the files that a task's split needs.

    Ids must be unique within the rows that they are looked up in: within each file if the split goes by files
    (whose numbering may start anew), within all files otherwise. The first row keeps the id.

    Raises
    ------
    InputError
        For a file that is missing or not what it should be, a label that no usable row has, or values that are none.
    """
    source = task.sources[task.source]
    pool = Pool([], [], {}, 0, [])
    paths = {role: raw_path(name, role, source.files[role], raw_dir) for role in roles_read(task)}
    by_files = isinstance(task.splits[task.split], FilesSplit)
    ids: dict[tuple[str, str], RawId] = {}
    losses, gold_reader = Losses(), GoldReader(name, task)
    for role, path in paths.items():
        records, files = read_role(name, task, role, raw_dir)
        pool.files |= files
        pool.rows += len(records)
        # Files that share a name are told apart by their folders.
        unique = [other.name for other in paths.values()].count(path.name) == 1
        file_name = path.name if unique else path.as_posix()
        pool.file_names.append(file_name)
        _refuse_nested(path, task, records)
        item_ids = _item_ids(task, role, records)
        for row, (record, item_id) in enumerate(zip(records, item_ids, strict=True), 1):
            gold = gold_reader.read(record, f"{path}: row {row}")
            item, problem = _make_item(task, record, item_id, gold, file_name, role, row)
            if problem is None and task.id is not None:
                this = RawId(record[task.id], item.location)
                problem = _id_problem(ids.setdefault((role if by_files else "", item.id), this), this, task.id)
            if problem is None:
                pool.items.append(item)
            else:
                pool.set_aside.append(SetAside.of(item, problem.reason))
                losses.add(item, problem, gold.unknown)
    gold_reader.check()
    check_labels(name, task, pool.items, losses)
    check_unknown_labels(name, task, losses)
    return pool


def _refuse_nested(path: Path, task: Task, records: list[dict]) -> None:
    """Refuse a column of records where a text is needed: one of its values is meant."""
    options = task.options.columns if task.options else []
    for column in task_columns(task):
        value = next((record[column] for record in records if record[column]), None)
        if isinstance(value, list) and isinstance(value[0], dict):  # a path takes a value of each record in a list
            value = value[0]
        if isinstance(value, dict) and column not in options:
            name = next(iter(value), "NAME")
            raise InputError(
                f"{path}: the column '{column}' holds records ({list_names(list(value))}); name one of their values, "
                f"such as '{column}.{name}'"
            )


def _item_ids(task: Task, role: str, records: list[dict]) -> list[str]:
    """Ids of a file's rows: those of the column, or ones made from the content."""
    if task.id is not None:
        return [as_text(record[task.id]) for record in records]
    columns = [*task.label_columns, *(column.column for column in task.fields.values())]
    return content_ids(role, records, columns + (task.options.columns if task.options else []))


def _id_problem(first: RawId, this: RawId, column: str) -> Problem | None:
    """Compare a row's id with the first one that is written the same.

    Raises
    ------
    InputError
        If one is a number and the other a text, or a number of another kind: nobody knows if they are meant to be one.
    """
    if first.location == this.location:
        return None
    if type(first.value) is not type(this.value):
        raise InputError(
            f"{this.location}: the id {shown(this.value)} and the id {shown(first.value)} of {first.location} are "
            f"written alike but are not of one type; write all ids of the column '{column}' as texts"
        )
    return Problem("duplicate id", column)


def _make_item(
    task: Task, record: dict, item_id: str, gold: Gold, file_name: str, role: str, row: int
) -> tuple[Item, Problem | None]:
    """Make an item of a row; also return the first problem if it cannot be used."""
    problems = []
    if task.id is not None and not item_id.strip():
        problems.append(Problem("empty id", task.id))
    elif task.id is not None and not is_readable(item_id):
        problems.append(Problem("unreadable id", task.id))
    fields = {}
    for variable, column in task.fields.items():
        fields[variable], reason = field_text(record[column.column], column)
        if reason:
            problems.append(Problem(reason, column.column))
    if gold.option_lines is not None:
        fields["options"] = gold.option_lines
    if gold.problem:
        problems.append(gold.problem)
    group = as_text(record[task.group]) if task.group is not None else ""
    item = Item(
        id=item_id,
        label=gold.label,
        fields=fields,
        group=group if group.strip() else None,
        file=file_name,
        role=role,
        row=row,
        agreement=_agreement(task, record, f"{file_name}: row {row}"),
        labels=gold.labels,
        references=gold.references,
        options=gold.options,
    )
    return item, next(iter(problems), None)


def _agreement(task: Task, record: dict, location: str) -> dict[str, float | None] | None:
    """Agreement of annotators with the gold label, by column; None for an empty cell."""
    columns = task.sources[task.source].agreement
    if not columns:
        return None
    agreement: dict[str, float | None] = {}
    for column, kind in columns.items():
        text = as_text(record[column]).strip()
        if isinstance(record[column], list) and kind == "label":
            agreement[column] = float(record[column] == record[task.label])
        elif not text:
            agreement[column] = None
        elif kind == "label":
            agreement[column] = float(text == as_text(record[task.label]))
        else:
            # A gold label has at least one annotator: 0 means unknown, as in Dreaddit's test file.
            agreement[column] = _share(text, column, location) or None
    return agreement


def _share(text: str, column: str, location: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"{location}: {column} is '{text}', no share from 0 to 1; correct it or leave it empty")
    return share
