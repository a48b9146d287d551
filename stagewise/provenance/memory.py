"""Small JSON files that save work between two plans; losing one costs time and nothing else."""

import json
from pathlib import Path

from stagewise.provenance.files import atomic

FOLDER = Path(".snakemake")


def read_memory(path, version: str) -> dict:
    """Read the entries of a memory file: empty if it is missing, damaged, or of another program or version."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return content["entries"] if content["version"] == version and isinstance(content["entries"], dict) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def write_memory(path, version: str, entries: dict) -> None:
    """Replace a memory file atomically: of two plans at once the last one wins. A read-only folder is left alone."""
    try:
        with atomic(path) as temporary:
            content = {"version": version, "entries": entries}
            temporary.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
    except OSError:
        pass
