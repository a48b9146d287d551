"""A step's refusal of bad input: exit code 2, one line that says why, and nothing written."""

import re
from pathlib import Path

from stagewise.models.receipts import CHECKSUMS


def check_refusal(code: int, stderr: str, *texts: str) -> str:
    """Check that a step returned 2 and printed one error that holds all `texts`; return that line.

    Lines of progress, such as ``trial: reading``, may come before it.
    """
    errors = [line for line in stderr.splitlines() if "error: " in line]
    assert code == 2, stderr
    assert "Traceback" not in stderr, stderr
    assert len(errors) == 1 and errors == stderr.splitlines()[-1:], stderr
    for text in texts:
        assert text in errors[0], errors[0]
    return errors[0]


def check_refused_command(main, argv: list, capsys, folder: Path, pattern: str) -> None:
    """Run a command that must refuse its input: one line, in which `pattern` is found, and nothing new in `folder`."""
    before = contents(folder)
    capsys.readouterr()
    try:
        code = main([str(argument) for argument in argv])
    except SystemExit as stop:  # argparse
        code = stop.code
    line = check_refusal(code, capsys.readouterr().err)
    assert re.search(pattern, line), line
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below a folder, with the files' bytes; not what a start remembers of a model's files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != CHECKSUMS
    }
