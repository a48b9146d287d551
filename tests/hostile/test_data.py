"""Raw data and split files that cannot be used: one sentence with file, row and way out; nothing written."""

import gzip
import hashlib
import io
import json
import zipfile

import pytest

from tests.helpers.data_step import DataStep, make_task, run_data_step
from tests.helpers.refusals import check_refusal
from tests.helpers.tiny_data import make_rows, write_csv

GOOD = make_rows(20)
CSV = "id,text,label\n" + "".join(f"{r['id']},{r['text']},{r['label']}\n" for r in GOOD)
JSON = json.dumps(GOOD)
JSONL = "\n".join(map(json.dumps, GOOD))
KEYED = json.dumps({r["id"]: r for r in GOOD})
IDS = [r["id"] for r in GOOD]
LISTS = {"train": IDS[5:15], "validation": IDS[:5], "test": IDS[15:]}
FOLDS = {"test": IDS[15:], "folds": [IDS[:5], IDS[5:10], IDS[10:15]]}
NUMBERED = "\n".join(json.dumps({**row, "id": number}) for number, row in enumerate(GOOD)) + "\n"
TEXTS = "id,text,label\n" + "".join(f'{r["id"]},"{r["text"]}, that is",{r["label"]}\n' for r in GOOD)


def with_column(column: str, value) -> str:
    """JSON lines with a value of its own, or the same one, in a column of every row."""
    return "\n".join(json.dumps({**row, column: value}) for row in GOOD)


def parquet(rows: list[dict], **columns) -> bytes:
    """A Parquet file of rows, with columns replaced by functions of a row."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist([row | {name: make(row) for name, make in columns.items()} for row in rows])
    file = io.BytesIO()
    parquet.write_table(table if rows else pyarrow.table({name: pyarrow.array([], "string") for name in GOOD[0]}), file)
    return file.getvalue()


def workbook() -> bytes:
    """The beginning of an Excel workbook."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    return file.getvalue()


def edited(line: int, new: str) -> str:
    lines = CSV.splitlines()
    lines[line] = new
    return "\n".join(lines)


