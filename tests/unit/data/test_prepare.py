"""The data step on small made files: what it writes, what it sets aside, how it reads each format."""

import hashlib
import json

import pytest

from scripts import make_splits
from tests.helpers.data_step import make_task, run_data_step
from tests.helpers.tiny_data import make_rows, write_csv


def test_files_and_summary(tmp_path, capsys):
    raw = write_csv(tmp_path / "raw.csv", make_rows(20, ones=0.4))
    done = run_data_step(tmp_path, capsys, make_task({"items": raw}))
    assert done.code == 0
    assert [p.relative_to(done.folder).as_posix() for p in done.files] == [
        "summary.json",
        "t/set_aside.csv",
        "t/test.jsonl",
        "t/train.jsonl",
        "t/validation.jsonl",
    ]
    assert done.set_aside() == []
    every = [item for split in ("train", "validation", "test") for item in done.items(split)]
    assert sorted(item["id"] for item in every) == sorted(f"i{n}" for n in range(20))
    by_id = {item["id"]: item for item in every}
    assert by_id["i3"] == {"id": "i3", "label": "yes", "fields": {"text": "text number 3"}}
    assert by_id["i9"]["label"] == "no"
    for split in ("train", "validation", "test"):
        numbers = [int(i[1:]) for i in done.ids(split)]
        assert numbers == sorted(numbers)
    facts = done.summary["tasks"]["t"]
    assert facts["files"] == {"items": {"name": "raw.csv", "sha256": hashlib.sha256(raw.read_bytes()).hexdigest()}}
    assert (facts["rows"], facts["set_aside"], facts["split"], facts["source"]) == (20, {}, "made", "made")
    assert (facts["licence"], facts["redistribute"], facts["groups_across_splits"]) == (None, False, None)
    assert facts["splits"]["train"] == {
        "items": 12,
        "labels": {"no": 7, "yes": 5},
        "items_before_limit": 12,
        "sha256": hashlib.sha256((done.folder / "t" / "train.jsonl").read_bytes()).hexdigest(),
    }
    assert set(facts["duplicates"].values()) == {0}
    assert done.summary["duplicates_across_tasks"] == 0
    assert done.summary["limit"] == {"train": None, "validation": None, "test": None}


def test_the_same_input_gives_the_same_bytes(tmp_path, capsys):
    raw = write_csv(tmp_path / "raw.csv", make_rows(40))
    once, again = (
        {p.name: p.read_bytes() for p in run_data_step(tmp_path, capsys, make_task({"items": raw})).files} for _ in "12"
    )
    assert once == again
    assert len(once) == 5


def test_broken_rows_are_set_aside_with_row_and_reason(tmp_path, capsys):
    records = make_rows(30)
    for number, change in {
        0: {"text": "#NAME?"},
        1: {"text": " #DIV/0! "},
        2: {"text": "  "},
        3: {"label": "2"},
        4: {"label": ""},
        5: {"id": " "},
        6: {"id": "i20"},
        7: {"id": "#REF!"},
        8: {"text": "we typed #NAME? and went on"},
        25: {"id": "i20"},
    }.items():
        records[number] |= change
    done = run_data_step(
        tmp_path, capsys, make_task({"items": write_csv(tmp_path / "raw.csv", records)}, unknown_labels="set_aside")
    )
    assert done.set_aside() == [
        ("raw.csv", "1", "i0", "unreadable text"),
        ("raw.csv", "2", "i1", "unreadable text"),
        ("raw.csv", "3", "i2", "empty text"),
        ("raw.csv", "4", "i3", "unknown label"),
        ("raw.csv", "5", "i4", "empty label"),
        ("raw.csv", "6", " ", "empty id"),
        ("raw.csv", "8", "#REF!", "unreadable id"),
        ("raw.csv", "21", "i20", "duplicate id"),
        ("raw.csv", "26", "i20", "duplicate id"),
    ]
    facts = done.summary["tasks"]["t"]
    assert facts["set_aside"] == {
        "duplicate id": 2,
        "empty id": 1,
        "empty label": 1,
        "empty text": 1,
        "unknown label": 1,
        "unreadable id": 1,
        "unreadable text": 2,
    }
    assert sum(split["items"] for split in facts["splits"].values()) == facts["rows"] - 9
    assert "i8" in {i for split in ("train", "validation", "test") for i in done.ids(split)}


