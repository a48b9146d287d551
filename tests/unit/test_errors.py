"""A step's errors: one line and exit code 2 for what a user can correct, a traceback for everything else."""

import argparse
import errno
import importlib
import os
from contextlib import suppress

import pytest

from stagewise.errors import NETWORK_VARIABLES, InputError, exit_on_input_error, one_line
from tests.helpers.project_copy import ROOT


def refuse(error):
    @exit_on_input_error
    def main(argv=None) -> int:
        raise error

    return main


def test_names_of_files_and_values_cannot_break_the_line_or_colour_the_terminal(capsys):
    message = "a\nb\r\x1b[31mred\x07 caf\u00e9 \u202e \ud800"
    assert refuse(InputError(message))() == 2
    shown = capsys.readouterr().err
    assert shown == "error: a\\nb\\r\\x1b[31mred\\x07 caf\u00e9 \\u202e \\ud800\n"
    assert one_line("plain text, \u201cquoted\u201d") == "plain text, \u201cquoted\u201d"


def replace_a_folder(folder):
    (folder / "x").write_text("x")
    (folder / "d").mkdir()
    os.replace(folder / "x", folder / "d")


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (
            lambda folder: (folder / "file").write_text("x") and (folder / "file/in").mkdir(parents=True),
            "file/in: Not a",
        ),
        (lambda folder: open(folder), ": Is a directory; name a file"),
        (replace_a_folder, "d: Is a directory; name a file"),
    ],
)
def test_an_output_of_another_kind_is_named(tmp_path, capsys, act, says):
    main = exit_on_input_error(lambda argv: act(tmp_path))
    assert main([]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and says in error and str(tmp_path) in error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (InputError("a.csv: wrong; correct it"), "a.csv: wrong; correct it"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; free some space"),
        (OSError(errno.EROFS, "Read-only file system", "out/x"), "out/x: Read-only file system; work on a copy"),
        (PermissionError(errno.EACCES, "Permission denied", b"out/x"), "out/x: Permission denied; ask its owner"),
        (OSError(errno.EMFILE, "Too many open files", "x"), "x: Too many open files; raise the limit"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), "File name too long; give tasks"),
        (RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed"), "disk may be full"),
        (ValueError("IoError(Os { code: 28, message: 'No space left on device' })"), "disk may be full"),
    ],
)
def test_a_refusal_of_the_machine_is_one_sentence(capsys, error, says):
    assert refuse(error)() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and says in line


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        RuntimeError("size mismatch"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "x"),
        ZeroDivisionError(),
    ],
)
def test_a_fault_of_the_program_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        refuse(error)()


FETCHING = {"fetch_data", "fetch_model", "fetch_adapter", "fetch_harness"}
NETWORK = (
    FETCHING | {"preflight", "export", "init", "resolve_revisions"} | {"certify", "forgot"}
)  # these two run the others
STEPS = [path.stem for path in sorted((ROOT / "scripts").glob("[!_]*.py"))]


@pytest.mark.parametrize("step", STEPS)
def test_logins_and_proxies_reach_the_steps_that_need_the_network_alone(step, monkeypatch):
    """Each step's own parser shows the environment that its code would run in."""
    for name in NETWORK_VARIABLES:
        monkeypatch.setenv(name, "canary")
    seen = []
    monkeypatch.setattr(
        argparse.ArgumentParser, "parse_args", lambda *_: seen.append(dict(os.environ)) or argparse.Namespace()
    )
    with suppress(Exception):  # without arguments it can do nothing
        importlib.import_module(f"scripts.{step}").main([])
    left = {name for name in NETWORK_VARIABLES if seen[0].get(name) == "canary"}
    assert left == (set(NETWORK_VARIABLES) if step in NETWORK else set())
