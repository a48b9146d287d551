"""An experiment's steps from its raw files to its report, in this process: each by its script, as the rules call it."""

from pathlib import Path

from scripts import fetch_data, make_splits, metrics, predict, report, train_adapter, write_recipe
from stagewise.config.experiment import Config
from stagewise.data.raw_files import raw_path
from stagewise.lineage import BASE, lineage_tree
from stagewise.pipeline.build_recipe import recipe_settings
from stagewise.pipeline.settings_files import write_settings


def fetch_all(config: Config, mirror: Path) -> None:
    """Fetch the raw files of every task from a mirror."""
    for name, task in config.active_tasks.items():
        for role, file in task.sources[task.source].files.items():
            arguments = ["--settings", write_settings(file), "--output", str(raw_path(name, role, file))]
            _done(fetch_data.main([*arguments, "--mirror", str(mirror)]))


def split_all(config: Config) -> Path:
    """Make the splits; return their folder."""
    folder = Path(config.results) / "data"
    settings = write_settings(config.data_settings(None))
    _done(make_splits.main(["--settings", settings, "--output", str(folder)]))
    return folder


def run_all(config: Config, model: Path, mirror: Path) -> Path:
    """Run every step with the base model at `model`; return the results folder."""
    fetch_all(config, mirror)
    results, data = Path(config.results), str(split_all(config))
    adapters = lineage_tree(config)
    scoring = ["--settings", write_settings(config.scoring_settings()), "--model", str(model), "--data", data]
    _done(predict.main([*scoring, "--output", str(results / BASE / "predictions")]))
    for lineage, adapter in adapters.items():
        folder = results / lineage
        parents = [str(results / parent / "recipe.json") for parent in adapter.parents]
        settings = write_settings(recipe_settings(config, adapter))
        arguments = ["--settings", settings, "--model", str(model), "--data", data, "--parents", *parents]
        _done(write_recipe.main([*arguments, "--output", str(folder / "recipe.json")]))
        arguments = ["--recipe", str(folder / "recipe.json"), "--model", str(model), "--data", data]
        arguments += ["--checkpoints", str(results / "checkpoints")]
        arguments += ["--parent", str(results / adapter.parent / "adapter")] if adapter.parent else []
        _done(train_adapter.main([*arguments, "--output", str(folder / "adapter")]))
        scored = ["--adapter", str(folder / "adapter"), "--output", str(folder / "predictions")]
        _done(predict.main([*scoring, *scored]))
    record = str(results / "report_metrics.json")
    arguments = ["--settings", write_settings(config), "--results", str(results), "--output", record]
    _done(metrics.main([*arguments, "--flat", str(results / "metrics.json")]))
    pages = {name: str(results / f"report.{kind}") for name, kind in (("--html", "html"), ("--markdown", "md"))}
    arguments = ["--metrics", record, "--results", str(results), *(part for pair in pages.items() for part in pair)]
    _done(report.main([*arguments, "--figures", str(results / "figures"), "--items", str(results / "items.html")]))
    return results


def _done(code: int) -> None:
    assert code == 0, f"a step ended with {code}"
