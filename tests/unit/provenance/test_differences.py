"""Differences of two records, as a reader is told of them."""

import copy
import random

import pytest

from stagewise.provenance.differences import MISSING, Difference, differences


def lines(old, new):
    return [difference.text for difference in differences(old, new)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"training": {"learning_rate": 0.001}}, {"training": {"learning_rate": 0.002}},
         ["training.learning_rate 0.001 -> 0.002"]),
        ({"files": {"a.txt": "0" * 64}}, {"files": {"a.txt": "1" * 64}}, ["files.a.txt changed"]),
        ({"files": {"a": "0" * 64}}, {"files": {"b": "1" * 64}}, ["files.a removed", "files.b added"]),
        ({"remedies": {}}, {"remedies": {"ewc": {"strength": 2}}}, ['remedies.ewc added: {"strength": 2}']),
        ({"a": 1, "b": 2}, {"a": 1}, ["b removed: 2"]),
        ({"words": ["yes", "no"]}, {"words": ["yes", "no", "maybe"]}, ['words[2] added: "maybe"']),
        ({"parents": [{"seed": 0}]}, {"parents": [{"seed": 1}]}, ["parents[0].seed 0 -> 1"]),
        ({"dtype": None}, {"dtype": "bfloat16"}, ['dtype null -> "bfloat16"']),
        ({"a": {"b": 1}}, {"a": 1}, ['a {"b": 1} -> 1']),
        ({"a": 1}, {"a": 1.0}, ["a 1 -> 1.0"]),
        ({"a": 1}, {"a": True}, ["a 1 -> true"]),
        ({"a": "0" * 64}, {"a": None}, [f'a "{"0" * 59}… -> null']),
        ({"a": [1, {"b": (2, 3)}]}, {"a": [1, {"b": [2, 3]}]}, []),
    ],
)  # fmt: skip
def test_each_kind_of_difference_has_its_line(old, new, expected):
    assert lines(old, new) == expected


def test_long_texts_are_shown_where_they_differ():
    start = "Answer the question about the abstract with one of the words below. " * 3
    line = lines({"prompt": start + "Be brief."}, {"prompt": start + "Be exact." + start})[0]
    assert len(line) < 160 and "Be brief." in line and "Be exact." in line and line.startswith("prompt …")


def test_a_long_added_value_is_cut():
    assert len(lines({}, {"a": list(range(500))})[0]) < 80


def test_a_difference_holds_both_values():
    assert differences({"a": 1}, {"a": 2, "b": 3}) == [Difference("a", 1, 2), Difference("b", MISSING, 3)]


def change(record, chance):
    """Change, add or remove one value of a nested record; returns the path of the change."""
    keys = list(record) if isinstance(record, dict) else list(range(len(record)))
    key = chance.choice(keys)
    path = f".{key}" if isinstance(record, dict) else f"[{key}]"
    if isinstance(record[key], dict | list) and record[key] and chance.random() < 0.8:
        return path + change(record[key], chance)
    if isinstance(record, dict) and chance.random() < 0.3:
        del record[key]
    else:
        record[key] = chance.random()
    return path


def nested(chance, depth=3):
    if not depth or chance.random() < 0.2:
        return chance.choice([1, 0.5, None, "text", True])
    if chance.random() < 0.5:
        return [nested(chance, depth - 1) for _ in range(chance.randint(1, 3))]
    return {name: nested(chance, depth - 1) for name in "abc"}


@pytest.mark.parametrize("seed", range(50))
def test_any_single_change_gives_one_difference_with_its_path(seed):
    chance = random.Random(seed)
    old = {name: nested(chance) for name in "abc"}
    new = copy.deepcopy(old)
    assert differences(old, new) == []
    path = change(new, chance).removeprefix(".")
    assert [difference.key for difference in differences(old, new)] == [path]
