"""From raw records to items, with every row that cannot be used set aside and said why."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from stagewise.config.tasks import Column, FilesSplit, Reader, Task
from stagewise.data.raw_files import RAW, check_raw, raw_path, roles_read
from stagewise.data.readers import read_records
from stagewise.errors import InputError

# What a spreadsheet leaves in a cell instead of the text that was there.
SPREADSHEET_ERRORS = {"#NAME?", "#REF!", "#VALUE!", "#N/A", "#DIV/0!", "#NULL!", "#NUM!"}


@dataclass(frozen=True)
class Item:
    """One usable row."""

    id: str
    label: str
    """The label word, not the raw value."""
    fields: dict[str, str]
    group: str | None
    file: str
    """Name of the raw file."""
    role: str
    row: int
    """Record number in the raw file, from 1."""
    agreement: dict[str, float | None] | None = None
    """Agreement of annotators with the gold label, 0 to 1, by column; None where the source has none."""

    @property
    def place(self) -> str:
        return f"{self.file} row {self.row}"

    def line(self) -> str:
        """The item as a line of a split file."""
        values = {"id": self.id, "label": self.label, "fields": self.fields}
        if self.agreement is not None:
            values["agreement"] = self.agreement
        return json.dumps(values, ensure_ascii=False) + "\n"


class SetAside(NamedTuple):
    """One row that is not used."""

    file: str
    row: int
    id: str
    reason: str

    @classmethod
    def item(cls, item: Item, reason: str) -> "SetAside":
        return cls(item.file, item.row, item.id, reason)


@dataclass
class Pool:
    """All of a task's rows, read and sorted out."""

    items: list[Item]
    set_aside: list[SetAside]
    files: dict[str, dict]
    """Name and sha256 of each file read, by role."""
    rows: int
    names: list[str]
    """What items call those files, in the order they were read."""

    def sorted(self, rows: list[SetAside]) -> list[SetAside]:
        """Rows in the order they were read in."""
        order = {name: number for number, name in enumerate(self.names)}
        return sorted(rows, key=lambda row: (order[row.file], row.row))


def read_items(name: str, task: Task, raw_dir=RAW) -> Pool:
    """Read the files that a task's split needs.

    Ids must be unique in what they are looked up in: in each file where the split goes by files
    (whose numbering may start anew), in all of them otherwise. The first row keeps the id.

    Raises
    ------
    InputError
        For a file that is missing or not what it should be, or a label that no usable row has.
    """
    source = task.sources[task.source]
    pool = Pool([], [], {}, 0, [])
    paths = {role: raw_path(name, role, source.files[role], raw_dir) for role in roles_read(task)}
    by_files = isinstance(task.splits[task.split], FilesSplit)
    seen: set[tuple[str, str]] = set()
    unknown: Counter = Counter()
    for role, path in paths.items():
        key = f"tasks.{name}.sources.{task.source}.files.{role}"
        pool.files[role] = {"name": path.name, "sha256": check_raw(path, source.files[role], key)}
        records = _records(path, source.reader, task)
        pool.rows += len(records)
        # Two files may share a name; then their folders tell them apart.
        shown = path.name if [p.name for p in paths.values()].count(path.name) == 1 else path.as_posix()
        pool.names.append(shown)
        for row, record in enumerate(records, 1):
            item, reason = _item(task, record, shown, role, row)
            scope = (role if by_files else "", item.id)
            if reason is None and scope in seen:
                reason = "duplicate id"
            if reason is None:
                seen.add(scope)
                pool.items.append(item)
            else:
                pool.set_aside.append(SetAside.item(item, reason))
                if reason == "unknown label":
                    unknown[as_text(record[task.label])] += 1
    check_labels(name, task, pool.items, unknown)
    return pool


def check_labels(name: str, task: Task, items: list[Item], unknown: Counter | None = None) -> None:
    """Refuse a task in which a label has no item left.

    `unknown` counts the raw values that are no label, for the error.
    """
    present = {item.label for item in items}
    for label in task.labels:
        if label.word not in present:
            others = ", ".join(f"'{value}' ({n} rows)" for value, n in (unknown or Counter()).most_common(5))
            hint = f"the column '{task.label}' also has {others}: correct it" if others else "correct the labels"
            raise InputError(
                f"tasks.{name}: no usable row has the label value '{label.value}' ('{label.word}'); {hint}"
            )


