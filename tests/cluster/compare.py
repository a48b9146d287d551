"""Two runs' results, file by file: the same bytes, except where time, memory or an interruption is the subject."""

import csv
import json
import re
from pathlib import Path

# Left out of JSON wherever the key stands, and why.
LEFT_OUT = {
    "seconds": "wall time",
    "seconds_over_reference": "ratio of wall times",
    "tokens_per_second": "wall time",
    "peak_memory_bytes": "what the allocator took on the way",
    "checksum": "of values among which are wall times",
    "resumed_from_step": "null without an interruption; checked by itself",
}
# Left out of training_log.csv: wall times, and two figures that the trainer counts from a process's start, not from the
# training's: tokens seen (training.json has them all, and is compared) and the mean of all steps' losses.
OWN = re.compile(r"runtime|(samples|steps)_per_second|^num_tokens$|^train_loss$")
# Folders that no rule declares: checkpoints hold what a resume needs, and how often it was needed is the difference.
NOT_RESULTS = ("checkpoints",)
# Snakemake's own mark in a folder that is an output.
MARK = ".snakemake_timestamp"
# Pages that show times; they are drawn again from the other run's results to be compared.
PAGES = ("report.html", "report.md", "items.html", "figures/")


def files(folder: Path) -> dict[str, Path]:
    """Every result by its path below `folder`."""
    found = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file() and path.name != MARK
    }
    return {name: path for name, path in found.items() if not name.startswith(NOT_RESULTS)}


def content(name: str, path: Path):
    """What two runs must have in common in a file."""
    if path.name == "training_log.csv":
        with open(path, newline="", encoding="utf-8") as handle:
            return [row for row in csv.DictReader(handle) if not OWN.search(row["metric"])]
    if path.name == "README.md":  # the model card
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if not line.startswith("| time")]
    if path.name not in ("training.json", "receipt.json", "report_metrics.json"):
        return path.read_bytes()
    values = without(json.loads(path.read_text(encoding="utf-8")))
    if path.name == "report_metrics.json":
        del values["inputs"]["files"]  # some of them hold wall times; they are compared themselves
    if path.name == "receipt.json":
        values["files"] = sorted(values["files"])  # the files are compared themselves
    return values


def without(value):
    """JSON without the keys that are left out."""
    if isinstance(value, dict):
        return {key: without(item) for key, item in value.items() if key not in LEFT_OUT}
    return [without(item) for item in value] if isinstance(value, list) else value


def redrawn(folder: Path, metrics: Path, target: Path) -> dict[str, Path]:
    """The report's pages from the results in `folder` and another run's metrics, written to `target`."""
    from scripts import report

    arguments = {"metrics": metrics, "results": folder, "html": target / "report.html"}
    arguments |= {"markdown": target / "report.md", "figures": target / "figures", "items": target / "items.html"}
    target.mkdir()
    assert report.main([part for key, value in arguments.items() for part in (f"--{key}", str(value))]) == 0
    return files(target)


def compare(one: Path, other: Path, scratch: Path) -> dict[str, list[str]]:
    """Names of the files that are the same, by how they were compared; fails on the first that is not."""
    expected, found = files(one), files(other)
    assert sorted(expected) == sorted(found)
    pages = redrawn(other, one / "report_metrics.json", scratch)
    same = {"byte for byte": [], "apart from times and memory": [], "drawn again with the same times": []}
    for name, path in expected.items():
        if name.startswith(PAGES):
            assert content(name, pages[name]) == content(name, path), name
            same["drawn again with the same times"].append(name)
            continue
        mine, yours = content(name, path), content(name, found[name])
        assert mine == yours, name
        kind = "byte for byte" if isinstance(mine, bytes) else "apart from times and memory"
        same[kind].append(name)
    return same
