"""Hashes of plain data."""

import hashlib
import json


def fingerprint(facts: dict) -> str:
    """Compute the SHA-256 of plain data as canonical JSON; the order of keys does not count."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
