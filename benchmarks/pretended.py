"""A finished experiment of stubs: receipts and recipes as they would be, and nothing in the files that they vouch for.

`benchmarks.scale` runs it in a copy of the project where nothing is made yet.
"""

import sys
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.load_config import load
from stagewise.config.tasks import SPLITS
from stagewise.data.raw_files import RAW
from stagewise.inference.prompts import Template
from stagewise.lineage import BASE, data_folder, data_folders, lineage_tree
from stagewise.models.adapters import ADAPTER_WEIGHTS
from stagewise.models.compute_type import with_compute_type
from stagewise.pipeline import origins
from stagewise.pipeline.artifacts import ADAPTER_FILES, REPORT_FILES
from stagewise.pipeline.build_recipe import build_recipe, recipe_settings
from stagewise.predictions.fingerprint import adapter_facts, prediction_facts
from stagewise.provenance.files import read_json, sha256_file, write_json
from stagewise.provenance.receipts import RECEIPT, write_receipt
from stagewise.recipe import Recipe, describe_base_model

MODEL = {"path": ".", "fingerprint": "0" * 64, "files": {}}


def pretend(config: Config) -> None:
    """Write every output of an experiment whose tasks fetch nothing."""
    declared, config = config, with_compute_type(config)
    results, adapters, folders = Path(config.results), lineage_tree(config), data_folders(config)
    receipt = {"model": config.model, "origin": config.base_model.origin, **MODEL}
    write_json(Path("models") / config.model / RECEIPT, receipt)
    for fold in dict.fromkeys(fold for fold, _ in config.runs):
        splits(config, results / data_folder(fold), fold)
    made: dict[str, Recipe] = {}
    base = describe_base_model(receipt)
    for lineage, adapter in adapters.items():
        parents = [made[parent] for parent in adapter.parents]
        recipe = build_recipe(recipe_settings(config, adapter), base, results / adapter.data, parents)
        made[lineage] = recipe
        recipe.write(results / lineage / "recipe.json")
        folder = results / lineage / "adapter"
        stubs(folder, ADAPTER_FILES.values(), lineage)
        weights = [sha256_file(results / parent / "adapter" / ADAPTER_WEIGHTS) for parent in adapter.parents]
        write_receipt(folder, {"fingerprint": recipe.fingerprint, "parents": weights})
    settings = config.scoring_settings()
    templates = {name: Template.read(task.prompt, task.fields) for name, task in settings.tasks.items()}
    scored = {
        folder: prediction_facts(settings, templates, MODEL["fingerprint"], results / folder) for folder in folders
    }
    for lineage in (BASE, *adapters):
        folder = results / lineage / "predictions"
        stubs(
            folder, [f"{task}.{split}.csv" for task in settings.tasks for split in settings.evaluation.splits], lineage
        )
        own = adapters.get(lineage)
        adapter = read_json(results / lineage / "adapter" / RECEIPT, "the receipt") if own else None
        facts = scored[own.data if own else folders[0]]
        write_receipt(folder, facts | adapter_facts(adapter))
    report(declared, results, folders, adapters)


def splits(config: Config, folder: Path, fold: int | None) -> None:
    settings = config.data_settings(fold)
    tasks = {}
    for task in settings.tasks:
        stubs(folder / task, [*(f"{split}.jsonl" for split in SPLITS), "set_aside.csv"], f"{folder}/{task}")
        tasks[task] = {"splits": {s: {"sha256": sha256_file(folder / task / f"{s}.jsonl")} for s in SPLITS}}
    write_json(folder / "summary.json", {"tasks": tasks, "made_from": origins.of_splits(settings, RAW)})


def report(config: Config, results: Path, folders: list[str], adapters) -> None:
    metrics = results / "report_metrics.json"
    inputs = origins.metrics_inputs(config, results, folders, adapters)
    write_json(metrics, {"made_from": origins.of_metrics(config, inputs)})
    pages = [name for key, name in REPORT_FILES.items() if key != "figures"]
    stubs(results, [*pages, "metrics.json"], "page")
    made = origins.of_report(origins.report_inputs(metrics, results, folders, adapters))
    (results / "figures").mkdir()
    write_receipt(
        results / "figures", {"made_from": made, "pages": {page: sha256_file(results / page) for page in pages}}
    )


def stubs(folder: Path, names, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(f"{text}/{name}\n", encoding="utf-8")


if __name__ == "__main__":
    pretend(load(*sys.argv[1:]))
