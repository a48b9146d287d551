"""Scores of a probe's items, and the files that hold them. Importing this module imports no torch."""

import csv
import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

COLUMNS = ("id", "score", "weight")


@dataclass(frozen=True)
class Item:
    """One item's score."""

    id: str
    """Name of the item, without any of its text."""
    score: float
    weight: float
    content: str
    """Hash of the item's content."""


@dataclass(frozen=True)
class ProbeScores:
    """Scores of all items of one probe; its value is sum(weight · score) / sum(weight)."""

    kind: Literal["harness", "text"]
    measure: str
    higher_is_better: bool
    items: list[Item]
    tokens: int
    """Tokens that the model read."""
    group: str | None = None
    """Name of the group of harness tasks whose items these are."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Other keys of the probe in the receipt."""

    @property
    def value(self) -> float:
        total = math.fsum(item.weight for item in self.items)
        return math.fsum(item.weight * item.score for item in self.items) / total

    @property
    def checksum(self) -> str:
        """SHA-256 of the items' ids and content hashes: equal ones mean the same items, in the same order."""
        pairs = [[item.id, item.content] for item in self.items]
        return hashlib.sha256(json.dumps(pairs, ensure_ascii=True).encode()).hexdigest()

    def record(self) -> dict[str, Any]:
        """Describe the probe for the receipt."""
        return {
            "measure": self.measure,
            "higher_is_better": self.higher_is_better,
            "items": len(self.items),
            "checksum": self.checksum,
            "kind": self.kind,
            "group": self.group,
            **self.facts,
        }

    def write(self, path: Path) -> None:
        """Write the items as CSV; floats are written so that reading gives the same number back."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
            writer.writerow(COLUMNS)
            writer.writerows((item.id, repr(float(item.score)), repr(float(item.weight))) for item in self.items)
