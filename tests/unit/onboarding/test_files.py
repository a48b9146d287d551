"""Formats, encodings and delimiters, seen in the bytes."""

import json
from pathlib import Path

import pytest

from stagewise.data.formats import KEY
from stagewise.errors import InputError
from stagewise.onboarding.files import flat, read_file, read_table

ROWS = [{"text": f"text {n}, with a comma", "label": "ab"[n % 2]} for n in range(12)]


def test_delimiters_and_encodings(files):
    rows = [row | {"text": f"{row['text']} é"} for row in ROWS]
    for name, delimiter, encoding, expected in [
        ("a.csv", ",", "utf-8", {"format": "csv"}),
        ("b.csv", ";", "cp1252", {"format": "csv", "delimiter": ";", "encoding": "cp1252"}),
        ("c.tsv", "\t", "utf-8", {"format": "csv", "delimiter": "\t"}),
        ("d.txt", "|", "utf-16", {"format": "csv", "delimiter": "|", "encoding": "utf-16"}),
    ]:
        reader, records, _ = read_file(Path(files.csv(name, rows, delimiter, encoding)))
        assert (reader, records) == (expected, rows)


@pytest.mark.parametrize(
    ("cell", "setting"),
    [(r'"she said \"no\", then left"', {"escape": "\\"}), (r"quotes \"as\" text", {"escape": ""})],
)
def test_a_backslash_before_a_quote_is_given_its_meaning(files, cell, setting):
    files.write("a.csv", "text,label\n" + f"{cell},x\n" * 10)
    assert read_file(Path("a.csv"))[0] == {"format": "csv"} | setting


def test_quotes_of_a_tab_separated_file_may_be_text(files):
    files.write("a.tsv", "text\tlabel\n" + '"Oh\tx\n' * 10)
    reader, records, _ = read_file(Path("a.tsv"))
    assert reader == {"format": "csv", "delimiter": "\t", "quoting": False} and records[0]["text"] == '"Oh'


def test_forms_of_json(files):
    files.write("list.json", json.dumps(ROWS))
    files.write("keyed.json", json.dumps({f"k{n}": row for n, row in enumerate(ROWS)}))
    files.jsonl("lines.json", ROWS)  # called json, as many are
    assert read_file(Path("list.json"))[:2] == ({"format": "json"}, ROWS)
    assert read_file(Path("lines.json"))[:2] == ({"format": "jsonl"}, ROWS)
    reader, records, _ = read_file(Path("keyed.json"))
    assert reader == {"format": "json", "keyed": True} and records[3] == ROWS[3] | {KEY: "k3"}


def test_parquet_knows_the_names_of_its_classes(files):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    rows = {"text": ["x"] * 4, "label": [0, 1, 1, 0]}
    Dataset.from_dict(rows, features=features).to_parquet("a.parquet")
    reader, records, class_names = read_file(Path("a.parquet"))
    assert reader == {"format": "parquet"} and records[1] == {"text": "x", "label": 1}
    assert class_names == {"label": ["bad", "good"]}


def test_nested_records_have_paths():
    assert flat({"a": {"b": {"c": 1}}, "d": [2]}) == {
        "a": {"b": {"c": 1}},
        "a.b": {"c": 1},
        "a.b.c": 1,
        "d": [2],
        "d.0": 2,
    }


def test_columns_of_a_table_are_those_of_every_file(files):
    train = files.jsonl("train.jsonl", [row | {"extra": 1} for row in ROWS])
    test = files.jsonl("test.jsonl", ROWS)
    table = read_table({"train": Path(train), "test": Path(test)}, {"train": {"path": train}, "test": {"path": test}})
    assert table.names == ["text", "label"] and len(table.rows) == 24


