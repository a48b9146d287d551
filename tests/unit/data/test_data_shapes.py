"""The examples of docs/data-shapes.md are read as the page says."""

import re
from pathlib import Path

import pytest
import yaml

from stagewise.config.tasks import Task
from stagewise.data.raw_items import read_items
from tests.helpers.project_copy import ROOT

PAGE = (ROOT / "docs/data-shapes.md").read_text(encoding="utf-8")
LABELS = [
    ["bad", "fair", "good"],
    ["yes", "no", "yes"],
    ["B", "A"],
    ["joy, fear", "anger", "neutral"],
    ["7", "4.5"],
    ["glad", "calm"],
    ["routine", "urgent"],
]
"""Answers of the items of each example, in order."""


def write_files(page: str) -> None:
    """Write the page's files; their names stand in the fence, or before it."""
    fences = re.findall(r"`([\w.]+)`[^`]*\n\n```(?:tsv|json|jsonl|csv)\n(.*?)```", page, re.S)
    fences += re.findall(r"```\w+ ([\w.]+)\n(.*?)```", page, re.S)
    for name, content in fences:
        Path(name).write_text(content, encoding="utf-8")


def tasks() -> list[Task]:
    rest = {
        "prompt": "p.txt",
        "split": "s",
        "splits": {"s": {"rule": "random", "train": 2, "validation": 2, "test": 2}},
    }
    return [Task.model_validate(yaml.safe_load(text) | rest) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)]


@pytest.mark.parametrize("number", range(len(LABELS)))
def test_every_example_is_read(tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    write_files(PAGE)
    assert len(tasks()) == len(LABELS)
    pool = read_items("t", tasks()[number])
    assert [item.label for item in pool.items] == LABELS[number] and pool.set_aside == []


def test_the_options_of_the_page_are_shown_as_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(PAGE)
    items = read_items("t", tasks()[2]).items
    assert items[0].fields["options"].startswith("A. 6\n") and [item.options for item in items] == [3, 2]
    assert read_items("t", tasks()[4]).items[0].references == ("7", "seven")
