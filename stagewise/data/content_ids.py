"""Ids of items whose file has no column for them, made from their content without revealing it."""

import hashlib
import hmac
import json
from collections import Counter

DIGITS = 16


def content_ids(role: str, records: list[dict], columns: list[str]) -> list[str]:
    """Make an id of each record of a file.

    An id is the beginning of an HMAC-SHA256 over the file's role and the record's values. Its key is a hash of all
    records of the file: a short text could otherwise be guessed from its id, and the checksum of the file is published.
    Ids depend neither on the order of rows nor on other columns. Equal records are numbered in their order.

    Parameters
    ----------
    role
        Role of the file, so that a record in two files has two ids.
    records
        All records of the file.
    columns
        Columns that make up an item.

    Returns
    -------
    An id for each record: 16 hexadecimal digits, and `-2`, `-3` and so on for a repeat.
    """
    contents = [json.dumps([record[column] for column in columns], default=str).encode() for record in records]
    key = hashlib.blake2b(person=b"stagewise items")
    for digest in sorted(hashlib.sha256(content).digest() for content in contents):
        key.update(digest)
    secret, prefix = key.digest(), role.encode() + b"\0"
    repeats: Counter[str] = Counter()
    ids = []
    for content in contents:
        digits = hmac.digest(secret, prefix + content, "sha256").hex()[:DIGITS]
        repeats[digits] += 1
        ids.append(digits if repeats[digits] == 1 else f"{digits}-{repeats[digits]}")
    return ids
