"""Texts of data in YAML."""

import pytest
import yaml

from stagewise.config.yaml_files import parse_yaml
from stagewise.onboarding.yaml_text import comment, flow, scalar

HARD = [
    "yes",
    "null",
    "1",
    "1e3",
    "010",
    "a: b",
    "a #b",
    "- a",
    "{a}",
    "a, b",
    '"',
    "'",
    "\\",
    "a\nb",
    " a",
    "",
    "é",
    "<<",
]
HARD += ["\u2028", "\x07", "~", "@a", "!a", "%", "card arrival", "2020-01-01", "Off", "a]", "x" * 300]


@pytest.mark.parametrize("text", HARD)
def test_a_text_comes_back(text):
    for read in (yaml.safe_load, lambda t: parse_yaml(t, "")):
        assert read(f"key: {scalar(text)} # comment") == {"key": text}
        assert read(f"key: {flow({text: [text, 1, None, True]})}") == {"key": {text: [text, 1, None, True]}}


def test_plain_words_have_no_quotes():
    assert scalar("card arrival") == "card arrival" and scalar("a/b-c.txt") == "a/b-c.txt"


def test_a_comment_is_one_short_line():
    assert comment("a\nb\u2028\x07" + "c" * 100) == "a b \\x07" + "c" * 52 + "…"
