"""Gold answers of each kind of task, from raw file to split file."""

import json
from collections import Counter

import pytest

from tests.helpers.data_step import make_task, run_data_step
from tests.helpers.refusals import check_refusal
from tests.helpers.tiny_data import make_rows, write_csv, write_jsonl

SPLITS = ("train", "validation", "test")
FEELINGS = {"1": "joy", "2": "anger", "3": "fear"}


def every_item(done) -> dict[str, dict]:
    assert done.code == 0, done.error
    return {item["id"]: item for split in SPLITS for item in done.items(split)}


def jsonl_task(tmp_path, rows: list[dict], **changes) -> dict:
    return make_task({"items": write_jsonl(tmp_path / "raw.jsonl", rows)}, reader={"format": "jsonl"}, **changes)


def labels(values: dict[str, str]) -> list[dict]:
    return [{"value": value, "word": word} for value, word in values.items()]


def test_an_undeclared_label_stops_the_run_with_its_values_and_numbers_of_rows(tmp_path, capsys):
    rows = make_rows(40)
    for number, row in enumerate(rows[:14]):
        row["label"] = f"v{number % 7}" if number < 7 else "very positive"
    settings = make_task({"items": write_csv(tmp_path / "raw.csv", rows)})
    done = run_data_step(tmp_path, capsys, settings)
    sentence = check_refusal(
        done.code,
        done.error,
        "tasks.t: the column 'label' holds 'very positive' (7 rows), 'v0' (1 rows)",
        "and 3 more, none of which is a label of the task; add them to tasks.t.labels, or set tasks.t.unknown_labels",
    )
    assert "separator" not in sentence
    done = run_data_step(tmp_path, capsys, settings | {"unknown_labels": "set_aside"})
    assert len(every_item(done)) == 26
    assert done.summary["tasks"]["t"]["set_aside"] == {"unknown label": 14}


def test_an_empty_label_is_set_aside_unless_it_is_declared(tmp_path, capsys):
    rows = make_rows(30)
    for row in rows[:8]:
        row["label"] = ""
    settings = make_task({"items": write_csv(tmp_path / "raw.csv", rows)})
    done = run_data_step(tmp_path, capsys, settings)
    assert len(every_item(done)) == 22
    assert {reason for *_, reason in done.set_aside()} == {"empty label"}
    declared = labels({"0": "no", "1": "yes", "": "nothing"})
    assert len(every_item(run_data_step(tmp_path, capsys, settings | {"labels": declared}))) == 30


@pytest.mark.parametrize("kind", ["classification", "ordinal"])
def test_a_list_of_labels_is_named_as_another_kind_of_task(tmp_path, capsys, kind):
    settings = jsonl_task(tmp_path, make_rows(20, label=lambda n: [str(n % 2)]), kind=kind)
    done = run_data_step(tmp_path, capsys, settings)
    check_refusal(done.code, done.error, "raw.jsonl: row 1: the column 'label' holds a list", "kind to multi_label")
    assert len(every_item(run_data_step(tmp_path, capsys, settings | {"label": "label.0"}))) == 20


def test_ordinal_labels_are_read_as_those_of_classification(tmp_path, capsys):
    rows = make_rows(24, label=lambda n: n % 3)
    done = run_data_step(
        tmp_path,
        capsys,
        jsonl_task(tmp_path, rows, kind="ordinal", labels=labels({"0": "low", "1": "mid", "2": "high"})),
    )
    assert Counter(item["label"] for item in every_item(done).values()) == {"low": 8, "mid": 8, "high": 8}


SETS = [["3", "1"], [], ["2"], ["1", "1"], [2, 3, 1]]
"""Label values of items, of which the last are numbers."""
ANSWERS = ["joy, fear", "none", "anger", "joy", "joy, anger, fear"]


@pytest.mark.parametrize(
    ("write", "separator"),
    [
        (lambda values: values, None),
        (json.dumps, None),
        (str, None),
        (lambda values: " | ".join(map(str, values)), "|"),
    ],
    ids=["lists", "lists as JSON", "lists as Python", "separator"],
)
def test_a_set_of_labels_is_answered_in_declared_order(tmp_path, capsys, write, separator):
    rows = make_rows(25, label=lambda n: write(SETS[n % 5]))
    settings = jsonl_task(tmp_path, rows, kind="multi_label", labels=labels(FEELINGS), separator=separator)
    done = run_data_step(tmp_path, capsys, settings)
    items = every_item(done)
    for number in range(25):
        answer = ANSWERS[number % 5]
        item = items[f"i{number}"]
        assert item["label"] == answer
        assert item["labels"] == ([] if answer == "none" else answer.split(", "))
    counts = [split["labels"] for split in done.summary["tasks"]["t"]["splits"].values()]
    assert sum(map(Counter, counts), Counter()) == {"joy": 15, "anger": 10, "fear": 10}


