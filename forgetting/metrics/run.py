"""Everything an experiment left on disk that its metrics need, read and checked against receipts and recipes."""

from dataclasses import dataclass
from pathlib import Path

from forgetting import plan, recipes
from forgetting.config import Config
from forgetting.errors import InputError, read_json
from forgetting.metrics.answers import Answers, read_answers, read_items
from forgetting.receipts import read_receipt, sha256_file


@dataclass(frozen=True)
class Run:
    """An experiment's data, recipes, trainings and answers."""

    config: Config
    summary: dict
    """``data/summary.json``."""
    items: dict[tuple[str, str], list[dict]]
    """Items by task and split: every scored split, and train."""
    adapters: dict[str, plan.Adapter]
    recipes: dict[str, dict]
    trainings: dict[str, dict]
    answers: dict[tuple[str, str, str], Answers]
    """Answers by lineage, task and split."""
    receipts: dict[str, dict]
    """Receipts of the predictions by lineage."""

    @property
    def lineages(self) -> list[str]:
        return [plan.BASE, *self.adapters]

    def words(self, task: str) -> list[str]:
        return self.config.active_tasks[task].words


def read_run(config: Config, results) -> Run:
    """Read an experiment's results folder.

    Raises
    ------
    InputError
        Where a file is missing or damaged, or was made from other data, another model or another adapter than the
        rest.
    """
    results = Path(results)
    summary_path = results / "data" / "summary.json"
    summary = read_json(summary_path, "the data summary")
    items = _read_splits(config, results, summary, summary_path)
    adapters = plan.adapters(config)
    planned = {lineage: recipes.read(results / lineage / "recipe.json") for lineage in adapters}
    trainings = {
        lineage: read_json(results / lineage / "adapter" / "training.json", "the training summary")
        for lineage in adapters
    }
    receipts = {
        lineage: read_receipt(results / lineage / "predictions", "the predictions")
        for lineage in (plan.BASE, *adapters)
    }
    _check_origins(results, summary, adapters, planned, trainings, receipts)
    answers = {}
    for lineage, receipt in receipts.items():
        for task in config.active_tasks:
            for split in config.evaluation.splits:
                path = results / lineage / "predictions" / f"{task}.{split}.csv"
                if path.name not in receipt["files"]:
                    raise InputError(
                        f"{path.parent / 'receipt.json'}: does not vouch for {path.name}; run the prediction step again"
                    )
                words = config.active_tasks[task].words
                answers[lineage, task, split] = read_answers(path, task, split, words, items[task, split])
    return Run(config, summary, items, adapters, planned, trainings, answers, receipts)


def _read_splits(config: Config, results: Path, summary: dict, summary_path: Path) -> dict:
    items = {}
    for task, settings in config.active_tasks.items():
        if task not in summary.get("tasks", {}):
            raise InputError(f"{summary_path}: the task '{task}' is missing; run the data step again")
        for split in ("train", "validation", "test"):
            recorded = summary["tasks"][task]["splits"].get(split)
            needed = split == "train" or split in config.evaluation.splits
            if not needed:
                continue
            path = results / "data" / task / f"{split}.jsonl"
            rows = read_items(path, settings.words)
            if not recorded or recorded["sha256"] != sha256_file(path):
                raise InputError(f"{path}: does not match {summary_path}; run the data step again")
            if not rows:
                raise InputError(f"{path}: the split has no items to score or learn from; change the task's split")
            items[task, split] = rows
    return items


def _check_origins(results: Path, summary: dict, adapters, planned, trainings, receipts) -> None:
    """Every result belongs to the same model, data and adapters."""

    def refuse(path, what):
        raise InputError(f"{path}: {what}; run the workflow again")

    base = receipts[plan.BASE]
    model = base.get("model")
    for lineage, receipt in receipts.items():
        path = results / lineage / "predictions" / "receipt.json"
        if not receipt.get("model") or receipt["model"] != model:
            refuse(path, f"these predictions are of another base model than those in {results / plan.BASE}")
        if receipt.get("settings") != base.get("settings"):
            refuse(path, f"these predictions were made with other settings than those in {results / plan.BASE}")
    for lineage, adapter in adapters.items():
        recipe, folder = planned[lineage], results / lineage
        if recipe["model"]["fingerprint"] != model:
            refuse(folder / "recipe.json", "the adapter's base model is not the one that was scored")
        if recipe["data"]["train"] != summary["tasks"][adapter.task]["splits"]["train"]["sha256"]:
            refuse(folder / "recipe.json", "the adapter was planned for other training data")
        parent = (recipe.get("parent") or {}).get("fingerprint")
        if parent != (planned[adapter.parent]["fingerprint"] if adapter.parent else None):
            refuse(folder / "recipe.json", "the adapter was planned for another parent")
        if trainings[lineage].get("fingerprint") != recipe["fingerprint"]:
            refuse(folder / "adapter" / "training.json", "the adapter was trained by another recipe")
        if receipts[lineage].get("adapter") != recipe["fingerprint"]:
            refuse(folder / "predictions" / "receipt.json", "these predictions are of another adapter")