# name: (raw file's content, reader, what the sentence says)
FILES = {
    "empty file": ("", {"format": "csv"}, "raw: the file is empty"),
    "header alone": ("id,text,label\n", {"format": "csv"}, "raw: there is a header but no row"),
    "column missing": (
        CSV.replace("text,", "texts,", 1),
        {"format": "csv"},
        "raw: there is no column 'text'; did you mean 'texts'?",
    ),
    "column nowhere near": ("a,b\n1,2\n", {"format": "csv"}, "raw: there is no column 'id'; it has a, b"),
    "column twice": ("id,text,label,text\n1,2,3,4\n", {"format": "csv"}, "the column 'text' is there 2 times"),
    "row too long": (edited(3, "i2,one,two,1"), {"format": "csv"}, "raw: row 3 (line 4) has 4 fields"),
    "first row too long": (edited(1, "i0,one,two,1"), {"format": "csv"}, "raw: row 1 (line 2) has 4 fields"),
    "row too short": (
        edited(20, "i19,0"),
        {"format": "csv"},
        "raw: row 20 (line 21) has 2 fields",
    ),
    "open quote": (
        CSV + 'i20,a,"1\n',
        {"format": "csv"},
        "raw: a quote is opened in the row that begins in line 22 and never closed; close it, or write",
    ),
    "delimiter": (CSV.replace(",", ";"), {"format": "csv"}, "raw: its columns are separated by ';'"),
    "encoding": (
        CSV.replace("number 3", "numéro 3").encode("cp1252"),
        {"format": "csv"},
        "raw: line 5 is not utf-8 text (byte 82); set reader.encoding",
    ),
    "encoding unknown": (CSV, {"format": "csv", "encoding": "utf-9"}, "reader.encoding 'utf-9' is not a known"),
    "not utf-16": (CSV + "\n", {"format": "csv", "encoding": "utf-16"}, "raw: "),
    "not JSON": (JSON[:-40], {"format": "json"}, "raw: line 1 is not valid JSON"),
    "JSONL as JSON": (JSONL, {"format": "json"}, "raw: line 2 is not valid JSON (Extra data); one object a line"),
    "JSON as JSONL": (JSON.replace("[", "[\n"), {"format": "jsonl"}, "a list of objects is format json"),
    "JSONL broken": (JSONL.replace('"id": "i4"', '"id" "i4"'), {"format": "jsonl"}, "raw: line 5 is not valid JSON"),
    "keyed as list": (KEYED, {"format": "json"}, "expected a list of objects but found an object; set reader.keyed: t"),
    "list as keyed": (JSON, {"format": "json", "keyed": True}, "but found a list; set reader.keyed: false"),
    "one record as keyed": (json.dumps(GOOD[0]), {"format": "json", "keyed": True}, "row 1 ('id') is not an object"),
    "JSON text": ('"text"', {"format": "json"}, "raw: expected a list of objects but found a text"),
    "JSON row": (JSON[:-1] + ", 3]", {"format": "json"}, "raw: row 21 is not an object but a number"),
    "JSON no rows": ("[]", {"format": "json"}, "raw: there is no record in it"),
    "JSON no column": (JSON.replace('"label"', '"lable"'), {"format": "json"}, "did you mean 'lable'?"),
    "keyed CSV": (CSV, {"format": "csv", "keyed": True}, "reader.keyed goes with format json"),
    "web page": ("\n<!DOCTYPE html><html>404</html>", {"format": "csv"}, "not csv but a web page"),
    "zip": (b"PK\x03\x04\x14\x00" + b"x" * 99, {"format": "json"}, "not json but a zip archive"),
    "gzip": (gzip.compress(CSV.encode()), {"format": "csv"}, "not csv but a gzip archive"),
    "Git LFS": ("version https://git-lfs.github.com/spec/v1\noid", {"format": "jsonl"}, "a Git LFS pointer"),
    "not Parquet": (CSV, {"format": "parquet"}, "raw: not a Parquet file"),
    "Excel workbook": (workbook(), {"format": "csv"}, "raw: not csv but an Excel workbook (.xlsx); save it as CSV"),
    "old Excel workbook": (
        b"\xd0\xcf\x11\xe0" + b"x" * 99,
        {"format": "csv"},
        "an Excel workbook (.xls); save it as CSV",
    ),
    "Parquet as CSV": (parquet(GOOD), {"format": "csv"}, "not csv but a Parquet file; set reader.format: parquet"),
    "cut Parquet": (parquet(GOOD)[:-30], {"format": "parquet"}, "raw: not a Parquet file"),
    "Parquet without rows": (parquet([]), {"format": "parquet"}, "raw: there is no record in it"),
    "Parquet of bytes": (
        parquet(GOOD, text=lambda row: row["text"].encode()),
        {"format": "parquet"},
        "raw: the column 'text' holds bytes; store it as text",
    ),
    "Parquet of records": (
        parquet(GOOD, id=lambda row: {"a": row["id"]}),
        {"format": "parquet"},
        "raw: the column 'id' holds records (a); name one of their values, such as 'id.a'",
    ),
    "backslash quotes": (
        TEXTS.replace("number 3", r"number \"3\""),
        {"format": "csv"},
        "raw: line 5 has a backslash before a quote; set reader.escape to '\\' if",
    ),
    "backslash quotes without quotes": (
        CSV.replace("number 3", r"number \"3"),
        {"format": "csv"},
        "raw: line 5 has a backslash before a quote",
    ),
    "backslash quote at the end": (
        TEXTS.replace("that is", r"that \"", 1),
        {"format": "csv"},
        "write each quote inside a text twice, or set reader.escape",
    ),
    "backslash before a comma": (
        TEXTS.replace("3, that", r"3\", that"),
        {"format": "csv"},
        "raw: row 4 (line 5) has 4 fields",
    ),
    "text after its quote": (
        CSV.replace("text number 3", '"text" number 3'),
        {"format": "csv"},
        "raw: line 5: a text goes on after its closing quote; write each quote inside a text twice",
    ),
    "open quote with escapes": (
        CSV + 'i20,"a \\"',
        {"format": "csv", "escape": "\\"},
        "a quote is opened in the row that begins in line 22",
    ),
    "NUL in CSV": (CSV.replace("number 3", "number\0 3"), {"format": "csv"}, "raw: line 5 holds a NUL byte"),
    "UTF-16 without a mark": (
        CSV.encode("utf-16-le"),
        {"format": "csv"},
        "set reader.encoding, for instance to utf-16-le",
    ),
    "encoding without places": (
        CSV.encode() + b"\xff\n",
        {"format": "csv", "encoding": "idna"},
        "raw: line 22 is not idna",
    ),
    "escape in JSON": (JSON, {"format": "json", "escape": "\\"}, "'escape' goes with format csv"),
    "number without end": (
        f'{JSONL}\n{{"id": {"9" * 5000}, "text": "x", "label": "1"}}',
        {"format": "jsonl"},
        "raw: line 21 is not readable as JSON (a number has thousands of digits; write it as a text)",
    ),
    "number without end in JSON": (f"[{'9' * 5000}]", {"format": "json"}, "raw: not readable as JSON (a number has"),
    "nested too deeply": (
        JSONL + "\n" + "[" * 100_000,
        {"format": "jsonl"},
        "raw: line 21 is not readable as JSON (nested",
    ),
    "JSON nested too deeply": ("[" * 100_000, {"format": "json"}, "raw: not readable as JSON (nested too deeply)"),
    "key twice in a line": (
        JSONL.replace('"text": "text number 4"', '"text": "x", "text": "y"'),
        {"format": "jsonl"},
        "raw: row 5 has the key 'text' twice; keep one",
    ),
    "key twice in a record": (
        JSON.replace('"text": "text number 4"', '"text": "x", "text": "y"'),
        {"format": "json"},
        "raw: row 5 has the key 'text' twice; keep one",
    ),
    "key twice in a keyed record": (
        KEYED.replace('"text": "text number 4"', '"text": "x", "text": "y"'),
        {"format": "json", "keyed": True},
        "raw: row 5 has the key 'text' twice; keep one",
    ),
    "numbers in lines": ("1\n2\n", {"format": "jsonl"}, "raw: row 1 is not an object but a number"),
    "blank lines alone": ("\n\n", {"format": "jsonl"}, "raw: there is no record in it"),
    "a number and a text as one id": (
        NUMBERED + json.dumps({**GOOD[0], "id": "1", "text": "one more"}),
        {"format": "jsonl"},
        "row 21: the id '1' and the id 1 of raw row 2 are written alike but are not of one type; write all ids",
    ),
    "two kinds of numbers as one id": (
        NUMBERED + json.dumps({**GOOD[0], "id": 1.0, "text": "one more"}),
        {"format": "jsonl"},
        "row 21: the id 1.0 and the id 1 of raw row 2",
    ),
    # Why no row is left: not a matter of the labels.
    "no text": (
        with_column("text", ""),
        {"format": "jsonl"},
        "'0' ('no'); its 10 rows were set aside (empty text in 'text': 10): correct the data or name other columns",
    ),
    "records for texts": (
        with_column("text", {"a": 1}),
        {"format": "jsonl"},
        "raw: the column 'text' holds records (a); name one of their values, such as 'text.a'",
    ),
    "lists of lists": (with_column("text", [[1], [2]]), {"format": "jsonl"}, "were set aside (not text in 'text': 10)"),
    "null for texts": (with_column("text", None), {"format": "jsonl"}, "were set aside (empty text in 'text': 10)"),
    "spreadsheet errors": (with_column("text", "#REF!"), {"format": "jsonl"}, "aside (unreadable text in 'text': 10)"),
    "one id for all": (with_column("id", "x"), {"format": "jsonl"}, "were set aside (duplicate id in 'id': 10)"),
    "no ids": (with_column("id", None), {"format": "jsonl"}, "were set aside (empty id in 'id': 10)"),
    "one label without text": (
        "\n".join(json.dumps(row | {"text": row["text"] * (row["label"] == "0")}) for row in GOOD),
        {"format": "jsonl"},
        "no usable row has the label value '1' ('yes'); its 10 rows were set aside (empty text in 'text': 10)",
    ),
    "labels of another task": (
        with_column("label", "z"),
        {"format": "jsonl"},
        "the column 'label' also has 'z' (20 rows): correct it",
    ),
    "a label missing": (
        CSV.replace(",1\n", ",one\n"),
        {"format": "csv"},
        "no usable row has the label value '1' ('yes'); the column 'label' also has 'one' (10 rows)",
    ),
}


