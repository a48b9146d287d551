"""Small made raw files, the settings that read them, and a way to run the data step on them."""

import csv
import json
from pathlib import Path

from scripts import make_splits

LABELS = [{"value": "0", "word": "no"}, {"value": "1", "word": "yes"}]


def rows(count: int, ones: float = 0.5, **more) -> list[dict]:
    """`count` rows with distinct texts, a share of `ones` labelled 1; `more` adds columns (value or function)."""
    return [
        {"id": f"i{n}", "text": f"text number {n}", "label": str(int(n < ones * count))}
        | {name: value(n) if callable(value) else value for name, value in more.items()}
        for n in range(count)
    ]


def write_csv(path: Path, records: list[dict], encoding="utf-8", newline="\n", delimiter=",") -> Path:
    with path.open("w", encoding=encoding, newline="") as handle:
        # Python quotes a line feed in a text only where line feeds end lines.
        quoting = csv.QUOTE_ALL if newline == "\r" else csv.QUOTE_MINIMAL
        table = csv.DictWriter(handle, list(records[0]), lineterminator=newline, delimiter=delimiter, quoting=quoting)
        table.writeheader()
        table.writerows(records)
    return path


def task(files: dict, split: dict | None = None, reader: dict | None = None, **more) -> dict:
    """Settings of one task; `files` gives a path, or a file's settings, by role."""
    return {
        "prompt": "prompt.txt",
        "id": "id",
        "label": "label",
        "labels": LABELS,
        "fields": {"text": "text"},
        "source": "made",
        "sources": {
            "made": {
                "reader": reader or {"format": "csv"},
                "files": {role: f if isinstance(f, dict) else {"path": str(f)} for role, f in files.items()},
            }
        },
        "split": "made",
        "splits": {"made": split or {"rule": "random", "file": "items", "train": 0.6, "validation": 0.2, "test": 0.2}},
    } | more


class Outcome:
    """What a run of the data step left behind."""

    def __init__(self, code: int, folder: Path, error: str):
        self.code, self.folder, self.error = code, folder, error

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    @property
    def summary(self) -> dict:
        return json.loads((self.folder / "summary.json").read_text())

    def items(self, split: str, name: str = "t") -> list[dict]:
        return [json.loads(line) for line in (self.folder / name / f"{split}.jsonl").open(encoding="utf-8")]

    def ids(self, split: str, name: str = "t") -> list[str]:
        return [item["id"] for item in self.items(split, name)]

    def set_aside(self, name: str = "t") -> list[tuple[str, str, str, str]]:
        with (self.folder / name / "set_aside.csv").open(encoding="utf-8", newline="") as handle:
            header, *found = csv.reader(handle)
        assert header == ["file", "row", "id", "reason"]
        return [tuple(row) for row in found]


def run(folder: Path, capsys, tasks: dict, raw: Path | None = None, output=None, **settings) -> Outcome:
    """Run the data step in this process; `tasks` is one task's settings, or several by name.

    Every run writes to a folder of its own below `folder`, unless it is told where.
    """
    tasks = {"t": tasks} if "prompt" in tasks else tasks
    output = output or next(path for n in range(100) if not (path := folder / f"out{n}").exists())
    capsys.readouterr()
    code = make_splits.main(
        ["--settings", json.dumps({"tasks": tasks, **settings}), "--output", str(output), "--raw", str(raw or folder)]
    )
    return Outcome(code, output, capsys.readouterr().err)