def test_labels_may_be_columns_of_zeros_and_ones(tmp_path, capsys):
    cells = [("1", 0, True), (1.0, "0.0", False), (0, 0, 0), (0, 1, "false")]
    rows = [row | dict(zip(("joy", "anger", "fear"), cells[n % 4], strict=True)) for n, row in enumerate(make_rows(24))]
    rows[20] |= {"joy": "", "anger": None, "fear": None}
    words = labels({"anger": "angry", "joy": "glad", "fear": "afraid"})
    settings = jsonl_task(tmp_path, rows, kind="multi_label", label=None, labels=words)
    done = run_data_step(tmp_path, capsys, settings)
    items = every_item(done)
    assert [items[f"i{n}"]["label"] for n in range(4)] == ["glad, afraid", "glad", "none", "angry"]
    assert done.set_aside() == [("raw.jsonl", "21", "i20", "empty label")]
    rows[5]["fear"] = -1
    done = run_data_step(tmp_path, capsys, jsonl_task(tmp_path, rows, kind="multi_label", label=None, labels=words))
    sentence = check_refusal(done.code, done.error, "the column 'anger, joy, fear' holds 'fear: -1' (1 rows), none of")
    assert "separator" not in sentence


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "classification"}, "'label' is required but missing"),
        ({"kind": "multi_label", "separator": ";"}, "'separator' stands between the labels of the column 'label'"),
    ],
)
def test_a_column_of_labels_is_missing(tmp_path, capsys, changes, says):
    done = run_data_step(tmp_path, capsys, jsonl_task(tmp_path, make_rows(20), label=None, **changes))
    check_refusal(done.code, done.error, says)


def test_a_set_without_label_has_its_own_answer_and_a_missing_one_is_set_aside(tmp_path, capsys):
    rows = make_rows(25, label=lambda n: SETS[n % 5])
    rows[0]["label"] = None
    settings = jsonl_task(tmp_path, rows, kind="multi_label", labels=labels(FEELINGS), no_label="calm")
    done = run_data_step(tmp_path, capsys, settings)
    assert every_item(done)["i1"]["label"] == "calm"
    assert done.set_aside() == [("raw.jsonl", "1", "i0", "empty label")]


def test_an_undeclared_label_of_a_set_stops_the_run_and_tells_of_the_separator(tmp_path, capsys):
    rows = make_rows(25, label=lambda n: ["1", "2", "3"] if n else ["1", "9", "9"])
    settings = jsonl_task(tmp_path, rows, kind="multi_label", labels=labels(FEELINGS))
    done = run_data_step(tmp_path, capsys, settings)
    check_refusal(done.code, done.error, "the column 'label' holds '9' (1 rows), none of which is a label")
    done = run_data_step(tmp_path, capsys, settings | {"unknown_labels": "set_aside"})
    assert [reason for *_, reason in done.set_aside()] == ["unknown label"] and len(every_item(done)) == 24
    rows = make_rows(25, label=lambda n: ["1;2", "1", "2", "3"][n % 4])
    done = run_data_step(tmp_path, capsys, jsonl_task(tmp_path, rows, kind="multi_label", labels=labels(FEELINGS)))
    check_refusal(done.code, done.error, "holds '1;2' (7 rows)", "if a text holds several, say with tasks.t.separator")


def test_a_label_of_no_set_is_refused(tmp_path, capsys):
    rows = make_rows(25, label=lambda n: ["1", "2"])
    done = run_data_step(tmp_path, capsys, jsonl_task(tmp_path, rows, kind="multi_label", labels=labels(FEELINGS)))
    check_refusal(done.code, done.error, "tasks.t: no usable row has the label value '3' ('fear')")