def check_refused(done: DataStep, *sentences) -> None:
    check_refusal(done.code, done.error, *sentences)
    assert not done.folder.exists()


@pytest.mark.parametrize("case", FILES)
def test_raw_file(tmp_path, capsys, case):
    content, reader, sentence = FILES[case]
    path = tmp_path / "raw"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = run_data_step(tmp_path, capsys, make_task({"items": path}, reader=reader))
    check_refused(done, sentence, str(path) if sentence.startswith("raw") else "")


# name: (the split's settings, the split file, what the sentence says)
RANDOM = {"rule": "random", "train": 10, "validation": 5, "test": 5}
SPLITS = {
    "too many wanted": (RANDOM | {"train": 11}, None, "21 items are wanted but there are only 20"),
    "nothing left to validate": (
        RANDOM | {"train": 0.9, "validation": 0.001, "test": 0.05},
        None,
        "the validation split has no item left",
    ),
    "no split file": (
        {"rule": "ids", "ids": "nowhere.json"},
        None,
        "nowhere.json: there is no such split file (tasks.t)",
    ),
    "split file is no JSON": ({"rule": "ids"}, "text", "the split file of tasks.t is not valid JSON"),
    "split file is a list": ({"rule": "ids"}, [], "the split file of tasks.t is not an object with keys"),
    "split file lacks a list": ({"rule": "ids"}, {"train": IDS, "test": IDS}, "'validation' is missing"),
    "misspelt list": ({"rule": "ids"}, LISTS | {"vaildation": []}, "did you mean 'validation'?"),
    "empty list": ({"rule": "ids"}, LISTS | {"test": []}, "'test' must be a list of ids with at least one"),
    "not an id": ({"rule": "ids"}, LISTS | {"test": [None]}, "'test' holds None, which is no id"),
    "id not in the data": (
        {"rule": "ids"},
        LISTS | {"test": ["x1", "i15", "x2"]},
        "2 of the 3 ids of test are not in the data of tasks.t, such as 'x1'",
    ),
    "id in two lists": ({"rule": "ids"}, LISTS | {"test": ["i3"]}, "the id 'i3' is listed in validation and in test"),
    "id twice in a list": ({"rule": "ids"}, LISTS | {"test": ["i16", "i16"]}, "'i16' is listed twice in test"),
    "fold not given": ({"rule": "ids"}, FOLDS, "has 3 folds; say with 'fold'"),
    "fold out of range": ({"rule": "ids", "fold": 3}, FOLDS, "fold 3 is out of range"),
    "fold without folds": ({"rule": "ids", "fold": 0}, LISTS, "has no folds; drop 'fold'"),
    "one fold": ({"rule": "ids", "fold": 0}, FOLDS | {"folds": [IDS]}, "'folds' must be a list of two or more"),
    "folds and lists": ({"rule": "ids", "fold": 0}, FOLDS | {"train": []}, "'train' does not belong here"),
}


