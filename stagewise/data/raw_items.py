"""Turn raw records into items, and set aside each row that cannot be used, with the reason."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stagewise.config.base import shown
from stagewise.config.tasks import Column, FilesSplit, Reader, Task
from stagewise.data.items import Item, SetAside
from stagewise.data.raw_files import RAW, check_raw, raw_path, roles_read
from stagewise.data.readers import read_records
from stagewise.errors import InputError

# Spreadsheets leave these in a cell whose text they could not read.
SPREADSHEET_ERRORS = {"#NAME?", "#REF!", "#VALUE!", "#N/A", "#DIV/0!", "#NULL!", "#NUM!"}


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


class Problem(NamedTuple):
    """Why a row is set aside."""

    reason: str
    """As ``set_aside.csv`` has it."""
    column: str = ""
    """Column that it is about, if it is one."""


def list_problems(problems: Counter[Problem]) -> str:
    """List the most frequent problems with their numbers of rows."""
    places = [(reason, f" in '{column}'" if column else "", n) for (reason, column), n in problems.most_common(3)]
    return ", ".join(f"{reason}{place}: {n}" for reason, place, n in places)


class RawId(NamedTuple):
    """An id as the raw file has it."""

    value: object
    location: str


class Losses:
    """Rows that were set aside, counted for an error about what is left."""

    def __init__(self) -> None:
        self.problems: dict[str, Counter[Problem]] = defaultdict(Counter)
        """Of the rows of each label word; of unknown labels under the empty word."""
        self.unknown_labels: Counter[str] = Counter()
        """Raw values that are no label."""

    def add(self, label_word: str, problem: Problem, raw_label: str = "") -> None:
        """Count one row."""
        self.problems[label_word][problem] += 1
        if problem.reason == "unknown label":
            self.unknown_labels[raw_label] += 1

    def explain(self, label_word: str, label_column: str, any_left: bool) -> str:
        """Say where the rows of a label went: set aside, with the reasons, or under a value that is no label."""
        of_all = sum(self.problems.values(), Counter())
        problems = self.problems[label_word] or (Counter() if any_left or self.unknown_labels else of_all)
        if problems:
            whose = "its" if self.problems[label_word] else "all"
            count, reasons = problems.total(), list_problems(problems)
            return f"{whose} {count} rows were set aside ({reasons}): correct the data or name other columns"
        others = ", ".join(f"{shown(value, 30)} ({n} rows)" for value, n in self.unknown_labels.most_common(5))
        return f"the column '{label_column}' also has {others}: correct it" if others else "correct the labels"


def read_items(name: str, task: Task, raw_dir=RAW) -> Pool:
    """Read the files that a task's split needs.

    Ids must be unique within the rows that they are looked up in: within each file if the split goes by files
    (whose numbering may start anew), within all files otherwise. The first row keeps the id.

    Raises
    ------
    InputError
        For a file that is missing or not what it should be, or a label that no usable row has.
    """
    source = task.sources[task.source]
    pool = Pool([], [], {}, 0, [])
    paths = {role: raw_path(name, role, source.files[role], raw_dir) for role in roles_read(task)}
    by_files = isinstance(task.splits[task.split], FilesSplit)
    ids: dict[tuple[str, str], RawId] = {}
    losses = Losses()
    for role, path in paths.items():
        key = f"tasks.{name}.sources.{task.source}.files.{role}"
        pool.files[role] = {"name": path.name, "sha256": check_raw(path, source.files[role], key)}
        records = _read_records(path, source.reader, task)
        pool.rows += len(records)
        # Files that share a name are told apart by their folders.
        unique = [other.name for other in paths.values()].count(path.name) == 1
        file_name = path.name if unique else path.as_posix()
        pool.file_names.append(file_name)
        for row, record in enumerate(records, 1):
            item, problem = _make_item(task, record, file_name, role, row)
            if problem is None:
                first = ids.setdefault((role if by_files else "", item.id), RawId(record[task.id], item.location))
                problem = _id_problem(first, RawId(record[task.id], item.location), task.id)
            if problem is None:
                pool.items.append(item)
            else:
                pool.set_aside.append(SetAside.of(item, problem.reason))
                losses.add(item.label, problem, as_text(record[task.label]))
    check_labels(name, task, pool.items, losses)
    return pool


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


def check_labels(name: str, task: Task, items: list[Item], losses: Losses) -> None:
    """Refuse a task in which a label has no item left, and say where its rows went."""
    present = {item.label for item in items}
    for label in task.labels:
        if label.word not in present:
            text = f"tasks.{name}: no usable row has the label value '{label.value}' ('{label.word}')"
            raise InputError(f"{text}; {losses.explain(label.word, task.label, any_left=bool(items))}")


def _read_records(path: Path, reader: Reader, task: Task) -> list[dict]:
    columns = [task.id, task.label, *(column.column for column in task.fields.values())]
    columns += task.sources[task.source].agreement
    return read_records(path, reader, [*columns, task.group] if task.group else columns)


def _make_item(task: Task, record: dict, file_name: str, role: str, row: int) -> tuple[Item, Problem | None]:
    """Make an item of a row; also return the first problem if it cannot be used."""
    label_words = {label.value: label.word for label in task.labels}
    problems = []
    item_id = as_text(record[task.id])
    if not item_id.strip():
        problems.append(Problem("empty id", task.id))
    elif item_id.strip() in SPREADSHEET_ERRORS or not _is_encodable(item_id):
        problems.append(Problem("unreadable id", task.id))
    fields = {}
    for variable, column in task.fields.items():
        fields[variable], reason = _field_text(record[column.column], column)
        if reason:
            problems.append(Problem(reason, column.column))
    label = as_text(record[task.label])
    if label not in label_words:
        problems.append(Problem("unknown label", task.label))
    group = as_text(record[task.group]) if task.group else ""
    item = Item(
        id=item_id,
        label=label_words.get(label, ""),
        fields=fields,
        group=group if group.strip() else None,
        file=file_name,
        role=role,
        row=row,
        agreement=_agreement(task, record, label, f"{file_name}: row {row}"),
    )
    return item, next(iter(problems), None)


def _agreement(task: Task, record: dict, label: str, location: str) -> dict[str, float | None] | None:
    """Agreement of annotators with the gold label, by column; None for an empty cell."""
    columns = task.sources[task.source].agreement
    if not columns:
        return None
    agreement: dict[str, float | None] = {}
    for column, kind in columns.items():
        text = as_text(record[column]).strip()
        if not text:
            agreement[column] = None
        elif kind == "label":
            agreement[column] = float(text == label)
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


def _field_text(value, column: Column) -> tuple[str, str | None]:
    """Text of a prompt variable, and the reason if it cannot be used."""
    if isinstance(value, list):
        if not all(isinstance(section, str) for section in value):
            return "", "not text"
        value = "\n".join(value[: 1 if column.sections == "first" else None])
    if value is None or (isinstance(value, str) and not value.strip()):
        return "", "empty text"
    if not isinstance(value, str):
        return "", "not text"
    if value.strip() in SPREADSHEET_ERRORS or not _is_encodable(value):
        return "", "unreadable text"
    return value, None


def _is_encodable(text: str) -> bool:
    """Check that a text can be written as UTF-8; JSON may hold half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(value) -> str:
    """Write an id, label or group as text: whole numbers without a decimal point, nothing for a missing value."""
    if value is None or isinstance(value, list | dict) or value != value:  # NaN is a missing number
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
