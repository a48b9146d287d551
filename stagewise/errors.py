"""Errors that a user can correct."""

import os
import sys


class InputError(Exception):
    """Bad input. Its message is one sentence that names the file, the row or key, and the way out."""


def one_line(message) -> str:
    """Write a message on one line: line breaks and control characters of names and data are escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(message))


def exit_on_input_error(main):
    """Decorate a step's ``main(argv) -> int`` to print an `InputError` as one line and return exit code 2."""

    def wrapped(argv=None) -> int:
        try:
            return main(argv)
        except InputError as error:
            if os.environ.get("RANK", "0") == "0":  # one line if several processes train together
                print(f"error: {one_line(error)}", file=sys.stderr)
            return 2
        except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            if error.filename is None:
                raise
            # Where an output goes, `os.replace` names a temporary file first.
            path = error.filename2 or error.filename
            way = "name a file" if isinstance(error, IsADirectoryError) else "name another folder"
            print(f"error: {one_line(path)}: {error.strerror}; {way}", file=sys.stderr)
            return 2

    wrapped.__doc__ = main.__doc__
    wrapped.__name__ = main.__name__
    return wrapped
