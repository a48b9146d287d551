"""Options that the command lines of several steps share."""

import argparse
import json

from stagewise.config.base import validate
from stagewise.config.load_config import load
from stagewise.errors import InputError
from stagewise.provenance.files import json_problem, read_json


def add_image(parser) -> None:
    """Add ``--image``, the checksum of the container image that the step runs in, for its output's receipt."""
    parser.add_argument("--image", metavar="SHA256", help="checksum of the container image that this runs in")


def positive(text: str) -> int:
    """Read a whole number of 1 or more; an argument's `type`."""
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text[:40]}' is no whole number of 1 or more")
    return int(text)


def auto_or_positive(text: str) -> int | None:
    """Read ``auto`` as None, or a whole number of 1 or more; an argument's `type`."""
    return None if text == "auto" else positive(text)


def add_settings(
    parser,
    model,
    narrow,
    required: bool = True,
    option: str = "--settings",
    use: str = "",
    parse: str = "parse_settings",
) -> None:
    """Add ``--settings``: JSON text, or one or more configuration files, to be read as `model`.

    Another `option` may take its place, whose help begins with its `use`.

    The workflow passes a step only the settings that it needs, in a JSON file, so that a change elsewhere reruns
    nothing. A user names configuration files; `narrow` then selects the step's settings from the whole configuration.
    ``args.parse_settings(args.settings)`` reads either; a step with two such options calls one of them `parse`.
    """

    def read(values: list[str]):
        if len(values) == 1 and values[0].lstrip().startswith("{"):
            try:
                settings = json.loads(values[0])
            except (ValueError, RecursionError) as error:
                raise InputError(f"{option}: not valid JSON ({json_problem(error)})") from None
            return validate(model, settings, option)
        if len(values) == 1 and values[0].endswith(".json"):
            return validate(model, read_json(values[0], "the settings file"), values[0])
        return narrow(load(*values))

    parser.add_argument(
        option,
        nargs="+",
        required=required,
        metavar="JSON|FILE",
        help=f"{use}settings as JSON, or configuration files (later ones win)",
    )
    parser.set_defaults(**{parse: read})
