"""Ids made from content: they reveal nothing, and depend on content alone."""

import hashlib
import json
import re

import pytest

from stagewise.data.content_ids import content_ids
from tests.helpers.data_step import make_task, run_data_step
from tests.helpers.refusals import check_refusal
from tests.helpers.tiny_data import make_rows, write_csv, write_jsonl

COLUMNS = ["text", "label"]
ROWS = [{"text": text, "label": "1", "more": n} for n, text in enumerate(["yes", "no", "yes", "maybe", "yes"])]
SPLITS = ("train", "validation", "test")


def test_equal_records_are_numbered_and_others_have_other_ids():
    ids = content_ids("train", ROWS, COLUMNS)
    assert re.fullmatch("[0-9a-f]{16}", ids[0]) and len(set(ids)) == 5
    assert [ids[2], ids[4]] == [f"{ids[0]}-2", f"{ids[0]}-3"]
    assert not set(ids) & set(content_ids("test", ROWS, COLUMNS))


def test_ids_depend_on_neither_the_order_of_rows_nor_on_other_columns():
    backwards = content_ids("train", [row | {"more": 9} for row in reversed(ROWS)], COLUMNS)
    assert sorted(backwards) == sorted(content_ids("train", ROWS, COLUMNS))
    assert backwards[1] == content_ids("train", ROWS, COLUMNS)[3]


def test_an_id_cannot_be_guessed_without_all_rows_of_the_file(tmp_path):
    """A short text is in any list of guesses, and the checksum of the raw file is published."""
    ids = content_ids("train", ROWS, COLUMNS)
    assert not set(ids) & set(content_ids("train", ROWS[:-1], COLUMNS))
    path = write_jsonl(tmp_path / "raw.jsonl", ROWS)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    for salt in ("", sha256, "train"):
        for content in ("yes", json.dumps(["yes", "1"])):
            assert ids[0] != hashlib.sha256((salt + content).encode()).hexdigest()[:16]


def test_a_task_without_an_id_column_keeps_its_texts_out_of_every_file_but_the_splits(tmp_path, capsys):
    rows = [{"text": row["text"], "label": row["label"]} for row in make_rows(30)]
    rows[3]["text"] = ""
    settings = make_task({"items": write_csv(tmp_path / "raw.csv", rows)}, id=None)
    done = run_data_step(tmp_path, capsys, settings)
    assert done.code == 0, done.error
    ids = [item_id for split in SPLITS for item_id in done.ids(split)]
    assert len(set(ids)) == 29 and all(re.fullmatch("[0-9a-f]{16}", item_id) for item_id in ids)
    ((file, row, item_id, reason),) = done.set_aside()
    assert (file, row, reason) == ("raw.csv", "4", "empty text") and re.fullmatch("[0-9a-f]{16}", item_id)
    assert "text number" not in (done.folder / "summary.json").read_text()
    assert "text number" not in (done.folder / "t" / "set_aside.csv").read_text()
    shuffled = make_task({"items": write_csv(tmp_path / "other.csv", rows[::-1])}, id=None)
    again = run_data_step(tmp_path, capsys, shuffled)
    assert {split: set(again.ids(split)) for split in SPLITS} == {split: set(done.ids(split)) for split in SPLITS}


@pytest.mark.parametrize("rule", ["stop", "drop"])
def test_repeated_texts_are_a_matter_of_duplicates(tmp_path, capsys, rule):
    rows = [{"text": f"text {n // 2}", "label": str(n // 2 % 2)} for n in range(40)]
    settings = make_task({"items": write_csv(tmp_path / "raw.csv", rows)}, id=None)
    done = run_data_step(tmp_path, capsys, settings, duplicates={"within_split": rule, "across_splits": rule})
    if rule == "stop":
        check_refusal(done.code, done.error, "repeat an earlier text of their split", "set duplicates.within_split")
    else:
        assert done.code == 0, done.error
        assert sum(len(done.ids(split)) for split in SPLITS) == 20


def test_a_split_by_ids_needs_a_column_of_ids(tmp_path, capsys):
    settings = make_task({"items": "raw.csv"}, {"rule": "ids", "ids": "ids.json"}, id=None)
    check_refusal(2, run_data_step(tmp_path, capsys, settings).error, "'made' lists ids, so the task needs 'id'")