@pytest.mark.parametrize("case", SPLITS)
def test_split(tmp_path, capsys, case):
    split, ids, sentence = SPLITS[case]
    path = write_csv(tmp_path / "raw.csv", GOOD)
    if ids is not None:
        (tmp_path / "ids.json").write_text(ids if isinstance(ids, str) else json.dumps(ids))
        split = split | {"ids": str(tmp_path / "ids.json")}
    check_refused(run_data_step(tmp_path, capsys, make_task({"items": path}, split)), sentence)


def test_missing_and_changed_files(tmp_path, capsys):
    check_refused(
        run_data_step(tmp_path, capsys, make_task({"items": tmp_path / "gone.csv"})), "gone.csv: there is no such file"
    )
    check_refused(
        run_data_step(tmp_path, capsys, make_task({"items": tmp_path})),
        "is not a file (tasks.t.sources.made.files.items)",
    )
    path = write_csv(tmp_path / "raw.csv", GOOD)
    other = hashlib.sha256(b"").hexdigest()
    check_refused(
        run_data_step(tmp_path, capsys, make_task({"items": {"path": str(path), "sha256": other}})),
        f"expected sha256 {other}",
    )


def test_every_row_set_aside(tmp_path, capsys):
    path = write_csv(tmp_path / "raw.csv", make_rows(20, text="#NAME?"))
    check_refused(
        run_data_step(tmp_path, capsys, make_task({"items": path})), "no usable row has the label value '0' ('no')"
    )


def test_settings_are_checked_too(tmp_path, capsys):
    path = write_csv(tmp_path / "raw.csv", GOOD)
    check_refused(
        run_data_step(tmp_path, capsys, make_task({"items": path}, lable="x")),
        "'tasks.t.lable' is not a setting; did you mean",
    )
