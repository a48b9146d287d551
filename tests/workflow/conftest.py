"""A project with a tiny random model and two tasks of a few items, on which the whole workflow takes seconds."""

import random

import pytest

from tests.helpers import tiny_data
from tests.helpers.project_copy import ProjectCopy

NOUNS = "tea bread rain music paper glass river market garden letter window street".split()


def write_colours(path, labels, count=48, seed=0):
    """Write a JSON Lines file with columns of its own: nothing in the project knows this task."""
    draw = random.Random(seed)
    labels = [labels[i % len(labels)] for i in range(count)]
    rows = [
        {"number": i, "note": f"{label} {' '.join(draw.sample(NOUNS, 4))} {i}", "class": label.upper()}
        for i, label in enumerate(labels)
    ]
    tiny_data.write_jsonl(path, rows)


def colour_task(path, labels):
    """Settings of a task whose raw file `write_colours` wrote."""
    return tiny_data.task_settings(
        {"items": path},
        {label.upper(): label for label in labels},
        split={"rule": "random", "train": 0.5, "validation": 0.2, "test": 0.3},
        reader={"format": "jsonl"},
        prompt="prompts/colours.txt",
        id="number",
        label="class",
        fields={"note": "note"},
    )


def jobs(dry_run: str) -> dict[str, int]:
    """Read Snakemake's job table: number of jobs by rule."""
    table = dry_run.partition("Job stats:")[2].split("\n\n")[0].splitlines()
    rows = [line.split() for line in table if len(line.split()) == 2 and line.split()[1].isdigit()]
    return {name: int(count) for name, count in rows if name != "total"}


@pytest.fixture
def workspace(tmp_path, tiny_model):
    return tiny_workspace(tmp_path / "project", tiny_model)


def tiny_workspace(path, tiny_model) -> ProjectCopy:
    """A copy of the project with a tiny model, two new tasks and an overlay ``tiny.yaml`` that uses them."""
    project = ProjectCopy(path)
    (project.path / "prompts" / "colours.txt").write_text("{note}\nWhich one?\n", encoding="utf-8")
    first, second = ["red", "green", "blue"], ["warm", "cold"]
    write_colours(project.path / "data" / "colours.jsonl", first)
    write_colours(project.path / "data" / "warmth.jsonl", second, seed=1)
    project.write(
        "tiny.yaml",
        {
            "experiment": "tiny",
            "results": "out",
            "model": "tiny",
            "models": {"tiny": {"path": str(tiny_model)}},
            "dtype": "float32",
            "tasks": {
                "colours": colour_task("data/colours.jsonl", first),
                "warmth": colour_task("data/warmth.jsonl", second),
            },
            "arms": {"sequential": {"stages": [{"task": "colours"}, {"task": "warmth"}]}, "rehearsal": None},
            "lora": {"r": 4, "alpha": 8, "last_layers": None},
            "training": {"epochs": 1, "max_length": 96, "learning_rate": 0.01},
            "statistics": {"bootstrap_samples": 200},
        },
    )
    return project
