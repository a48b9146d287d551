"""One kind of error for everything a user can put right."""

import os
import sys


class InputError(Exception):
    """Bad input: one sentence that names the file, the row or key, and the way out."""


def exit_on_input_error(main):
    """Decorate a step's ``main(argv) -> int``: an `InputError` becomes one line and exit code 2."""

    def wrapped(argv=None) -> int:
        try:
            return main(argv)
        except InputError as error:
            if os.environ.get("RANK", "0") == "0":  # processes that train together fail together
                print(f"error: {error}", file=sys.stderr)
            return 2

    wrapped.__doc__ = main.__doc__
    wrapped.__name__ = main.__name__
    return wrapped
