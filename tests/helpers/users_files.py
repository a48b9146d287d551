"""Files as users have them, of drawn words, and a folder of the project to call `scripts.init` in."""

import csv
import json
import random
import shutil
from pathlib import Path

import yaml

from scripts import init
from tests.helpers.project_copy import ROOT

WORDS = "the a river mountain bank sings quickly green table under seven lamps open window children bread mild".split()


class UsersFiles:
    """A project's folder with files of a user in it."""

    def __init__(self, folder: Path, seed: int = 0):
        self.folder, self.draw = folder, random.Random(seed)
        shutil.copy(ROOT / "config.yaml", folder)
        for name in ("models", "experiments", "prompts"):
            (folder / name).mkdir()

    def text(self, words: int = 12) -> str:
        return " ".join(self.draw.choice(WORDS) for _ in range(words))

    def rows(self, make, count: int = 60) -> list[dict]:
        """Make rows; `make` is called with each one's number."""
        return [make(number) for number in range(count)]

    def csv(self, name: str, rows: list[dict], delimiter: str = ",", encoding: str = "utf-8") -> str:
        with (self.folder / name).open("w", encoding=encoding, newline="") as handle:
            table = csv.DictWriter(handle, list(rows[0]), delimiter=delimiter)
            table.writeheader()
            table.writerows(rows)
        return name

    def jsonl(self, name: str, rows: list[dict]) -> str:
        return self.write(name, "".join(f"{json.dumps(row)}\n" for row in rows))

    def write(self, name: str, content: str | bytes) -> str:
        content = content.encode() if isinstance(content, str) else content
        (self.folder / name).write_bytes(content)
        return name

    def init(self, *arguments: str) -> int:
        """Call the script in this process; the working directory is the folder."""
        return init.main([str(argument) for argument in arguments])

    def overlay(self, name: str) -> dict:
        return yaml.safe_load((self.folder / "experiments" / f"{name}.yaml").read_text(encoding="utf-8"))

    def comments(self, name: str) -> str:
        """Text of an overlay, with its comments."""
        return (self.folder / "experiments" / f"{name}.yaml").read_text(encoding="utf-8")

    def prompt(self, name: str) -> str:
        return (self.folder / "prompts" / f"{name}.txt").read_text(encoding="utf-8")

    def task(self, *arguments: str) -> dict:
        """Call the script for a file and return the task that it wrote; the file's name is the task's."""
        assert self.init(*arguments) == 0
        (task,) = self.overlay(Path(arguments[0]).stem)["tasks"].values()
        return task
