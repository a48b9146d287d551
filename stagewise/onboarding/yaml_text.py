"""Texts of data in YAML: quoted where they need it, and safe inside a comment."""

import re

import yaml

from stagewise.config.yaml_files import parse_yaml
from stagewise.errors import one_line

# Neither a comment, nor a colon, nor a sign with a meaning, in block and in flow style.
_PLAIN = re.compile(r"[A-Za-z/](?:[\w ./-]*[\w./-])?", re.ASCII)


def scalar(text: str) -> str:
    """Write a text so that every reader of YAML has it back as a text."""
    if _PLAIN.fullmatch(text) and parse_yaml(text, "") == text == yaml.safe_load(text):
        return text
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=1 << 30).strip()


def flow(values: dict | list) -> str:
    """Write settings in one line."""
    if isinstance(values, list):
        return f"[{', '.join(map(_value, values))}]"
    return f"{{{', '.join(f'{scalar(key)}: {_value(value)}' for key, value in values.items())}}}"


def comment(text: str, length: int = 60) -> str:
    """Make a text of data fit for a comment."""
    text = one_line(" ".join(text.split()))
    return text if len(text) <= length else f"{text[:length]}…"


def _value(value) -> str:
    if isinstance(value, dict | list):
        return flow(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return scalar(value) if isinstance(value, str) else str(value)
