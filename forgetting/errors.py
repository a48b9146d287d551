"""One kind of error for everything a user can put right."""

import json
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


def read_json(path, what: str) -> dict:
    """Read a JSON file that an earlier step wrote; `what` says what it should be."""
    try:
        with open(path, encoding="utf-8") as handle:
            return json.load(handle)
    except FileNotFoundError:
        raise InputError(f"{path}: {what} is missing; run the step that writes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {what} is not valid JSON ({error})") from None