def test_rare_labels_of_sets_are_in_every_split(tmp_path, capsys):
    rows = make_rows(60, label=lambda n: ["1", *(["2"] if n % 2 else []), *(["3"] if n % 12 == 0 else [])])
    done = run_data_step(
        tmp_path, capsys, jsonl_task(tmp_path, rows, kind="multi_label", labels=labels(FEELINGS)), limit={"train": 7}
    )
    counts = done.summary["tasks"]["t"]["splits"]
    assert {split: counts[split]["labels"]["fear"] for split in SPLITS} == {"train": 1, "validation": 1, "test": 1}
    assert counts["train"]["items"] == 7 and counts["test"]["labels"]["anger"] == 6


def test_references_are_texts_or_lists_and_the_first_is_learnt(tmp_path, capsys):
    rows = make_rows(20, label=lambda n: f" answer {n} ")
    values = {0: 42, 1: ["one", "two", "one"], 2: [3.0, None], 3: "", 4: None, 5: [], 6: [["x"]], 7: "#REF!"}
    for number, value in values.items():
        rows[number]["label"] = value
    done = run_data_step(tmp_path, capsys, jsonl_task(tmp_path, rows, kind="generation", labels=[]))
    items = every_item(done)
    references = {"i0": ["42"], "i1": ["one", "two"], "i2": ["3"], "i8": ["answer 8"]}
    assert {name: items[name]["references"] for name in references} == references
    assert all(item["label"] == item["references"][0] for item in items.values())
    assert [(item_id, reason) for _, _, item_id, reason in done.set_aside()] == [
        ("i3", "empty reference"),
        ("i4", "empty reference"),
        ("i5", "empty reference"),
        ("i6", "not text"),
        ("i7", "unreadable text"),
    ]
    splits = done.summary["tasks"]["t"]["splits"]
    assert [splits[split]["items"] for split in SPLITS] == [9, 3, 3]
    assert all(split["labels"] == {} for split in splits.values())


def test_splits_and_limits_of_references_are_drawn_without_regard_to_them(tmp_path, capsys):
    """One stratum: as many items as wanted, the same whatever the references are."""
    drawn = []
    for answer in (lambda n: f"answer {n}", lambda n: "the same"):
        settings = jsonl_task(tmp_path, make_rows(40, label=answer), kind="generation", labels=[])
        done = run_data_step(tmp_path, capsys, settings, limit={"train": 10})
        drawn.append({split: done.ids(split) for split in SPLITS})
        assert [len(drawn[-1][split]) for split in SPLITS] == [10, 8, 8]
    assert drawn[0] == drawn[1]


def test_a_column_without_a_reference_is_refused(tmp_path, capsys):
    done = run_data_step(tmp_path, capsys, jsonl_task(tmp_path, make_rows(20, label=""), kind="generation", labels=[]))
    check_refusal(
        done.code, done.error, "there is no usable row; all 20 rows were set aside (empty reference in 'label': 20)"
    )


def test_numbers_and_lists_are_texts_of_a_prompt(tmp_path, capsys):
    rows = make_rows(20, age=lambda n: n + 0.5, year=lambda n: 2000.0 + n, flag=lambda n: n % 2 == 0, tags=[1, "b"])
    fields = {name: name for name in ("text", "age", "year", "flag", "tags")}
    items = every_item(run_data_step(tmp_path, capsys, jsonl_task(tmp_path, rows, fields=fields)))
    expected = {"text": "text number 3", "age": "3.5", "year": "2003", "flag": "false", "tags": "1\nb"}
    assert items["i3"]["fields"] == expected


@pytest.mark.parametrize(
    ("separator", "hint"),
    [(None, "say with tasks.t.separator what stands between them"), (",", "than ',' stands between labels, correct")],
)
def test_a_separator_that_is_missing_or_wrong_is_named(tmp_path, capsys, separator, hint):
    rows = [row | {"label": ["joy;anger", "joy"][n % 2]} for n, row in enumerate(make_rows(20))]
    words = labels({"joy": "joy", "anger": "anger"})
    settings = jsonl_task(tmp_path, rows, kind="multi_label", labels=words, separator=separator)
    done = run_data_step(tmp_path, capsys, settings)
    check_refusal(done.code, done.error, "no usable row has the label value 'anger'", hint)


def test_a_list_of_records_is_no_reference(tmp_path, capsys):
    rows = [row | {"label": [{"text": "rain", "start": 3}]} for row in make_rows(20)]
    done = run_data_step(tmp_path, capsys, jsonl_task(tmp_path, rows, kind="generation", labels=[]))
    check_refusal(done.code, done.error, "the column 'label' holds records (text, start); name one of their values")
