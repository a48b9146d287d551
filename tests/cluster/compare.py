"""Compare the results of two runs file by file: the same bytes, but for times, memory and interruptions."""

import csv
import json
import re
from pathlib import Path

# JSON keys that are not compared, with the reason.
IGNORED_KEYS = {
    "seconds": "wall time",
    "tried_seconds": "wall time",
    "seconds_over_reference": "ratio of wall times",
    "tokens_per_second": "wall time",
    "peak_memory_bytes": "depends on the allocator",
    "checksum": "covers wall times",
    "resumed_from_step": "null without an interruption; the test checks it",
}
# Rows of training_log.csv that are not compared: wall times, and two figures that the trainer counts from the start of
# a process, not of the training: tokens (training.json has them all, and is compared) and the mean loss of all steps.
IGNORED_METRICS = re.compile(r"runtime|(samples|steps)_per_second|^num_tokens$|^train_loss$")
# What is no result: checkpoints differ with the number of interruptions, the preflight's record with the machine.
NOT_RESULTS = ("checkpoints", "preflight.json")
# Snakemake's mark in a folder that is an output.
MARK = ".snakemake_timestamp"
# Pages that show times; for the comparison they are drawn again with the other run's results.
PAGES = ("report.html", "report.md", "items.html", "figures/")


def files(folder: Path) -> dict[str, Path]:
    """List all results by their path below `folder`."""
    paths = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file() and path.name != MARK
    }
    return {name: path for name, path in paths.items() if not name.startswith(NOT_RESULTS)}


def content(name: str, path: Path):
    """Read the content of a file in which two runs must agree."""
    if path.name == "training_log.csv":
        with open(path, newline="", encoding="utf-8") as handle:
            return [row for row in csv.DictReader(handle) if not IGNORED_METRICS.search(row["metric"])]
    if path.name == "README.md":  # the model card
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if not line.startswith("| time")]
    if path.name not in ("training.json", "receipt.json", "report_metrics.json"):
        return path.read_bytes()
    values = without(json.loads(path.read_text(encoding="utf-8")))
    if name in ("report_metrics.json", "figures/receipt.json"):
        del values["inputs"]["files"]  # some of them hold wall times; they are compared one by one
    if path.name == "receipt.json":
        values["files"] = sorted(values["files"])  # the files are compared one by one
    return values


def without(value):
    """Remove the ignored keys from JSON."""
    if isinstance(value, dict):
        return {key: without(item) for key, item in value.items() if key not in IGNORED_KEYS}
    return [without(item) for item in value] if isinstance(value, list) else value


def redrawn(folder: Path, metrics: Path, target: Path) -> dict[str, Path]:
    """Draw the report's pages from the results in `folder` and another run's metrics into `target`."""
    from scripts import report

    arguments = {"metrics": metrics, "results": folder, "html": target / "report.html"}
    arguments |= {"markdown": target / "report.md", "figures": target / "figures", "items": target / "items.html"}
    target.mkdir()
    assert report.main([part for key, value in arguments.items() for part in (f"--{key}", str(value))]) == 0
    return files(target)


def compare(one: Path, other: Path, scratch: Path) -> dict[str, list[str]]:
    """List the files that are the same, by kind of comparison; fail on the first that is not."""
    expected, actual = files(one), files(other)
    assert sorted(expected) == sorted(actual)
    pages = redrawn(other, one / "report_metrics.json", scratch)
    same = {"byte for byte": [], "apart from times and memory": [], "drawn again with the same times": []}
    for name, path in expected.items():
        if name.startswith(PAGES):
            assert content(name, pages[name]) == content(name, path), name
            same["drawn again with the same times"].append(name)
            continue
        mine, yours = content(name, path), content(name, actual[name])
        assert mine == yours, name
        kind = "byte for byte" if isinstance(mine, bytes) else "apart from times and memory"
        same[kind].append(name)
    return same
