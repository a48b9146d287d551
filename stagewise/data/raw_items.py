"""Turn raw records into items, and set aside each row that cannot be used, with the reason."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

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
    used_ids: set[tuple[str, str]] = set()
    unknown_labels: Counter = Counter()
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
            item, reason = _make_item(task, record, file_name, role, row)
            id_in_scope = (role if by_files else "", item.id)
            if reason is None and id_in_scope in used_ids:
                reason = "duplicate id"
            if reason is None:
                used_ids.add(id_in_scope)
                pool.items.append(item)
            else:
                pool.set_aside.append(SetAside.of(item, reason))
                if reason == "unknown label":
                    unknown_labels[as_text(record[task.label])] += 1
    check_labels(name, task, pool.items, unknown_labels)
    return pool


def check_labels(name: str, task: Task, items: list[Item], unknown_labels: Counter | None = None) -> None:
    """Refuse a task in which a label has no item left.

    `unknown_labels` counts the raw values that are not labels, for the error.
    """
    present = {item.label for item in items}
    for label in task.labels:
        if label.word not in present:
            others = ", ".join(f"'{value}' ({n} rows)" for value, n in (unknown_labels or Counter()).most_common(5))
            hint = f"the column '{task.label}' also has {others}: correct it" if others else "correct the labels"
            raise InputError(
                f"tasks.{name}: no usable row has the label value '{label.value}' ('{label.word}'); {hint}"
            )


def _read_records(path: Path, reader: Reader, task: Task) -> list[dict]:
    columns = [task.id, task.label, *(column.column for column in task.fields.values())]
    columns += task.sources[task.source].agreement
    return read_records(path, reader, [*columns, task.group] if task.group else columns)


def _make_item(task: Task, record: dict, file_name: str, role: str, row: int) -> tuple[Item, str | None]:
    """Make an item of a row; also return the reason if it cannot be used."""
    label_words = {label.value: label.word for label in task.labels}
    reasons = []
    item_id = as_text(record[task.id])
    if not item_id.strip():
        reasons.append("empty id")
    elif item_id.strip() in SPREADSHEET_ERRORS or not _is_encodable(item_id):
        reasons.append("unreadable id")
    fields = {}
    for variable, column in task.fields.items():
        fields[variable], reason = _field_text(record[column.column], column)
        reasons.append(reason)
    label = as_text(record[task.label])
    if label not in label_words:
        reasons.append("unknown label")
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
    return item, next((reason for reason in reasons if reason), None)


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
