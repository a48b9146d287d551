"""A copy of the checkout in a temporary folder, to run the whole workflow in as a user would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
# Everything that a run reads; results, environments and caches of the checkout are not copied.
PARTS = [
    "Snakefile",
    "config.yaml",
    "dvc.yaml",
    ".dvcignore",
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvc/plots",
    "rules",
    "scripts",
    "stagewise",
    "prompts",
]
PARTS += ["experiments", "report", "profiles", "schemas", "data/sample", "data/splits", "data/published_figures.json"]


class ProjectFolder:
    """A folder that holds the project, and commands in it."""

    def __init__(self, path: Path):
        self.path = path

    def write(self, name: str, values: dict) -> str:
        """Write an overlay configuration; return its name."""
        (self.path / name).write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        return name

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Run a command in the folder, with the tests' Python first on the path."""
        env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=self.path, env=env | environment, capture_output=True, text=True, timeout=1200
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def snakemake(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        return self.run("snakemake", "--cores", "2", *arguments, check=check, **environment)


class ProjectCopy(ProjectFolder):
    """A runnable copy of the project at `path`."""

    def __init__(self, path: Path):
        super().__init__(path)
        for part in PARTS:
            source, target = ROOT / part, path / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
            elif source.exists():
                shutil.copy2(source, target)
