"""Fingerprints: a hash of plain data."""

import hashlib
import json


def fingerprint(facts: dict) -> str:
    """SHA-256 of plain data in canonical JSON: the same facts give the same fingerprint."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
