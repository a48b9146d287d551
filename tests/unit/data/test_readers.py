"""Every format gives the same records, values as they are written."""

import json
import os
import socket
from typing import get_args

import pytest

from stagewise.config.readers import FormatName, Reader
from stagewise.data.formats import FORMATS, register
from stagewise.data.readers import read_records
from stagewise.errors import InputError
from tests.helpers.data_step import make_task, run_data_step
from tests.helpers.refusals import check_refusal
from tests.helpers.tiny_data import make_rows, write_csv

COLUMNS = ["id", "text", "label"]
RECORDS = [
    {"id": "007", "text": "caf\u00e9, \u201cquoted\u201d\nsecond line", "label": "NA", "extra": "x"},
    {"id": "2020-01-01", "text": "#NAME?", "label": "1.0", "extra": ""},
    {"id": "1e5", "text": 'say ""hello"", then go', "label": "null", "extra": "None"},
]
EXPECTED = [{column: record[column] for column in COLUMNS} for record in RECORDS]


def read(path, **reader):
    return read_records(path, Reader(**reader), COLUMNS)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args):
        raise AssertionError("a reader went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(tmp_path, newline, encoding, delimiter):
    path = write_csv(tmp_path / "f.csv", RECORDS, encoding, newline, delimiter)
    reader = {"format": "csv", "delimiter": delimiter, "encoding": encoding.removesuffix("-sig")}
    assert read(path, **reader) == EXPECTED


def test_csv_column_order_and_blank_lines(tmp_path):
    reordered = [dict(reversed(record.items())) for record in RECORDS]
    path = write_csv(tmp_path / "f.csv", reordered)
    path.write_bytes(path.read_bytes() + b"\n\n")
    assert read(path, format="csv") == EXPECTED


def test_csv_long_fields(tmp_path):
    long = [{**record, "text": record["text"] + "x" * 200_000} for record in RECORDS]
    path = write_csv(tmp_path / "f.csv", long)
    assert [len(record["text"]) for record in read(path, format="csv")] == [len(r["text"]) for r in long]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_json_and_jsonl(tmp_path, mark, newline):
    lines = [json.dumps(record, ensure_ascii=False).encode() for record in RECORDS]
    (tmp_path / "f.jsonl").write_bytes(mark + (newline + newline).join(lines) + newline)
    (tmp_path / "f.json").write_bytes(mark + b"[" + (b"," + newline).join(lines) + b"]")
    assert read(tmp_path / "f.jsonl", format="jsonl") == EXPECTED
    assert read(tmp_path / "f.json") == EXPECTED


def test_jsonl_text_may_hold_other_line_separators(tmp_path):
    record = {**EXPECTED[0], "text": "one\u2028two\x85three\x0cfour"}
    (tmp_path / "f.jsonl").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    assert read(tmp_path / "f.jsonl", format="jsonl") == [record]


def test_json_columns_of_mixed_types_keep_every_value(tmp_path):
    mixed = [{"id": "1", "text": ["a"], "label": 1}, {"id": 2, "text": "b", "label": "01"}, {"id": 3.5}]
    (tmp_path / "f.json").write_text(json.dumps(mixed))
    got = read(tmp_path / "f.json")
    assert got == [*mixed[:2], {"id": 3.5, "text": None, "label": None}]
    assert [type(r["id"]) for r in got] == [str, int, float]


def test_keyed_json_gives_the_id_as_key_and_keeps_repeated_ones(tmp_path):
    (tmp_path / "f.json").write_text('{"01": {"t": "a", "key": "x"}, "2": {"t": "b"}, "01": {"t": "c"}}')
    got = read_records(tmp_path / "f.json", Reader(keyed=True), ["key", "t"])
    assert got == [{"key": "01", "t": "a"}, {"key": "2", "t": "b"}, {"key": "01", "t": "c"}]


def test_parquet(tmp_path):
    import pyarrow
    from pyarrow import parquet

    sections = [{**record, "text": [record["text"], "more"]} for record in RECORDS]
    parquet.write_table(pyarrow.Table.from_pylist(RECORDS), tmp_path / "f.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(sections), tmp_path / "s.parquet")
    assert read(tmp_path / "f.parquet", format="parquet") == EXPECTED
    assert [r["text"][1] for r in read(tmp_path / "s.parquet", format="parquet")] == ["more"] * 3


@pytest.mark.parametrize(
    ("escape", "cell", "text"),
    [
        ("\\", r'"she said \"no\", \\ and left"', 'she said "no", \\ and left'),
        ("\\", r'"the last word is \"no\""', 'the last word is "no"'),
        ("\\", '"doubled ""no"" as well"', 'doubled "no" as well'),
        ("'", '"she said \'"no\'""', 'she said "no"'),
        ("", r"a \"no", r"a \"no"),
        (None, r'"C:\temp\"', "C:\\temp\\"),
        (None, r'"a \""no\"" b"', r"a \"no\" b"),
    ],
)
def test_csv_escapes(tmp_path, escape, cell, text):
    path = tmp_path / "f.csv"
    path.write_text(f"id,text,label\n1,{cell},a\n2,plain,b\n", encoding="utf-8")
    assert [row["text"] for row in read(path, format="csv", escape=escape)] == [text, "plain"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_tsv_is_csv_with_tabs(tmp_path, newline):
    assert read(write_csv(tmp_path / "f.tsv", RECORDS, newline=newline, delimiter="\t"), format="tsv") == EXPECTED


def test_quotes_may_be_text(tmp_path):
    (tmp_path / "f.tsv").write_text('id\ttext\tlabel\n1\t"yes" he said\ta\n2\t5\\" of rain\tb\n3\tno "\tc\n')
    texts = [row["text"] for row in read(tmp_path / "f.tsv", format="tsv", quoting=False)]
    assert texts == ['"yes" he said', '5\\" of rain', 'no "']
    (tmp_path / "f.tsv").write_text('id\ttext\tlabel\n1\t"yes" he said\ta\n')
    with pytest.raises(
        InputError, match="line 2: a text goes on after its closing quote; .* set reader.quoting: false"
    ):
        read(tmp_path / "f.tsv", format="tsv")


@pytest.mark.parametrize(
    ("delimiter", "form", "says"),
    [
        ("\t", "csv", r"its columns are separated by '\\t'; set reader.format: tsv"),
        (";", "csv", "its columns are separated by ';'; set reader.delimiter: ';'"),
        (",", "tsv", "its columns are separated by ','; set reader.format: csv"),
    ],
)
def test_another_separator_is_named(tmp_path, delimiter, form, says):
    path = write_csv(tmp_path / "f", [{"id": 1, "text": "a", "label": "x"}], delimiter=delimiter)
    with pytest.raises(InputError, match=says):
        read(path, format=form)


@pytest.mark.parametrize(
    ("content", "form", "says"),
    [
        ('[{"text": "a",\n "label": "x"}]\n', "csv", "not csv but JSON; set reader.format: jsonl for a record a line"),
        ("id,text,label\n1,a,x\n", "json", "line 1 is not valid JSON .*; a table is format csv or tsv"),
        ("id,text,label\n1,a,x\n", "jsonl", "line 1 is not valid JSON .*; a table is format csv or tsv"),
    ],
)
def test_another_format_is_named(tmp_path, content, form, says):
    (tmp_path / "f").write_text(content)
    with pytest.raises(InputError, match=says):
        read(tmp_path / "f", format=form)


@pytest.mark.parametrize(
    ("reader", "says"),
    [
        ({"format": "tsv", "delimiter": ";"}, "fields of format tsv are separated by tabs"),
        ({"format": "json", "quoting": False}, "'quoting: false' goes with format csv or tsv, without 'escape'"),
        ({"format": "csv", "quoting": False, "escape": "x"}, "'quoting: false' goes with format csv or tsv"),
    ],
)
def test_settings_of_tables_that_do_not_go_together_are_refused(reader, says):
    with pytest.raises(ValueError, match=says):
        Reader(**reader)


def test_the_column_without_a_name_that_pandas_writes_its_index_into(tmp_path):
    (tmp_path / "f.csv").write_text(",text,label\n10,a,x\n11,b,y\n")
    for name in ("", "Unnamed: 0"):
        records = read_records(tmp_path / "f.csv", Reader(format="csv"), [name, "label"])
        assert records == [{name: "10", "label": "x"}, {name: "11", "label": "y"}]
    (tmp_path / "f.csv").write_text("text,label,\na,x,1\n")
    assert read_records(tmp_path / "f.csv", Reader(format="csv"), ["Unnamed: 2"]) == [{"Unnamed: 2": "1"}]
    (tmp_path / "f.csv").write_text(",text,\n1,x,2\n")
    with pytest.raises(InputError, match="there is no column ''; it has Unnamed: 0, text, Unnamed: 2"):
        read_records(tmp_path / "f.csv", Reader(format="csv"), [""])


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines_are_one_text_each_whatever_they_hold(tmp_path, newline):
    lines = ["café, “quoted”", "", '"', "a\tb\u2028c"]
    for end in ("", newline):
        (tmp_path / "f.txt").write_bytes(("\ufeff" + newline.join(lines) + end).encode())
        records = read_records(tmp_path / "f.txt", Reader(format="lines"), ["tweet"])
        assert records == [{"tweet": line} for line in lines]


@pytest.mark.parametrize("newline", ["\n\n", "\r", "\r\n"])
def test_jsonl_lines_end_in_any_way_after_a_mark_and_between_blank_ones(tmp_path, newline):
    content = "\ufeff" + newline.join(map(json.dumps, RECORDS)) + newline
    (tmp_path / "f.jsonl").write_bytes(content.encode())
    assert read(tmp_path / "f.jsonl", format="jsonl") == EXPECTED


def test_one_column_may_serve_twice(tmp_path):
    path = write_csv(tmp_path / "f.csv", RECORDS)
    assert read_records(path, Reader(format="csv"), ["id", "text", "text", "id"])[1] == {
        "id": "2020-01-01",
        "text": "#NAME?",
    }


def test_nothing_is_left_in_a_cache(tmp_path, monkeypatch):
    import datasets

    caches = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", caches)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    bars = datasets.is_progress_bar_enabled()
    assert read(write_csv(tmp_path / "f.csv", RECORDS), format="csv") == EXPECTED
    assert os.listdir(tmp_path / "tmp") == []
    assert not caches.exists()
    assert datasets.is_progress_bar_enabled() is bars


def test_every_format_of_the_settings_has_a_reader_and_the_other_way_round():
    assert set(get_args(FormatName)) == set(FORMATS)


# A format that the package does not know: one item a line, fields between bars.
BARS = """
def read_bars(path, reader, columns):
    header, *lines = path.read_text(reader.encoding).splitlines()
    return [dict(zip(header.split("|"), line.split("|"))) for line in lines]

def read_badly(path, reader, columns):
    return [{}["nothing"]]

def read_numbers(path, reader, columns):
    return [1, 2]

constant = 1
"""


@pytest.fixture
def bars(tmp_path, monkeypatch):
    """Path of a raw file in a format of a module outside the package, which Python can import."""
    import sys

    (tmp_path / "bar_files.py").write_text(BARS)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "raw.bars"
    lines = ["id|text|label", *("|".join(str(row[key]) for key in ("id", "text", "label")) for row in make_rows(20))]
    path.write_text("\n".join(lines))
    yield path
    sys.modules.pop("bar_files", None)


def test_a_format_from_outside_needs_no_change_in_the_package(tmp_path, capsys, bars):
    done = run_data_step(tmp_path, capsys, make_task({"items": bars}, reader={"format": "bar_files:read_bars"}))
    assert done.code == 0, done.error
    as_csv = run_data_step(tmp_path, capsys, make_task({"items": write_csv(tmp_path / "raw.csv", make_rows(20))}))
    for split in ("train", "validation", "test"):
        assert done.items(split) == as_csv.items(split)


def test_splits_read_by_other_code_are_other_splits(tmp_path, capsys, bars):
    settings = make_task({"items": bars}, reader={"format": "bar_files:read_bars"})
    before, again = (run_data_step(tmp_path, capsys, settings).summary for _ in range(2))
    (tmp_path / "bar_files.py").write_text(BARS + "# changed\n")
    after = run_data_step(tmp_path, capsys, settings).summary
    assert before == again != after
    assert before["tasks"] == after["tasks"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bar_files:read_badly", "raw.bars: bar_files:read_badly could not read it ('nothing')"),
        ("bar_files:read_numbers", "raw.bars: row 1 is not an object but a number"),
        ("bar_files:constant", "bar_files.py: holds no function 'constant'"),
        ("no_such_module:read", "is its folder on PYTHONPATH?"),
        ("cvs", "'cvs' is not a format (json, jsonl, csv, tsv, parquet, lines, or 'package.module:function')"),
        ("cvs", "did you mean 'csv'?"),
        ("xml", "see docs/reference/configuration.md"),
        ("a:b:c", "reader.format"),
    ],
)
def test_a_format_that_cannot_be_had_is_refused_in_one_sentence(tmp_path, capsys, bars, name, says):
    done = run_data_step(tmp_path, capsys, make_task({"items": bars}, reader={"format": name}))
    check_refusal(done.code, done.error, says)
    assert not done.folder.exists()


def test_a_registered_format_is_used_by_its_name(tmp_path, monkeypatch):
    """A format inside the package needs a registered function, and its name in `FormatName`."""
    monkeypatch.setitem(FORMATS, "json", None)  # put back afterwards

    @register("json")
    def read_backwards(path, reader, columns):
        return [{column: path.name[::-1] for column in columns}]

    (tmp_path / "f.json").write_text("[]")
    assert read(tmp_path / "f.json", format="json") == [dict.fromkeys(COLUMNS, "nosj.f")]