def _records(path, reader: Reader, task: Task) -> list[dict]:
    columns = [task.id, task.label, *(column.column for column in task.fields.values())]
    columns += task.sources[task.source].agreement
    return read_records(path, reader, [*columns, task.group] if task.group else columns)


def _item(task: Task, record: dict, file: str, role: str, row: int) -> tuple[Item, str | None]:
    """The row as an item, and why it cannot be used; None where it can."""
    words = {label.value: label.word for label in task.labels}
    reasons = []
    item_id = as_text(record[task.id])
    if not item_id.strip():
        reasons.append("empty id")
    elif item_id.strip() in SPREADSHEET_ERRORS or not _encodable(item_id):
        reasons.append("unreadable id")
    fields = {}
    for variable, column in task.fields.items():
        fields[variable], reason = _field(record[column.column], column)
        reasons.append(reason)
    label = as_text(record[task.label])
    if label not in words:
        reasons.append("unknown label")
    group = as_text(record[task.group]) if task.group else ""
    agreement = _agreement(task, record, label, f"{file}: row {row}")
    item = Item(item_id, words.get(label, ""), fields, group if group.strip() else None, file, role, row, agreement)
    return item, next((reason for reason in reasons if reason), None)


def _agreement(task: Task, record: dict, label: str, where: str) -> dict[str, float | None] | None:
    """How far annotators agree with the gold label, by column; None for one that says nothing."""
    columns = task.sources[task.source].agreement
    if not columns:
        return None
    found: dict[str, float | None] = {}
    for column, kind in columns.items():
        text = as_text(record[column]).strip()
        if not text:
            found[column] = None
        elif kind == "label":
            found[column] = float(text == label)
        else:
            try:
                found[column] = float(text)
            except ValueError:
                found[column] = -1.0
            if not 0 <= found[column] <= 1:
                raise InputError(f"{where}: {column} is '{text}', no share from 0 to 1; correct it or leave it empty")
            # A label that no annotator gave would be none: Dreaddit's test file has 0 where nothing is known.
            found[column] = found[column] or None
    return found


def _field(value, column: Column) -> tuple[str, str | None]:
    """The text of a prompt variable, and what is wrong with it."""
    if isinstance(value, list):
        if not all(isinstance(section, str) for section in value):
            return "", "not text"
        value = "\n".join(value[: 1 if column.sections == "first" else None])
    if value is None or (isinstance(value, str) and not value.strip()):
        return "", "empty text"
    if not isinstance(value, str):
        return "", "not text"
    if value.strip() in SPREADSHEET_ERRORS or not _encodable(value):
        return "", "unreadable text"
    return value, None


def _encodable(text: str) -> bool:
    """Whether the text can be written as UTF-8; JSON may hold half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(value) -> str:
    """An id, label or group as text: whole numbers without a decimal point, nothing for a missing value."""
    if value is None or isinstance(value, list | dict) or value != value:  # the last is a missing number
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def read_split(path, words: list[str]) -> list[dict]:
    """Read a split's ``.jsonl``: one item a line with id, label and fields, and maybe its annotators' agreement.

    Raises
    ------
    InputError
        For a missing file, a line that is not such an item, or a label the task does not declare.
    """
    items = []
    try:
        with open(path, encoding="utf-8") as handle:
            for number, line in enumerate(handle, 1):
                item = json.loads(line)
                if not (isinstance(item["id"], str) and isinstance(item["fields"], dict)):
                    raise TypeError
                if item["label"] not in words:
                    raise InputError(
                        f"{path}: line {number}: the label '{item['label']}' is not one of {', '.join(words)}; "
                        "run the step that writes it again (scripts.make_splits)"
                    )
                items.append({"id": item["id"], "label": item["label"], "fields": item["fields"]})
                if agreement := _read_agreement(item.get("agreement")):
                    items[-1]["agreement"] = agreement
    except FileNotFoundError:
        raise InputError(f"{path}: the split is missing; run the step that writes it (scripts.make_splits)") from None
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, UnicodeDecodeError):
        raise InputError(
            f"{path}: line {len(items) + 1} is not an item; run the step that writes it again (scripts.make_splits)"
        ) from None
    return items


def _read_agreement(values) -> dict[str, float]:
    """Agreement by column, those that an item does not have left out."""
    found = {column: float(value) for column, value in (values or {}).items() if value is not None}
    if any(not 0 <= value <= 1 for value in found.values()):
        raise ValueError("an agreement runs from 0 to 1")
    return found
