"""JSON documents that hold their own checksum, so that an edited digit is noticed and a new indentation is not."""

import json

from stagewise.errors import InputError
from stagewise.provenance.files import read_json, write_json
from stagewise.provenance.fingerprints import fingerprint

CHECKSUM = "checksum"


def content_checksum(values: dict) -> str:
    """Compute the SHA-256 of a document's values as canonical JSON, leaving out its own ``checksum``.

    It depends neither on the order of keys nor on white space. For a document that cannot hold its own checksum, such
    as ``metrics.json``, which holds numbers alone, another document keeps it.
    """
    return fingerprint(json.loads(json.dumps({key: value for key, value in values.items() if key != CHECKSUM})))


def seal(values: dict) -> dict:
    """Add the checksum of the other values under ``checksum``."""
    return {**values, CHECKSUM: content_checksum(values)}


def is_sealed(values) -> bool:
    """Tell if a document's values are those that its checksum was computed from."""
    return isinstance(values, dict) and CHECKSUM in values and values[CHECKSUM] == content_checksum(values)


def write_sealed(path, values: dict) -> None:
    """Write values with their checksum as JSON, atomically."""
    write_json(path, seal(values))


def read_sealed(path, what: str) -> dict:
    """Read a document and check it against its own checksum; `what` names it in messages.

    Raises
    ------
    InputError
        If the file is missing, not valid JSON, or edited.
    """
    values = read_json(path, what)
    if not is_sealed(values):
        raise InputError(f"{path}: {what} does not match its own checksum (edited?); delete it and run again")
    return values
