"""What the machine refuses is one sentence; a fault of the program keeps its traceback."""

import errno

import pytest

from stagewise.errors import InputError, exit_on_input_error


def step(error):
    @exit_on_input_error
    def main(argv=None) -> int:
        raise error

    return main


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
    assert step(error)() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and says in line


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        RuntimeError("size mismatch"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "x"),
        IsADirectoryError(errno.EISDIR, "Is a directory", "x"),
    ],
)
def test_a_fault_of_the_program_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        step(error)()