def test_sections_of_a_list_are_joined_or_the_first_is_taken(tmp_path, capsys):
    records = make_rows(12, text=lambda n: [f"first {n}", f"second {n}"])
    records[0]["text"], records[1]["text"], records[2]["text"] = ["one", {}], [], {"a": 7}
    records[3]["text"], records[4]["text"] = None, "plain"
    del records[5]["text"]
    (tmp_path / "raw.json").write_text(json.dumps(records))
    for sections, text in (("all", "first 6\nsecond 6"), ("first", "first 6")):
        settings = make_task(
            {"items": tmp_path / "raw.json"},
            reader={"format": "json"},
            fields={"context": {"column": "text", "sections": sections}},
        )
        done = run_data_step(tmp_path, capsys, settings)
        every = {item["id"]: item for split in ("train", "validation", "test") for item in done.items(split)}
        assert every["i6"]["fields"] == {"context": text}
        assert every["i4"]["fields"] == {"context": "plain"}
        assert [(row, why) for _, row, _, why in done.set_aside()] == [
            ("1", "not text"),
            ("2", "empty text"),
            ("3", "not text"),
            ("4", "empty text"),
            ("6", "empty text"),
        ]


def test_half_a_surrogate_pair_is_set_aside(tmp_path, capsys):
    records = make_rows(12)
    records[0]["text"] = "broken \ud83d emoji"
    (tmp_path / "raw.json").write_text(json.dumps(records))
    done = run_data_step(tmp_path, capsys, make_task({"items": tmp_path / "raw.json"}, reader={"format": "json"}))
    assert done.set_aside() == [("raw.json", "1", "i0", "unreadable text")]


