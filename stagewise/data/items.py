"""Items: their records, and the lines of a split file."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, NotRequired, TypedDict

from stagewise.errors import InputError


@dataclass(frozen=True)
class Item:
    """A usable row of a raw file."""

    id: str
    label: str
    """Answer that the model is taught: the label word, not the raw value; label words joined by a comma and a blank;
    the letter of an option; the first reference."""
    fields: dict[str, str]
    group: str | None
    file: str
    """Name of the raw file."""
    role: str
    row: int
    """Record number in the raw file, from 1."""
    agreement: dict[str, float | None] | None = None
    """Agreement of annotators with the gold label, 0 to 1, by column; None if the source has none."""
    labels: tuple[str, ...] | None = None
    """Label words of a multi-label task, in label order."""
    references: tuple[str, ...] | None = None
    """References of a generation task, the first of which is learnt."""
    options: int | None = None
    """Number of options of a multiple-choice task."""

    @property
    def location(self) -> str:
        """File and row, as an error names them."""
        return f"{self.file} row {self.row}"


class SetAside(NamedTuple):
    """A row that is not used."""

    file: str
    row: int
    id: str
    reason: str

    @classmethod
    def of(cls, item: Item, reason: str) -> "SetAside":
        """Set an item aside."""
        return cls(item.file, item.row, item.id, reason)


class SplitItem(TypedDict):
    """An item as a split file holds it."""

    id: str
    label: str
    fields: dict[str, str]
    group: NotRequired[int]
    """Number of the item's group within the split (`group_numbers`); left out if the item belongs to none."""
    agreement: NotRequired[dict[str, float]]
    """Agreement of annotators with the gold label, by column; columns without a value are left out."""
    labels: NotRequired[list[str]]
    """Label words of a multi-label task."""
    references: NotRequired[list[str]]
    """References of a generation task."""
    options: NotRequired[int]
    """Number of options of a multiple-choice task."""


def group_numbers(items: Iterable[Item]) -> dict[str, int]:
    """Number the groups in order of appearance: a split file tells groups apart and does not hold their names, which
    may be those of patients."""
    return {group: n for n, group in enumerate(dict.fromkeys(item.group for item in items if item.group is not None))}


def write_line(item: Item, numbers: dict[str, int]) -> str:
    """Write an item as a line of a split file; `numbers` are those of the groups."""
    values = {"id": item.id, "label": item.label, "fields": item.fields}
    if item.group is not None:
        values["group"] = numbers[item.group]
    if item.agreement is not None:
        values["agreement"] = item.agreement
    for key in ("labels", "references", "options"):
        if (value := getattr(item, key)) is not None:
            values[key] = value
    return json.dumps(values, ensure_ascii=False) + "\n"


def read_split(path, label_words: list[str]) -> list[SplitItem]:
    """Read a split's ``.jsonl``, one item a line.

    Raises
    ------
    InputError
        For a missing file, a line that is not an item, or a label that is not one of `label_words`, if there are any.
    """
    items: list[SplitItem] = []
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                item = _read_line(line)
                words = item.get("labels", [item["label"]]) if label_words else []
                if unknown := [word for word in words if word not in label_words]:
                    raise InputError(
                        f"{path}: line {number}: the label '{unknown[0]}' is not one of {', '.join(label_words)}; "
                        "run the step that writes it again (scripts.make_splits)"
                    )
                items.append(item)
    except FileNotFoundError:
        raise InputError(f"{path}: the split is missing; run the step that writes it (scripts.make_splits)") from None
    except (KeyError, TypeError, ValueError, RecursionError):
        raise InputError(
            f"{path}: line {len(items) + 1} is not an item; run the step that writes it again (scripts.make_splits)"
        ) from None
    return items


def _read_line(line: str) -> SplitItem:
    """Read one line of a split file; a ValueError, KeyError or TypeError means that it is not an item."""
    values = json.loads(line)
    if not isinstance(values, dict):
        raise TypeError
    columns = values.get("agreement") or {}
    if not (isinstance(values["id"], str) and isinstance(values["fields"], dict) and isinstance(columns, dict)):
        raise TypeError
    item: SplitItem = {"id": values["id"], "label": values["label"], "fields": values["fields"]}
    for key in ("labels", "references"):
        if (texts := values.get(key)) is not None:
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise TypeError
            item[key] = texts
    if (options := values.get("options")) is not None:
        if type(options) is not int:
            raise TypeError
        item["options"] = options
    if (group := values.get("group")) is not None:
        if type(group) is not int:
            raise TypeError
        item["group"] = group
    if agreement := {column: float(share) for column, share in columns.items() if share is not None}:
        if any(not 0 <= share <= 1 for share in agreement.values()):
            raise ValueError("an agreement runs from 0 to 1")
        item["agreement"] = agreement
    return item
