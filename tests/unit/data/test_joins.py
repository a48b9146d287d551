"""Items whose columns stand in several files."""

import json

import pytest

from stagewise.config.tasks import Task
from stagewise.data.foreign_code import foreign_code
from tests.helpers.data_step import make_task, run_data_step
from tests.helpers.refusals import check_refusal
from tests.helpers.tiny_data import write_csv, write_jsonl

SPLITS = ("train", "validation", "test")
LINES = {"files": {"train": "train-labels", "test": "test-labels"}, "columns": ["label"]}


def write_lines(folder, role: str, count: int, labels: int | None = None) -> dict:
    """Texts and labels of one role, a line each; the third text is empty, the fourth holds another separator."""
    texts = [f"{role} tweet {n}" for n in range(count)]
    texts[2], texts[3] = "", f"{role} one\u2028two"
    (folder / f"{role}_text.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    numbers = range(count if labels is None else labels)
    (folder / f"{role}_labels.txt").write_text("".join(f"{n % 2}\r\n" for n in numbers))
    return {role: folder / f"{role}_text.txt", f"{role}-labels": folder / f"{role}_labels.txt"}


def line_task(folder, join=LINES, labels: int | None = None, **changes) -> dict:
    files = write_lines(folder, "train", 30, labels) | write_lines(folder, "test", 10)
    settings = make_task(files, {"rule": "files"}, {"format": "lines"}, id=None, **changes)
    settings["sources"]["made"]["joins"] = [join]
    return settings


def every_item(done) -> list[dict]:
    assert done.code == 0, done.error
    return [item for split in SPLITS for item in done.items(split)]


def test_lines_of_texts_and_lines_of_labels_are_joined_row_by_row(tmp_path, capsys):
    done = run_data_step(tmp_path, capsys, line_task(tmp_path))
    answers = {item["fields"]["text"]: item["label"] for item in every_item(done)}
    assert len(answers) == 38
    assert (answers["train tweet 4"], answers["train tweet 5"], answers["test one\u2028two"]) == ("no", "yes", "yes")
    assert [(file, row, reason) for file, row, _, reason in done.set_aside()] == [
        ("train_text.txt", "3", "empty text"),
        ("test_text.txt", "3", "empty text"),
    ]
    files = done.summary["tasks"]["t"]["files"]
    assert {role: file["name"] for role, file in files.items()} == {
        "train": "train_text.txt",
        "train-labels": "train_labels.txt",
        "test": "test_text.txt",
        "test-labels": "test_labels.txt",
    }


def test_files_of_different_lengths_are_refused(tmp_path, capsys):
    done = run_data_step(tmp_path, capsys, line_task(tmp_path, labels=29))
    check_refusal(
        done.code, done.error, "train_labels.txt: 29 rows, but", "train_text.txt has 30 and they are joined row"
    )


def test_lines_hold_one_column(tmp_path, capsys):
    settings = line_task(tmp_path, fields={"text": "text", "title": "title"})
    done = run_data_step(tmp_path, capsys, settings)
    check_refusal(done.code, done.error, "train_text.txt: format lines has one column, but text, title are read of it")


KEYED = {"files": {"items": "labels"}, "columns": ["label"], "by": "id"}


def keyed_task(tmp_path, labels: list[dict], join: dict, form="csv", **changes) -> dict:
    texts = write_jsonl(tmp_path / "texts.jsonl", [{"id": n, "text": f"text {n}"} for n in range(20)])
    other = (write_csv if form == "csv" else write_jsonl)(tmp_path / "labels", labels)
    settings = make_task({"items": texts, "labels": other}, reader={"format": "jsonl"}, **changes)
    settings["sources"]["made"]["joins"] = [KEYED | {"reader": {"format": form}} | join]
    return settings


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_labels_of_another_file_are_joined_by_a_key_in_any_order(tmp_path, capsys, form):
    labels = [{"case": n, "label": n % 2, "note": "x"} for n in reversed(range(25)) if n != 3]
    done = run_data_step(tmp_path, capsys, keyed_task(tmp_path, labels, {"key": "case"}, form))
    items = every_item(done)
    assert {int(item["id"]) for item in items} == set(range(20)) - {3}
    assert all(item["label"] == ("yes" if int(item["id"]) % 2 else "no") for item in items)
    assert done.set_aside() == [("texts.jsonl", "4", "3", "empty label")]


def test_labels_by_id_in_json_are_joined_by_their_key(tmp_path, capsys):
    settings = keyed_task(tmp_path, [{"id": 1, "label": 1}], {}, label="value")
    (tmp_path / "labels").write_text(json.dumps({str(n): n % 2 for n in range(20)}))
    join = {"reader": {"format": "json", "keyed": True}, "columns": ["value"], "key": "key"}
    settings["sources"]["made"]["joins"] = [KEYED | join]
    items = every_item(run_data_step(tmp_path, capsys, settings))
    assert len(items) == 20 and all(item["label"] == ["no", "yes"][int(item["id"]) % 2] for item in items)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([{"id": 1, "label": 1}, {"id": 1, "label": 0}], "labels: row 2 has the id '1' of an earlier row; keep one"),
        ([{"id": "x", "label": 1}], "labels: no row has a 'id' that is a 'id' of"),
        ([{"case": 1, "label": 1}], "labels: there is no column 'id'"),
    ],
)
def test_keys_that_do_not_match_are_refused(tmp_path, capsys, labels, says):
    done = run_data_step(tmp_path, capsys, keyed_task(tmp_path, labels, {}))
    check_refusal(done.code, done.error, says)


