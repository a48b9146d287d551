"""Repeated texts: stopped with both places named, dropped by the declared rule, or kept; always counted."""

import pytest

from stagewise.data.duplicates import normalize
from tests.helpers.data_step import make_task, run_data_step
from tests.helpers.tiny_data import make_rows, write_csv

ALL = ("train", "validation", "test")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Is it so?", "is it  so", True),
        ("\uff21\ufb01ne day", "afine day", True),
        ("line\r\nbreak\u00a0here", "line break here", True),
        ("Stra\u00dfe", "STRASSE", True),
        ("don\u2019t", "don't", True),
        ("one two", "onetwo", False),
        ("1 < 2", "1 2", False),
        ("\u0915\u093f", "\u0915\u0940", False),
        ("!!!", "???", False),
        ("\U0001f600", "\U0001f622", False),
    ],
)
def test_normalize(one, other, same):
    assert (normalize(one) == normalize(other)) is same


def splits_of(folder, capsys, repeats: dict[str, list[tuple[int, dict]]], **settings):
    """Three files of ten distinct rows each, some changed, as train, validation and test."""
    files = {}
    for split in ALL:
        records = make_rows(10, id=lambda n, s=split: f"{s}{n}", text=lambda n, s=split: f"{s} says {n}")
        for number, change in repeats.get(split, []):
            records[number] |= change
        files[split] = write_csv(folder / f"{split}.csv", records)
    more = settings.pop("more", {})
    return run_data_step(
        folder, capsys, make_task(files, {"rule": "files", "validation": "validation"}, **more), **settings
    )


def test_within_a_split(tmp_path, capsys):
    # Rows 0 to 4 are labelled 1. The first pair agrees in its label, the second does not.
    repeats = {
        "train": [(1, {"text": "TRAIN says: 0"}), (2, {"text": "train says 0"}), (9, {"text": "train says 4"})],
        "test": [(7, {"text": "test says 6"})],
    }
    stopped = splits_of(tmp_path, capsys, repeats)
    assert stopped.code == 2
    assert not stopped.folder.exists()
    assert (
        "error: tasks.t: 4 items repeat an earlier text of their split, such as 'train0' (train.csv row 1) and "
        "'train1' (train.csv row 2) in train; set duplicates.within_split to drop or keep\n"
    ) in stopped.error

    kept = splits_of(tmp_path, capsys, repeats, duplicates={"within_split": "keep"})
    assert [len(kept.ids(split)) for split in ALL] == [10, 10, 10]
    assert kept.set_aside() == []

    dropped = splits_of(tmp_path, capsys, repeats, duplicates={"within_split": "drop"})
    assert dropped.ids("train") == [f"train{n}" for n in (0, 3, 5, 6, 7, 8)]
    assert dropped.ids("test") == [f"test{n}" for n in range(10) if n != 7]
    assert dropped.set_aside() == [
        ("train.csv", "2", "train1", "duplicate text in train"),
        ("train.csv", "3", "train2", "duplicate text in train"),
        ("train.csv", "5", "train4", "duplicate text with another label"),
        ("train.csv", "10", "train9", "duplicate text with another label"),
        ("test.csv", "8", "test7", "duplicate text in test"),
    ]
    for done in (kept, dropped):
        assert done.summary["tasks"]["t"]["duplicates"] == {
            "within_split": 4,
            "within_split_exact": 3,
            "across_splits": 0,
            "across_splits_exact": 0,
        }
    assert dropped.summary["tasks"]["t"]["set_aside"] == {
        "duplicate text in test": 1,
        "duplicate text in train": 2,
        "duplicate text with another label": 2,
    }


def test_across_splits(tmp_path, capsys):
    repeats = {
        "train": [(0, {"text": "test says 0"}), (9, {"text": "Validation says 3!"}), (5, {"text": "test says 1"})],
        "validation": [(5, {"text": "test says 1"})],
    }
    stopped = splits_of(tmp_path, capsys, repeats)
    assert stopped.code == 2
    assert not stopped.folder.exists()
    assert (
        "4 items have the text of an item in another split, such as 'test1' (test.csv row 2) in test and "
        "'validation5' (validation.csv row 6) in validation; set duplicates.across_splits to drop or keep"
    ) in stopped.error

    kept = splits_of(tmp_path, capsys, repeats, duplicates={"across_splits": "keep"})
    assert [len(kept.ids(split)) for split in ALL] == [10, 10, 10]

    dropped = splits_of(tmp_path, capsys, repeats, duplicates={"across_splits": "drop"})
    assert [len(dropped.ids(split)) for split in ALL] == [7, 9, 10]
    assert dropped.set_aside() == [
        ("train.csv", "1", "train0", "same text as a test item"),
        ("train.csv", "6", "train5", "same text as a test item"),
        ("train.csv", "10", "train9", "same text as a validation item"),
        ("validation.csv", "6", "validation5", "same text as a test item"),
    ]
    for done in (kept, dropped):
        found = done.summary["tasks"]["t"]["duplicates"]
        assert (found["across_splits"], found["across_splits_exact"]) == (4, 3)
        assert found["within_split"] == 0