def test_files_of_two_forms_are_refused(files):
    paths = {"train": Path(files.jsonl("train.jsonl", ROWS)), "test": Path(files.csv("test.csv", ROWS))}
    with pytest.raises(InputError, match=r"test.csv: it is csv, and train.jsonl is jsonl; save both alike"):
        read_table(paths, {role: {} for role in paths})


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "", "the file is empty"),
        ("a.csv", "text,label\n", "there is a header but no row"),
        ("a.csv", "1,some text\n2,other text\n", "the first line holds values and no names of columns"),
        ("a.csv", f"{'long ' * 30},x\nother text,y\n", "the first line holds values and no names of columns"),
        ("a.txt", "one line\nanother line\n", "its first line has one column, and a task needs"),
        ("a.txt", "@user , you are right\nno\nwell, well, well\n", "it holds lines of text and no table"),
        ("a.txt", "@user , you are right about this one\nwell, no\n", "it holds lines of text and no table"),
        ("a.png", b"\x89PNG", "images cannot be learnt, texts alone"),
        ("a.wav", b"RIFF", "sound and video cannot be learnt"),
        ("a.zip", b"PK\x03\x04 etc", "this is a zip archive"),
        ("a.xlsx", b"PK\x03\x04 [Content_Types].xml", "save it as CSV"),
        ("a.csv", "<!DOCTYPE html><html>", "this is a web page or XML"),
        ("a.bin", b"a\0b", "this is no text"),
        ("a.json", '{"data": [{"text": "x"}], "version": 1}', "lists such as 'data'; save that list alone"),
        ("a.json", '{"text": ["x"], "label": ["y"]}', "orient='records'"),
        ("a.json", '{"text": "x"}', "it holds one object and no records"),
        ("a.json", '["x", "y"]', "row 1 is no record with names"),
        ("a.json", '[{"text": ', "line 1 is not valid JSON"),
        ("a.json", "[]", "there is no record in it"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', "line 2 is not valid JSON"),
        ("a.parquet", b"PAR1 broken", "not a Parquet file"),
    ],
)
def test_what_cannot_be_read_has_its_sentence(files, name, content, sentence):
    path = Path(files.write(name, content))
    with pytest.raises(InputError) as error:
        read_file(path)
    assert str(error.value).startswith(f"{name}: ") and sentence in str(error.value)


def test_a_folder_and_a_missing_file_are_refused(files):
    with pytest.raises(InputError, match="this is a folder; name its files"):
        read_file(Path("models"))
    with pytest.raises(InputError, match="there is no such file"):
        read_file(Path("nowhere.csv"))


def test_a_table_by_column_is_no_keyed_file(files):
    """`DataFrame.to_json` writes it, if it is not told otherwise."""
    columns = {name: {str(n): row[name] for n, row in enumerate(ROWS)} for name in ROWS[0]}
    files.write("a.json", json.dumps(columns))
    with pytest.raises(InputError, match="holds columns and not records; save it with orient='records'"):
        read_file(Path("a.json"))


def test_classes_of_lists_have_names(files):
    import pyarrow
    from pyarrow import parquet

    labels = {"feature": {"names": ["joy", "fear"], "_type": "ClassLabel"}, "_type": "Sequence"}
    table = pyarrow.table({"text": [f"text {n}" for n in range(12)], "labels": [[n % 2] for n in range(12)]})
    metadata = {"huggingface": json.dumps({"info": {"features": {"labels": labels}}})}
    parquet.write_table(table.replace_schema_metadata(metadata), "a.parquet")
    assert read_file(Path("a.parquet"))[2] == {"labels": ["joy", "fear"]}


def test_a_line_for_excel_is_refused(files):
    files.write("a.csv", "sep=;\ntext;label\n" + "words;x\n" * 10)
    with pytest.raises(InputError, match="the first line names the separator, for Excel; take it out"):
        read_file(Path("a.csv"))


def test_a_first_line_that_is_a_row_is_refused(files):
    files.write("a.csv", "some words,pos\n" + "".join(f"text {n},{['pos', 'neg'][n % 2]}\n" for n in range(12)))
    with pytest.raises(InputError, match="'pos' is a value of the column that is called so, so the first line seems"):
        read_file(Path("a.csv"))
    files.csv("b.csv", [*ROWS, {"text": "text", "label": "label"}, *ROWS])
    with pytest.raises(InputError, match="b.csv: row 13 is the header again; take it out"):
        read_file(Path("b.csv"))
