"""Columns by name and by path, in every format that can nest."""

import json

import pytest

from stagewise.config.readers import Reader
from stagewise.data.columns import MISSING, follow
from stagewise.data.readers import read_records
from stagewise.errors import InputError

RECORD = {
    "answers": {"a": "x", "b": None},
    "a.b": "a name with a dot",
    "a": {"b": "inner", "c.d": {"e": 5}},
    "options": ["first", "second"],
    "choices": [{"text": "one"}, {"text": "two"}],
    "empty": [],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("answers.a", "x"),
        ("answers.b", None),
        ("answers", RECORD["answers"]),
        ("a.b", "a name with a dot"),
        ("a.c.d.e", 5),
        ("options.0", "first"),
        ("options.1", "second"),
        ("options.2", MISSING),
        ("options.-1", MISSING),
        ("choices.text", ["one", "two"]),
        ("choices.1.text", "two"),
        ("choices.label", MISSING),
        ("answers.a.more", MISSING),
        ("empty.text", MISSING),
        ("nothing", MISSING),
    ],
)
def test_a_path_leads_into_a_record_and_a_name_with_dots_comes_first(path, value):
    assert follow(RECORD, path) == value


def write(path, records: list[dict], form: str):
    if form == "parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(records), path)
    else:
        path.write_text(json.dumps(records) if form == "json" else "\n".join(map(json.dumps, records)))
    return path


@pytest.mark.parametrize("form", ["json", "jsonl", "parquet"])
def test_paths_are_the_same_in_every_format_that_can_nest(tmp_path, form):
    records = [
        {"id": "1", "answers": {"a": "x", "b": "y"}, "options": ["p", "q"], "x.y": "dot"},
        {"id": "2", "answers": {"a": "z", "b": None}, "options": ["r"], "x.y": "dots"},
    ]
    columns = ["answers.a", "answers.b", "options.1", "x.y", "answers"]
    got = read_records(write(tmp_path / "f", records, form), Reader(format=form), columns)
    assert got == [
        {"answers.a": "x", "answers.b": "y", "options.1": "q", "x.y": "dot", "answers": records[0]["answers"]},
        {"answers.a": "z", "answers.b": None, "options.1": None, "x.y": "dots", "answers": records[1]["answers"]},
    ]


@pytest.mark.parametrize("form", ["json", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("answers.z", "there is no column 'answers.z'; 'answers' holds a, b"),
        ("answer", "there is no column 'answer'; did you mean 'answers'?"),
        ("other.x", "there is no column 'other.x'; it has id, answers"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_with_the_names_there_are(tmp_path, form, column, says):
    path = write(tmp_path / "f", [{"id": "1", "answers": {"a": "x", "b": "y"}}], form)
    with pytest.raises(InputError, match=f"^{path}: {says.replace('?', '[?]')}"):
        read_records(path, Reader(format=form), [column])


def test_a_text_in_place_of_a_header_is_not_printed_whole(tmp_path):
    tweet = "a tweet that goes on and on " * 9
    (tmp_path / "f.csv").write_text(f"{tweet}\nanother\n")
    with pytest.raises(InputError) as refused:
        read_records(tmp_path / "f.csv", Reader(format="csv"), ["id"])
    assert "it has a tweet that goes on" in str(refused.value) and len(str(refused.value)) < 90 + len(str(tmp_path))
