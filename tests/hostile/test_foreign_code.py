"""Remedies and readers from outside the project that fail: one sentence that names them, whatever they raise."""

import json
import sys
import textwrap

import pytest

from scripts import make_splits
from stagewise.config.load_config import load
from stagewise.errors import exit_on_input_error
from tests.helpers.data_step import make_task
from tests.helpers.project_copy import ROOT
from tests.helpers.refusals import check_refused_command
from tests.helpers.tiny_data import make_rows, write_csv

# name: (source of the module, what the sentence says about it)
MODULES = {
    "syntax error": ("def broken(:\n", r"cannot be imported \(SyntaxError: .*\); correct the module"),
    "tabs and blanks": ("if True:\n\tx = 1\n        y = 2\n", r"cannot be imported \((TabError|IndentationError): "),
    "NUL": ("x = 1\0\n", r"cannot be imported \((SyntaxError|ValueError): .*null bytes"),
    "bytes": (b"x = '\xff'\n", r"cannot be imported \(SyntaxError: .*\)"),
    "missing import": ("import nowhere_at_all\n", r"No module named 'nowhere_at_all'\); is its folder on PYTHONPATH"),
    "division by zero": ("1 / 0\n", r"cannot be imported \(ZeroDivisionError: division by zero\); correct the module"),
    "exit": ("import sys\nsys.exit(0)\n", r"cannot be imported \(SystemExit: 0\); correct the module"),
    "silent exit": ("raise SystemExit\n", r"cannot be imported \(SystemExit\); correct the module"),
    "endless recursion": ("def f():\n    f()\nf()\n", r"cannot be imported \(RecursionError: "),
    "assertion": ("assert False, 'two\\nlines'\n", r"cannot be imported \(AssertionError: two\\nlines\)"),
    "nothing": ("", r"holds no (function|class) '\w+'"),
    "a number": ("Thing = 1\nread = 1\n", r"holds no (function|class) '\w+'"),
}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Name of a module that Python finds, and the path of its file."""
    (tmp_path / "code").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from stagewise.remedies.registry import find_remedy

    find_remedy.cache_clear()
    yield "lab_module", tmp_path / "code/lab_module.py"
    sys.modules.pop("lab_module", None)


def write(path, source) -> None:
    path.write_bytes(source if isinstance(source, bytes) else source.encode())


@exit_on_input_error
def read_experiment(argv) -> int:
    load(*argv)
    return 0


@pytest.mark.parametrize("case", MODULES)
def test_remedy(tmp_path, capsys, module, case):
    source, says = MODULES[case]
    name, path = module
    write(path, source)
    overlay = tmp_path / "overlay.yaml"
    stages = [{"task": "pubmedqa"}, {"task": "dreaddit", "remedies": {f"{name}:Thing": None}}]
    overlay.write_text(json.dumps({"arms": {"sequential": {"stages": stages}}}))
    arguments = [ROOT / "config.yaml", overlay]
    check_refused_command(read_experiment, arguments, capsys, tmp_path, rf"error: {overlay}: .*{says}")


def test_remedy_that_fails_on_its_settings(tmp_path, capsys, module):
    name, path = module
    source = """
        from pydantic import model_validator
        from stagewise.remedies.base import Remedy

        class Thing(Remedy):
            strength: float = 1.0

            @model_validator(mode="after")
            def check(self):
                return {}["nothing"]
    """
    write(path, textwrap.dedent(source))
    overlay = tmp_path / "overlay.yaml"
    stages = [{"task": "pubmedqa", "remedies": {f"{name}:Thing": {"strength": 2}}}]
    overlay.write_text(json.dumps({"arms": {"sequential": {"stages": stages}}}))
    says = r"lab_module:Thing: its class cannot check these settings \(KeyError: 'nothing'\); correct the module"
    check_refused_command(read_experiment, [ROOT / "config.yaml", overlay], capsys, tmp_path, says)


@pytest.mark.parametrize("case", MODULES)
def test_reader(tmp_path, capsys, module, case):
    source, says = MODULES[case]
    name, path = module
    write(path, source)
    task = make_task({"items": write_csv(tmp_path / "raw.csv", make_rows(20))}, reader={"format": f"{name}:read"})
    arguments = ["--settings", json.dumps({"tasks": {"t": task}}), "--output", tmp_path / "out"]
    check_refused_command(make_splits.main, arguments, capsys, tmp_path, says)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise SystemExit('no')", r"raw\.csv: lab_module:read could not read it \(no\)"),
        ("return None", r"could not read it \('NoneType' object is not iterable\)"),
        ("return [1]", r"row 1 is not an object but a number"),
        ("return [{'id': '1'}]", r"there is no column 'label'"),
        ("return []", r"there is no record in it"),
        ("yield {}['x']", r"could not read it \('x'\)"),
    ],
)
def test_reader_that_fails_on_the_file(tmp_path, capsys, module, body, says):
    name, path = module
    write(path, f"def read(path, reader, columns):\n    {body}\n")
    task = make_task({"items": write_csv(tmp_path / "raw.csv", make_rows(20))}, reader={"format": f"{name}:read"})
    arguments = ["--settings", json.dumps({"tasks": {"t": task}}), "--output", tmp_path / "out"]
    check_refused_command(make_splits.main, arguments, capsys, tmp_path, says)
