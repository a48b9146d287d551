"""The data step (scripts.make_splits) on small made raw files, and what it wrote."""

import csv
import json
from pathlib import Path

from scripts import make_splits
from tests.helpers import tiny_data

LABELS = {"0": "no", "1": "yes"}


def make_task(files: dict, split: dict | None = None, reader: dict | None = None, **changes) -> dict:
    """Settings of a task with the labels no (0) and yes (1), or those of `changes`, see `tiny_data.task_settings`."""
    labels = {"labels": changes.pop("labels")} if "labels" in changes else {}
    return tiny_data.task_settings(files, LABELS, split, reader, **changes) | labels


class DataStep:
    """A finished run of the data step."""

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
            header, *rows = csv.reader(handle)
        assert header == ["file", "row", "id", "reason"]
        return [tuple(row) for row in rows]


def run_data_step(folder: Path, capsys, tasks: dict, raw: Path | None = None, output=None, **settings) -> DataStep:
    """Run the data step in this process; `tasks` is one task's settings, called ``t``, or several by name.

    Each run writes to a folder of its own below `folder`, unless `output` names one.
    """
    tasks = {"t": tasks} if "prompt" in tasks else tasks
    output = output or next(path for n in range(100) if not (path := folder / f"out{n}").exists())
    capsys.readouterr()
    code = make_splits.main(
        ["--settings", json.dumps({"tasks": tasks, **settings}), "--output", str(output), "--raw", str(raw or folder)]
    )
    return DataStep(code, output, capsys.readouterr().err)