def test_a_joined_file_is_part_of_what_the_splits_are_made_of(tmp_path, capsys):
    settings = keyed_task(tmp_path, [{"id": n, "label": n % 2} for n in range(20)], {})
    before = run_data_step(tmp_path, capsys, settings).summary
    write_csv(tmp_path / "labels", [{"id": n, "label": (n + 1) % 2} for n in range(20)])
    after = run_data_step(tmp_path, capsys, settings).summary
    assert before["inputs"]["files"] != after["inputs"]["files"]


@pytest.mark.parametrize(
    ("join", "says"),
    [
        ({"files": {"items": "lables"}}, "joins[0].files names 'lables', which is not one of items, labels"),
        ({"files": {"items": "items"}}, "joins[0].files: 'items' is joined to another file and has no items"),
        ({"files": {"labels": "items"}}, "needs a file 'items', but source 'made' has labels"),
        ({"by": None, "key": "case"}, "'key' is the name that these files have for the column 'by', which is missing"),
        ({"columns": []}, "columns"),
    ],
)
def test_joins_that_cannot_be_made_are_refused_before_anything_is_read(tmp_path, capsys, join, says):
    done = run_data_step(tmp_path, capsys, keyed_task(tmp_path, [{"id": 1, "label": 1}], join))
    check_refusal(done.code, done.error, says)


def test_every_file_of_the_split_needs_its_columns(tmp_path, capsys):
    join = LINES | {"files": {"train": "train-labels"}}
    done = run_data_step(tmp_path, capsys, line_task(tmp_path, join))
    check_refusal(done.code, done.error, "joins[0].files says nothing of 'test', which split 'made' reads")


def test_a_split_by_ids_reads_no_joined_file_as_items(tmp_path, capsys):
    labels = [{"id": n, "label": n % 2} for n in range(20)]
    lists = {"train": list(range(12)), "validation": list(range(12, 16)), "test": list(range(16, 20))}
    (tmp_path / "ids.json").write_text(json.dumps(lists))
    settings = keyed_task(tmp_path, labels, {})
    settings["splits"] = {"made": {"rule": "ids", "ids": str(tmp_path / "ids.json")}}
    done = run_data_step(tmp_path, capsys, settings)
    assert len(every_item(done)) == 20 and done.summary["tasks"]["t"]["rows"] == 20


def test_annotators_and_groups_may_come_from_a_joined_file(tmp_path, capsys):
    labels = [{"id": n, "label": n % 2, "again": 1, "author": n // 2} for n in range(20)]
    settings = keyed_task(tmp_path, labels, {"columns": ["label", "again", "author"]}, "jsonl", group="author")
    settings["sources"]["made"]["agreement"] = {"again": "label"}
    items = every_item(run_data_step(tmp_path, capsys, settings))
    assert all(item["agreement"] == {"again": float(item["label"] == "yes")} for item in items)
    assert all("group" in item for item in items)


def test_the_code_of_a_joined_files_format_is_part_of_the_splits(tmp_path, monkeypatch):
    (tmp_path / "label_files.py").write_text("def read(path, reader, columns):\n    return []\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings = keyed_task(tmp_path, [{"id": 1, "label": 1}], {"reader": {"format": "label_files:read"}})
    assert list(foreign_code({"t": Task.model_validate(settings)})) == ["label_files:read"]
