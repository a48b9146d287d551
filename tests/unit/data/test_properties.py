"""Properties of splits and readers on drawn items and texts."""

import csv
import io
import json
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stagewise.config.readers import Reader
from stagewise.data.items import Item
from stagewise.data.readers import read_records
from stagewise.data.splits import count_groups_across, draw_splits, limit_items
from tests.helpers import properties  # noqa: F401

NAMES = ("train", "validation", "test", "rest")


@st.composite
def divided(draw, grouped=True):
    """Items, and how many of them each split is to have."""
    size = draw(st.integers(1, 30))
    rows = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=size, max_size=size))
    items = [
        Item(f"i{n}", label, {}, f"g{group}" if grouped and group < 6 else None, "f", "items", n + 1)
        for n, (label, group) in enumerate(rows)
    ]
    cuts = sorted(draw(st.lists(st.integers(0, size), min_size=3, max_size=3)))
    sizes = [b - a for a, b in zip([0, *cuts], [*cuts, size], strict=True)]
    return items, dict(zip(NAMES, sizes, strict=True))


def ids(splits):
    return {split: {item.id for item in items} for split, items in splits.items()}


@given(given_=divided(), seed=st.integers(0, 3), order=st.randoms(use_true_random=False))
def test_splits_part_the_items_with_whole_groups_in_any_order(given_, seed, order):
    items, sizes = given_
    splits = draw_splits(items, sizes, seed)
    assert sorted(item.id for part in splits.values() for item in part) == sorted(item.id for item in items)
    assert count_groups_across(splits) == 0
    for split, part in splits.items():
        assert part == [item for item in items if item.id in ids(splits)[split]], "the order of the file is kept"
        assert sizes[split] or not part
    shuffled = order.sample(items, len(items))
    assert ids(draw_splits(shuffled, sizes, seed)) == ids(splits)


@given(given_=divided(grouped=False), seed=st.integers(0, 3))
def test_without_groups_sizes_are_exact_and_labels_in_proportion(given_, seed):
    items, sizes = given_
    splits, counts = draw_splits(items, sizes, seed), Counter(item.label for item in items)
    assert {split: len(part) for split, part in splits.items()} == sizes
    for split, part in splits.items():
        of_label = Counter(item.label for item in part)
        for label, count in counts.items():
            # Largest remainders, one split after the other: each rounds by less than one item.
            assert abs(of_label[label] - sizes[split] * count / len(items)) < len(NAMES) - 1


@given(given_=divided(), limit=st.integers(1, 31), more=st.integers(0, 5), order=st.randoms(use_true_random=False))
def test_a_limit_is_exact_keeps_order_and_is_within_a_larger_one(given_, limit, more, order):
    items, _ = given_
    chosen = limit_items(items, limit)
    assert len(chosen) == min(limit, len(items))
    assert chosen == [item for item in items if item in chosen]
    assert {item.id for item in chosen} <= {item.id for item in limit_items(items, limit + more)}
    assert {item.id for item in limit_items(order.sample(items, len(items)), limit)} == {item.id for item in chosen}
    labels = {item.label for item in items}
    assert len({item.label for item in chosen}) == min(limit, len(labels)), "one item of each label first"


# Text that UTF-8 holds. In CSV a carriage return alone ends a row, and csv and pandas disagree on NUL.
texts = st.text(max_size=20)
columns = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=3, unique=True)
values = st.one_of(texts, st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.booleans(), st.none())


@st.composite
def tables(draw, cells, names=columns):
    header = draw(names)
    rows = draw(st.lists(st.tuples(*[cells] * len(header)), min_size=1, max_size=4))
    return header, [dict(zip(header, row, strict=True)) for row in rows]


def same(left, right) -> bool:
    """Equal in value and in type: 1, 1.0 and true are three values."""
    return json.dumps(left) == json.dumps(right)


@given(given_=tables(values), indent=st.sampled_from([None, 2]), ascii_=st.booleans(), mark=st.booleans())
def test_json_and_jsonl_give_back_every_value(tmp_path_factory, given_, indent, ascii_, mark):
    header, records = given_
    folder = tmp_path_factory.mktemp("json")
    path, start = folder / "f.json", "\ufeff" if mark else ""
    path.write_text(start + json.dumps(records, indent=indent, ensure_ascii=ascii_), encoding="utf-8")
    assert same(read_records(path, Reader(format="json"), header), records)
    lines = folder / "f.jsonl"
    lines.write_bytes((start + "".join(json.dumps(r, ensure_ascii=ascii_) + "\n" for r in records)).encode())
    assert same(read_records(lines, Reader(format="jsonl"), header), records)
    keyed = folder / "keyed.json"
    keyed.write_text(json.dumps({f"k{n}": record for n, record in enumerate(records)}), encoding="utf-8")
    if "key" not in header:
        found = read_records(keyed, Reader(format="json", keyed=True), [*header, "key"])
        assert same(found, [{**record, "key": f"k{n}"} for n, record in enumerate(records)])


in_csv = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=15)
csv_columns = st.lists(
    st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1, max_size=6),
    min_size=2,
    max_size=3,
    unique=True,
)


@settings(max_examples=20)
@given(
    given_=tables(in_csv, csv_columns),
    delimiter=st.sampled_from(",;\t|"),
    newline=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_csv_gives_back_every_text(tmp_path_factory, given_, delimiter, newline, quoting):
    header, records = given_
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerows([header, *(list(record.values()) for record in records)])
    assume(not header[0].startswith("\ufeff"))
    path = tmp_path_factory.mktemp("csv") / "f.csv"
    path.write_bytes(text.getvalue().encode())
    assert read_records(path, Reader(format="csv", delimiter=delimiter), header) == records


@pytest.mark.parametrize("name", ["json", "jsonl", "csv"])
@given(content=st.one_of(st.binary(max_size=40), st.text(max_size=40).map(str.encode)))
@settings(max_examples=25)
def test_any_file_is_read_or_refused_in_one_sentence(tmp_path_factory, name, content):
    from stagewise.errors import InputError

    path = tmp_path_factory.mktemp("any") / "f"
    path.write_bytes(content)
    try:
        records = read_records(path, Reader(format=name), ["a"])
    except InputError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    else:
        assert records and all(set(record) == {"a"} for record in records)
