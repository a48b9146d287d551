"""Differences of two nested records, as lines for readers."""

import json
import re
from dataclasses import dataclass
from typing import Any

MISSING = object()
"""Value of a key that a record does not have."""

_LONGEST = 60
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Difference:
    """One value that two records do not share."""

    key: str
    """Path of the value: keys joined by dots, list items by index, such as ``parents[0].fingerprint``."""
    old: Any
    new: Any

    @property
    def text(self) -> str:
        """One line: ``training.learning_rate 0.001 -> 0.002``, ``files.a.txt changed`` or ``remedies.ewc added``."""
        if self.old is MISSING:
            return f"{self.key} added" + ("" if _is_checksum(self.new) else f": {_shown(self.new)}")
        if self.new is MISSING:
            return f"{self.key} removed" + ("" if _is_checksum(self.old) else f": {_shown(self.old)}")
        if _is_checksum(self.old) and _is_checksum(self.new):
            return f"{self.key} changed"
        old, new = _json(self.old), _json(self.new)
        start = 0
        if max(len(old), len(new)) > _LONGEST:
            # Two long texts may first differ far behind the point where they are cut.
            same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
            start = max(0, same - 20)
        return f"{self.key} {_cut(old, start)} -> {_cut(new, start)}"


def differences(old, new, key: str = "") -> list[Difference]:
    """Compare two nested records of plain JSON data, in the order of their keys.

    Numbers differ if they are written differently (1 and 1.0), since a fingerprint of the record tells them apart.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = [
            (f"{key}.{name}" if key else str(name), old.get(name, MISSING), new.get(name, MISSING))
            for name in dict.fromkeys([*old, *new])
        ]
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple):
        pairs = [
            (f"{key}[{i}]", old[i] if i < len(old) else MISSING, new[i] if i < len(new) else MISSING)
            for i in range(max(len(old), len(new)))
        ]
    elif old is MISSING or new is MISSING or _json(old) != _json(new):
        return [Difference(key, old, new)]
    else:
        return []
    return [difference for name, before, after in pairs for difference in differences(before, after, name)]


def _is_checksum(value) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _json(value) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _shown(value) -> str:
    return _cut(_json(value))


def _cut(text: str, start: int = 0) -> str:
    piece = text[start : start + _LONGEST]
    return "…" * (start > 0) + piece + "…" * (start + _LONGEST < len(text))