def test_numbers_as_ids_labels_and_groups(tmp_path, capsys):
    records = make_rows(12, id=lambda n: n, label=lambda n: n % 2, post=lambda n: n // 2)
    records[5] |= {"id": 5.0, "label": 1.0, "post": 2.0}  # as a table with missing numbers has them
    (tmp_path / "raw.jsonl").write_text("\n".join(map(json.dumps, records)))
    settings = make_task({"items": tmp_path / "raw.jsonl"}, reader={"format": "jsonl"}, group="post")
    done = run_data_step(tmp_path, capsys, settings)
    assert done.code == 0, done.error
    posts = [{int(i) // 2 for i in done.ids(split)} for split in ("train", "validation", "test")]
    assert done.set_aside() == []
    assert sum(map(len, posts)) == len(set.union(*posts)) == 6
    assert done.summary["tasks"]["t"]["groups_across_splits"] == 0


def test_a_split_tells_groups_apart_without_their_names_whatever_other_splits_hold(tmp_path, capsys):
    """Folds and limits change what is trained on; the test items stay the same bytes."""
    raw = write_csv(tmp_path / "raw.csv", make_rows(60, post=lambda n: f"patient {n // 3}"))
    settings = make_task({"items": raw}, group="post")
    done = run_data_step(tmp_path, capsys, settings)
    for split in ("train", "validation", "test"):
        patients = [int(item_id[1:]) // 3 for item_id in done.ids(split)]
        order = list(dict.fromkeys(patients))
        assert [item["group"] for item in done.items(split)] == [order.index(patient) for patient in patients]
        assert "patient" not in (done.folder / "t" / f"{split}.jsonl").read_text()
    limited = run_data_step(tmp_path, capsys, settings, limit={"train": 4})
    assert len(limited.ids("train")) == 4
    assert limited.items("test") == done.items("test")


def test_settings_from_configuration_files(tmp_path, capsys):
    """By hand, the step takes the experiment's own files."""
    import yaml

    raw = write_csv(tmp_path / "raw.csv", make_rows(20))
    values = {
        "experiment": "e",
        "model": "m",
        "models": {"m": {"path": "nowhere"}},
        "arms": {"a": {"stages": [{"task": "t"}]}},
        "tasks": {"t": make_task({"items": raw}), "unused": make_task({"items": "nowhere.csv"})},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump({"limit": {"train": 4}}))
    output = tmp_path / "out"
    argv = ["--settings", str(tmp_path / "config.yaml"), str(tmp_path / "overlay.yaml"), "--output", str(output)]
    assert make_splits.main(argv) == 0
    assert list(json.loads((output / "summary.json").read_text())["tasks"]) == ["t"]
    assert len((output / "t" / "train.jsonl").read_text().splitlines()) == 4


def test_fetched_files_are_found_by_task_and_role_and_checked_again(tmp_path, capsys):
    """Two files of one name are kept apart, and content decides, not the name."""
    files = {}
    for role, start in (("train", 0), ("test", 100)):
        path = tmp_path / "raw" / "t" / role / "0000.csv"
        path.parent.mkdir(parents=True)
        records = make_rows(20, id=lambda n, s=start: s + n, text=lambda n, s=start: f"text {s + n}")
        sha256 = hashlib.sha256(write_csv(path, records).read_bytes()).hexdigest()
        files[role] = {"url": f"https://example.org/{role}/0000.csv?download=1", "sha256": sha256}
    settings = make_task(files, {"rule": "files"})
    done = run_data_step(tmp_path, capsys, settings, raw=tmp_path / "raw")
    assert done.code == 0, done.error
    assert done.ids("test") == [str(n) for n in range(100, 120)]
    path.write_bytes(path.read_bytes().replace(b"text 105", b"text 999"))
    before = (done.folder / "summary.json").read_bytes()
    done = run_data_step(tmp_path, capsys, settings, raw=tmp_path / "raw", output=done.folder)
    assert done.code == 2
    assert f"{path}: expected sha256 {files['test']['sha256']} but found" in done.error
    assert "tasks.t.sources.made.files.test" in done.error
    assert (done.folder / "summary.json").read_bytes() == before
    path.unlink()
    assert (
        "fetch it with python -m scripts.fetch_data"
        in run_data_step(tmp_path, capsys, settings, raw=tmp_path / "raw").error
    )


@pytest.mark.parametrize("rule", ["stop", "drop"])
def test_nothing_is_written_where_a_later_task_fails(tmp_path, capsys, rule):
    good, bad = make_rows(20), make_rows(20, text="the same")
    tasks = {
        "good": make_task({"items": write_csv(tmp_path / "good.csv", good)}),
        "bad": make_task({"items": write_csv(tmp_path / "bad.csv", bad)}),
    }
    done = run_data_step(tmp_path, capsys, tasks, duplicates={"within_split": rule})
    assert done.code == 2
    assert not done.folder.exists()


def test_annotators_agreement_travels_with_the_items(tmp_path, capsys):
    records = [row | {"again": row["label"], "sure": "0.8"} for row in make_rows(20)]
    records[0] |= {"again": "1" if records[0]["label"] == "0" else "0", "sure": ""}
    records[1]["sure"] = "0.0"
    raw = write_csv(tmp_path / "raw.csv", records)
    settings = make_task({"items": raw})
    settings["sources"]["made"]["agreement"] = {"again": "label", "sure": "share"}
    done = run_data_step(tmp_path, capsys, settings)
    assert done.code == 0
    found = {i["id"]: i["agreement"] for split in ("train", "validation", "test") for i in done.items(split)}
    assert found.pop("i0") == {"again": 0.0, "sure": None}
    assert found.pop("i1") == {"again": 1.0, "sure": None}
    assert list(found.values()) == [{"again": 1.0, "sure": 0.8}] * 18


@pytest.mark.parametrize("share", ["7", "often"])
def test_an_agreement_that_is_no_share_is_refused_with_its_row(tmp_path, capsys, share):
    records = [row | {"sure": "0.8"} for row in make_rows(20)]
    records[4]["sure"] = share
    settings = make_task({"items": write_csv(tmp_path / "raw.csv", records)})
    settings["sources"]["made"]["agreement"] = {"sure": "share"}
    done = run_data_step(tmp_path, capsys, settings)
    assert done.code == 2 and done.files == []
    assert f"raw.csv: row 5: sure is '{share}', no share from 0 to 1" in done.error
