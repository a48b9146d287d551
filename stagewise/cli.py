"""What the steps' command lines share."""

import json

from stagewise.config.base import validate
from stagewise.config.load_config import load
from stagewise.errors import InputError
from stagewise.provenance.files import read_json


def add_image(parser) -> None:
    """Add ``--image``: the checksum of the container image that the step runs in becomes part of its output."""
    parser.add_argument("--image", metavar="SHA256", help="checksum of the container image that this runs in")


def add_settings(parser, model, narrow, required: bool = True) -> None:
    """Add ``--settings``: JSON text, or one or more configuration files, read as `model`.

    The workflow passes a step just the settings it needs, in a JSON file, so that a change elsewhere reruns nothing.
    By hand, name the configuration files; `narrow` picks the step's part out of the whole configuration.
    """

    def parse(values: list[str]):
        if len(values) == 1 and values[0].lstrip().startswith("{"):
            try:
                return validate(model, json.loads(values[0]), "--settings")
            except json.JSONDecodeError as error:
                raise InputError(f"--settings: not valid JSON ({error})") from None
        if len(values) == 1 and values[0].endswith(".json"):
            return validate(model, read_json(values[0], "the settings"), values[0])
        return narrow(load(*values))

    parser.add_argument(
        "--settings",
        nargs="+",
        required=required,
        metavar="JSON|FILE",
        help="settings as JSON, or configuration files (later ones win)",
    )
    parser.set_defaults(parse_settings=parse)
