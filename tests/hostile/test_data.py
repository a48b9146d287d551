"""Data that cannot be used: one sentence that names the file, the row or the way out; code 2; nothing written."""

import gzip
import hashlib
import json

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
    "open quote": (CSV + 'i20,a,"1\n', {"format": "csv"}, "raw: it cannot be read (EOF inside string"),
    "delimiter": (CSV.replace(",", ";"), {"format": "csv"}, "raw: there is no column 'id'"),
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
    "split file is a list": ({"rule": "ids"}, [], "expected an object with train, validation and test"),
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
