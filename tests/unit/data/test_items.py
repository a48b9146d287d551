"""Split files: an item is read as it was written, and a line that is not an item is refused."""

import json

import pytest

from stagewise.data.items import Item, group_numbers, read_split, write_line
from stagewise.errors import InputError

WORDS = ["yes", "no"]
NAME = "Jane Doe"
"""A group may be a patient."""
ITEM = Item("007", "yes", {"text": "café “quoted”\nsecond line\u2028still it"}, NAME, "raw.csv", "items", 3)


def write(path, *lines: str):
    path.write_text("".join(lines), encoding="utf-8")
    return path


def line(item: Item) -> str:
    return write_line(item, group_numbers([item]))


def test_an_item_is_read_as_it_was_written(tmp_path):
    other = Item("8", "no", {"text": "b"}, None, "raw.csv", "items", 4, {"first": 1.0, "second": None, "third": 0.4})
    items = read_split(write(tmp_path / "test.jsonl", line(ITEM), line(other)), WORDS)
    assert items == [
        {"id": "007", "label": "yes", "fields": ITEM.fields, "group": 0},
        {"id": "8", "label": "no", "fields": {"text": "b"}, "agreement": {"first": 1.0, "third": 0.4}},
    ]


def test_a_line_holds_nothing_about_the_raw_file(tmp_path):
    """Splits of equal items are equal bytes, wherever the items came from."""
    assert json.loads(line(ITEM)).keys() == {"id", "label", "fields", "group"}


def test_a_group_is_a_number_in_order_of_appearance_without_its_name(tmp_path):
    groups = ["Doe", None, "Roe", "Doe", None]
    items = [Item(str(n), "yes", {"text": "a"}, group, "raw.csv", "items", n) for n, group in enumerate(groups)]
    numbers = group_numbers(items)
    path = write(tmp_path / "test.jsonl", *(write_line(item, numbers) for item in items))
    assert [item.get("group") for item in read_split(path, WORDS)] == [0, None, 1, 0, None]
    assert "Doe" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[]",
        '"text"',
        "{}",
        '{"id": 7, "label": "yes", "fields": {}}',
        '{"id": "7", "label": "yes", "fields": ["a"]}',
        '{"id": "7", "fields": {}}',
        '{"id": "7", "label": "yes", "fields": {}, "agreement": {"a": 1.5}}',
        '{"id": "7", "label": "yes", "fields": {}, "agreement": {"a": "often"}}',
        '{"id": "7", "label": "yes", "fields": {}, "agreement": [1]}',
        '{"id": "7", "label": "yes", "fields": {}, "group": "Jane Doe"}',
        '{"id": "7", "label": "yes", "fields": {}, "group": true}',
    ],
)
def test_a_line_that_is_not_an_item_is_refused_with_its_number(tmp_path, bad):
    path = write(tmp_path / "test.jsonl", line(ITEM), bad + "\n")
    with pytest.raises(InputError, match=r"test\.jsonl: line 2 is not an item; run the step that writes it again"):
        read_split(path, WORDS)


def test_a_label_that_the_task_does_not_declare_is_refused(tmp_path):
    path = write(tmp_path / "test.jsonl", line(ITEM))
    with pytest.raises(InputError, match="line 1: the label 'yes' is not one of stress, no stress"):
        read_split(path, ["stress", "no stress"])


def test_a_missing_split_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.jsonl: the split is missing"):
        read_split(tmp_path / "none.jsonl", WORDS)
