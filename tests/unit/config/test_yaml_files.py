"""Scalars mean what is written; files in any encoding of UTF-8, empty ones too."""

import pytest

from stagewise.config.load_config import load
from stagewise.config.yaml_files import merge, parse_yaml, read_arguments, read_yaml
from stagewise.lineage import lineage_tree
from tests.helpers.project_copy import ROOT

CONFIG = ROOT / "config.yaml"
# What YAML 1.1 reads as another number, as a date, or as infinite.
AS_WRITTEN = "010 0o17 0x1F 0b11 1_000 1:30 12:30:45 +1 -0 00 07 2020-01-01 1.2.3 .inf -.INF .nan 1e999 = y".split()
AS_WRITTEN += ["9" * 30, "2020-01-01 10:00:00"]


@pytest.mark.parametrize("text", AS_WRITTEN)
def test_what_is_no_plain_number_stays_the_text_that_is_written(text):
    value = parse_yaml(f"value: {text}", "here")["value"]
    assert type(value) is str and value == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-3", -3),
        ("120", 120),
        ("0.5", 0.5),
        (".5", 0.5),
        ("-1.50", -1.5),
        ("1e3", 1000.0),
        ("2.0e-4", 2e-4),
        ("5E+1", 50.0),
        ("true", True),
        ("No", False),
        ("on", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("!!str yes", "yes"),
        ("'010'", "010"),
        ('"null"', "null"),
    ],
)
def test_plain_scalars(text, value):
    got = parse_yaml(f"value: {text}", "here")["value"]
    assert got == value and type(got) is type(value)


def test_keys_are_texts():
    assert parse_yaml("{1: a, 010: b, yes: c, null: d, 2.50: e}", "here") == {
        "1": "a", "010": "b", "yes": "c", "null": "d", "2.50": "e",
    }  # fmt: skip


def test_anchors_and_merge_keys():
    text = (
        "base: &base {epochs: 1, r: 2}\nmore: &more {r: 3}\nboth: {<<: [*more, *base], epochs: 4}\nlist: [*more, *more]"
    )
    values = parse_yaml(text, "here")
    assert values["both"] == {"r": 3, "epochs": 4}
    assert values["list"] == [{"r": 3}, {"r": 3}] and values["base"] == {"epochs": 1, "r": 2}


@pytest.mark.parametrize("content", [b"", b"# nothing yet\n", b"---\n", b"\n\n", b"\xef\xbb\xbf", b"~\n", b"{}\n"])
def test_an_empty_overlay_changes_nothing(tmp_path, content):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_bytes(content)
    assert read_yaml(overlay) == {}
    assert load(CONFIG, overlay) == load(CONFIG)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_bytes(b"\xef\xbb\xbfexperiment: m\xc3\xb6\r\n")
    assert read_yaml(overlay) == {"experiment": "m\u00f6"}


def test_a_label_is_the_text_that_is_written(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(
        "tasks: {pubmedqa: {labels: [{value: 010, word: a}, {value: 1:30, word: b}, {value: +1, word: c}, "
        "{value: -1, word: d}, {value: 2020-01-01, word: e}, {value: 1, word: f}]}}\n"
    )
    labels = load(CONFIG, overlay).tasks["pubmedqa"].labels
    assert [label.value for label in labels] == ["010", "1:30", "+1", "-1", "2020-01-01", "1"]


def test_arguments_of_the_command_line_mean_what_they_mean_in_a_file(tmp_path):
    lines = {
        "prompting": '{"system": null}',
        "seeds": "[1, 2]",
        "training": "{epochs: 2, group_by_length: no, best_metric: last}",
        "experiment": "2020-01-01",
        "limit": "{train: null}",
        "published": "",
        "results": "out",
    }
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    arguments = [f"{key}={value}" for key, value in lines.items()]
    given = load(CONFIG, arguments=arguments)
    assert given == load(CONFIG, overlay)
    assert given.prompting.system is None and given.limit.train is None and given.published is None
    assert given.seeds == [1, 2] and given.training.group_by_length is False


def test_arguments_are_merged_with_files_and_each_other():
    arguments = ["training={epochs: 7}", "training={batch_size: 2}", "arms={rehearsal: null}"]
    config = load(CONFIG, arguments=arguments)
    assert (config.training.epochs, config.training.batch_size, config.training.max_length) == (7, 2, 256)
    assert list(config.active_arms) == ["sequential"] and len(lineage_tree(config)) == 2
    assert read_arguments(["a=x=y", "b="]) == {"a": "x=y", "b": None}


def test_merging_leaves_its_inputs_alone():
    base, overlay = {"a": {"b": 1}, "c": [1]}, {"a": {"d": 2}, "c": [2]}
    assert merge(base, overlay) == {"a": {"b": 1, "d": 2}, "c": [2]}
    assert base == {"a": {"b": 1}, "c": [1]}
