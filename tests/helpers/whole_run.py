"""A whole experiment in this process, step by step as the workflow has it, on the tiny model."""

import shutil
from pathlib import Path

import yaml

from scripts import make_splits, metrics, predict, report, train_adapter, write_recipe
from stagewise.config.load_config import load
from stagewise.lineage import BASE, lineage_tree

FEW = {"train": 12, "validation": 6, "test": 6}


def write_tiny_overlay(overlay: str, model: Path, **changes) -> str:
    """Write what makes an overlay an experiment of seconds: the tiny model, few items, one step; return its path."""
    tasks = load("config.yaml", overlay).active_tasks
    settings = {
        "model": "tiny",
        "models": {"tiny": {"path": str(model)}},
        "dtype": "float32",
        "results": "out",
        "limit": FEW,
        "lora": {"r": 2, "alpha": 4, "dropout": 0},
        "training": {"epochs": 1, "max_steps": 2, "gradient_accumulation": 1, "learning_rate": 0.01},
        "statistics": {"bootstrap_samples": 100},
        "tasks": {name: {"max_length": 448} for name in tasks},
    }
    for name, task in tasks.items():
        if task.kind in ("multi_label", "generation"):
            settings["tasks"][name]["max_new_tokens"] = 4
    Path("tiny.yaml").write_text(yaml.safe_dump(settings | changes), encoding="utf-8")
    return "tiny.yaml"


def run(overlay: str, model: Path, **changes) -> Path:
    """Run an overlay from its data to its report, in the working directory; return the folder of the results."""
    files = ["config.yaml", overlay, write_tiny_overlay(overlay, model, **changes)]
    config, results = load(*files), Path("out")
    shutil.copytree(model, "models/tiny", dirs_exist_ok=True)
    common = {"--settings": files, "--model": "models/tiny", "--data": results / "data"}
    _call(make_splits, {"--settings": files, "--output": results / "data"})
    lineages = lineage_tree(config)
    for lineage, adapter in lineages.items():
        recipe, parent = results / lineage / "recipe.json", adapter.parent and results / adapter.parent
        parents = {"--parents": [parent / "recipe.json"] if parent else []}
        _call(write_recipe, common | parents | {"--lineage": lineage, "--output": recipe})
        training = {"--recipe": recipe, "--checkpoints": results / "checkpoints", "--batch-size": 4, "--report-to": []}
        training |= {"--parent": parent / "adapter"} if parent else {}
        training |= {"--model": "models/tiny", "--data": results / "data", "--output": results / lineage / "adapter"}
        _call(train_adapter, training)
    for lineage in (BASE, *lineages):
        folder = results / lineage / "predictions"
        adapter = {} if lineage == BASE else {"--adapter": results / lineage / "adapter"}
        _call(predict, common | adapter | {"--checkpoints": results / "checkpoints", "--output": folder})
    full = results / "report_metrics.json"
    _call(metrics, {"--settings": files, "--results": results, "--output": full, "--flat": results / "metrics.json"})
    pages = {"--html": results / "report.html", "--markdown": results / "report.md", "--items": results / "items.html"}
    _call(report, {"--metrics": full, "--results": results, "--figures": results / "figures"} | pages)
    return results


def _call(step, options: dict) -> None:
    argv = []
    for option, value in options.items():
        argv += [option, *map(str, value)] if isinstance(value, list) else [option, str(value)]
    assert step.main(argv) == 0, step.__name__
