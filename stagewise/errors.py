"""Errors that a user can correct, and stops that the same command goes on from."""

import os
import sys

UNFINISHED = 75
"""Exit code of a step that stopped before its end and goes on when it is run again (EX_TEMPFAIL of sysexits.h)."""


class InputError(Exception):
    """Bad input. Its message is one sentence that names the file, the row or key, and the way out."""


class Unfinished(Exception):
    """A stop before the end, from which the same command goes on. Its message is one sentence."""


def exit_on_input_error(main):
    """Decorate a step's ``main(argv) -> int`` to print an `InputError` or `Unfinished` as one line.

    The exit code is 2 or `UNFINISHED`.
    """

    def wrapped(argv=None) -> int:
        try:
            return main(argv)
        except InputError as error:
            _say(f"error: {error}")
            return 2
        except Unfinished as stop:
            _say(f"unfinished: {stop}")
            return UNFINISHED

    wrapped.__doc__ = main.__doc__
    wrapped.__name__ = main.__name__
    return wrapped


def _say(line: str) -> None:
    if os.environ.get("RANK", "0") == "0":  # one line if several processes train together
        try:
            print(line, file=sys.stderr)
        except BrokenPipeError:
            pass  # the process that read it was ended together with this one
