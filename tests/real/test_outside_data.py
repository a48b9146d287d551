"""Public data sets as they are published: 77 labels without ids, and questions with options of their own."""

import csv
import json
import re

import pytest

from tests.helpers.data_step import run_data_step
from tests.helpers.refusals import check_refusal
from tests.helpers.tiny_data import task_settings

pytestmark = pytest.mark.real

SPLITS = ("train", "validation", "test")
DROP = {"within_split": "drop", "across_splits": "drop"}


@pytest.fixture
def outside(real_data):
    """Folder of the data sets."""
    if not (folder := real_data / "outside").is_dir():
        pytest.skip("no outside data: put the folder 'outside' into that of STAGEWISE_MIRROR")
    return folder


def banking(folder) -> dict:
    words = {name: name.replace("_", " ") for name in json.loads((folder / "banking77/categories.json").read_text())}
    files = {role: folder / f"banking77/{role}.csv" for role in ("train", "test")}
    return task_settings(files, words, {"rule": "files"}, id=None, label="category")


def test_banking77_needs_no_ids(tmp_path, capsys, outside):
    done = run_data_step(tmp_path, capsys, banking(outside), duplicates=DROP, limit={"train": 154})
    assert done.code == 0, done.error
    items = [item for split in SPLITS for item in done.items(split)]
    assert all(re.fullmatch(r"[0-9a-f]{16}(-\d+)?", item["id"]) for item in items)
    assert len({item["id"] for item in items}) == len(items)
    facts = done.summary["tasks"]["t"]
    assert facts["rows"] == 13083
    counts = facts["splits"]["train"]["labels"].values()
    assert len(counts) == 77 and min(counts) >= 1 and sum(counts) == 154
    assert all(re.search("duplicate text|same text", reason) for reason in facts["set_aside"])
    with (outside / "banking77/test.csv").open(encoding="utf-8", newline="") as handle:
        texts = [row["text"] for row in csv.DictReader(handle)]
    published = (done.folder / "summary.json").read_text() + (done.folder / "t/set_aside.csv").read_text()
    assert not any(text in published for text in texts)


def test_a_missing_label_of_77_is_named_in_one_short_sentence(tmp_path, capsys, outside):
    settings = banking(outside)
    settings["labels"] = [label for label in settings["labels"] if label["value"] != "card_arrival"]
    done = run_data_step(tmp_path, capsys, settings)
    sentence = check_refusal(done.code, done.error, "the column 'category' holds 'card_arrival' (193 rows), none of")
    assert len(sentence) < 250


def test_aqua_has_options_of_each_item(tmp_path, capsys, outside):
    files = {"train": outside / "aqua/dev.json", "test": outside / "aqua/test.json"}
    settings = task_settings(
        files,
        {},
        {"rule": "files"},
        {"format": "jsonl"},
        kind="multiple_choice",
        id=None,
        label="correct",
        fields={"question": "question"},
        options={"columns": "options", "most": 5},
    )
    done = run_data_step(tmp_path, capsys, settings, duplicates=DROP)
    assert done.code == 0, done.error
    items = [item for split in SPLITS for item in done.items(split)]
    assert len(items) == 508 and done.set_aside() == []
    for item in items:
        letters = [line[:3] for line in item["fields"]["options"].split("\n")]
        assert letters == [f"{letter}. " for letter in "ABCDE"[: item["options"]]]
        assert item["label"] in "ABCDE"[: item["options"]]
        assert not re.search(r"^A\. \(?A\)", item["fields"]["options"])
        assert item["fields"].keys() == {"question", "options"}
