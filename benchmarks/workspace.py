"""A copy of the project in which a benchmark calls the workflow's steps as a user does."""

import shutil
import sys
from pathlib import Path

from benchmarks.measure import Run, run_command
from stagewise.config.experiment import Config
from stagewise.config.load_config import load
from tests.helpers.project_copy import ProjectCopy

LINEAGE = "base/seed-0/pubmedqa"

KEPT_LAYERS = "frozen_layers"
"""Folder below a checkpoint folder where outputs of frozen layers are kept between runs."""

# One stage on PubMedQA. Both sides of a comparison compute in float32, whatever `dtype: auto` would choose.
STAGE = {
    "dtype": "float32",
    "arms": {"sequential": {"stages": [{"task": "pubmedqa"}]}, "rehearsal": None},
    "evaluation": {"splits": ["test"]},
}
# The same on the real items, as experiments/real.yaml trains them: all layers, 4 × 4 items a step, dropout.
REAL_STAGE = STAGE | {
    "results": "results-real",
    "limit": {"train": 32, "validation": 4, "test": 80},
    "tasks": {"pubmedqa": {"source": "original", "split": "official"}},
    "duplicates": {"within_split": "drop", "across_splits": "drop"},
    "lora": {"dropout": 0.05, "last_layers": None},
    "training": {
        "epochs": 1,
        "batch_size": 4,
        "gradient_accumulation": 4,
        "learning_rate": 2.0e-4,
        "scheduler": "cosine",
        "warmup_ratio": 0,  # of so few steps, none may be at a learning rate of 0
        "max_length": 1024,
    },
}


class Workspace:
    """Splits, model and recipe of one stage, made by the workflow, and commands on them."""

    def __init__(self, folder: Path, overlay: dict, name: str = "stage.yaml", models: Path | None = None):
        """Copy the project into `folder` and make what a training needs.

        `models` is a folder of fetched models to link, so that none is fetched again; None links nothing.
        """
        self.folder = Path(folder)
        self.project = ProjectCopy(self.folder)
        self.overlay = self.project.write(name, overlay)
        if models and models.is_dir() and not (self.folder / "models").exists():
            (self.folder / "models").symlink_to(models.resolve())
        self.config: Config = load(str(self.folder / "config.yaml"), str(self.folder / self.overlay))
        self.results = self.folder / self.config.results
        self.model = self.folder / "models" / self.config.model
        self.recipe = self.results / LINEAGE / "recipe.json"
        self.data = self.results / "data"

    def make_inputs(self) -> None:
        """Let the workflow fetch the model, make the splits and write the recipe."""
        receipt = f"models/{self.config.model}/receipt.json"
        targets = [f"{self.config.results}/{LINEAGE}/recipe.json", receipt]
        self.snakemake("--", *targets)

    def snakemake(self, *arguments, cores: int = 2) -> Run:
        """Run Snakemake on the overlay."""
        command = [sys.executable, "-m", "snakemake", "--cores", cores, "--configfile", self.overlay]
        return run_command([*command, *arguments], self.folder)

    def fresh(self, name: str) -> Path:
        """Empty a folder for a run's outputs and return it."""
        path = self.folder / "runs" / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def train(self, name: str, threads: int) -> tuple[Run, Path]:
        """Train the stage from nothing; return the cost and the adapter's folder."""
        folder = self.fresh(name)
        command = [sys.executable, "-m", "scripts.train_adapter", "--recipe", self.recipe, "--model", self.model]
        command += ["--data", self.data, "--checkpoints", folder / "checkpoints", "--output", folder / "adapter"]
        command += ["--batch-size", self.config.training.batch_size]
        return run_command(command, self.folder, OMP_NUM_THREADS=str(threads)), folder / "adapter"

    def adapter(self, threads: int) -> Path:
        """Folder of the stage's adapter, which is trained if no benchmark before did."""
        there = sorted((self.folder / "runs").glob("stagewise-*/adapter/receipt.json"))
        return there[-1].parent if there else self.train("stagewise-adapter", threads)[1]

    def predict(self, adapter: Path, checkpoints: Path, output: Path, threads: int) -> Run:
        """Score the stage's test items by the adapter."""
        command = [sys.executable, "-m", "scripts.predict", "--settings", "config.yaml", self.overlay]
        command += ["--model", self.model, "--adapter", adapter, "--data", self.data]
        command += ["--checkpoints", checkpoints, "--output", output]
        return run_command(command, self.folder, OMP_NUM_THREADS=str(threads))