def test_identity_says_which_variables_count(tmp_path, capsys):
    fields = {"fields": {"topic": "topic", "text": "text"}}
    repeats = {split: [(n, {"topic": f"topic {split} {n}"}) for n in range(10)] for split in ALL}
    repeats["train"][0][1]["text"] = "test says 0"
    for identity, code in ((None, 0), (["topic", "text"], 0), (["text"], 2)):
        more = fields | ({"identity": identity} if identity else {})
        assert splits_of(tmp_path, capsys, repeats, more=more).code == code
    # Two variables do not run together into one text.
    repeats["train"][0][1].update(text="b c", topic="a")
    repeats["test"][0][1].update(text="c", topic="a b")
    assert splits_of(tmp_path, capsys, repeats, more=fields).code == 0


def test_across_tasks(tmp_path, capsys):
    one = make_rows(20, id=lambda n: f"a{n}", text=lambda n: f"a says {n}")
    two = make_rows(20, id=lambda n: f"b{n}", topic="b", text=lambda n: f"says {n}")
    # Variables differ by task; all of an item's text in a row is compared.
    two[3] |= {"topic": "A", "text": "says 0"}
    two[4] |= {"topic": "a", "text": "says 1"}
    two[5] |= {"topic": "a", "text": "says 2"}
    (tmp_path / "a.json").write_text(
        '{"train": ["a0", "a3", "a4", "a19"], "validation": ["a5", "a18"], "test": ["a1", "a2", "a17"]}'
    )
    (tmp_path / "b.json").write_text(
        '{"train": ["b3", "b4", "b6", "b19"], "validation": ["b7", "b18"], "test": ["b5", "b17"]}'
    )

    def both(**settings):
        tasks = {}
        for name, records in (("a", one), ("b", two)):
            raw = write_csv(tmp_path / f"{name}.csv", records)
            fields = {"topic": "topic", "text": "text"} if name == "b" else {"text": "text"}
            rule = {"rule": "ids", "ids": str(tmp_path / f"{name}.json")}
            tasks[name] = make_task({"items": raw}, rule, fields=fields)
        return run_data_step(tmp_path, capsys, tasks, **settings)

    stopped = both()
    assert stopped.code == 2
    assert not stopped.folder.exists()
    assert (
        "3 texts stand in more than one task, such as 'a0' of a (a.csv row 1) and 'b3' of b (b.csv row 4); "
        "set duplicates.across_tasks to drop or keep"
    ) in stopped.error

    kept = both(duplicates={"across_tasks": "keep"})
    dropped = both(duplicates={"across_tasks": "drop"})
    assert (kept.ids("train", "a"), kept.ids("train", "b")) == (["a0", "a3", "a4", "a19"], ["b3", "b4", "b6", "b19"])
    assert (dropped.ids("train", "a"), dropped.ids("train", "b")) == (["a3", "a4", "a19"], ["b6", "b19"])
    # A text in both tests stays in both.
    assert (dropped.ids("test", "a"), dropped.ids("test", "b")) == (["a1", "a2", "a17"], ["b5", "b17"])
    reasons = [[(i, why) for _, _, i, why in dropped.set_aside(name) if "task" in why] for name in "ab"]
    assert reasons == [
        [("a0", "same text as an item of task b")],
        [("b3", "same text as an item of task a"), ("b4", "same text as an item of task a")],
    ]
    for done in (kept, dropped):
        assert done.summary["duplicates_across_tasks"] == 3
        assert done.summary["duplicates_across_tasks_exact"] == 0


def test_dropping_may_not_empty_a_split_or_a_label(tmp_path, capsys):
    everything = {"train": [(n, {"text": f"test says {n}"}) for n in range(10)]}
    done = splits_of(tmp_path, capsys, everything, duplicates={"across_splits": "drop"})
    assert done.code == 2
    assert "tasks.t: the train split has no item left (same text as a test item: 10); correct" in done.error
    assert not done.folder.exists()
