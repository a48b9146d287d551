"""Everything an experiment left on disk that its metrics need, read and checked against receipts and recipes."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

from forgetting import plan, recipes
from forgetting.config import Config
from forgetting.errors import InputError, read_json
from forgetting.metrics.answers import Answers, read_answers, read_items
from forgetting.receipts import read_receipt, sha256_file

WEIGHTS = "adapter_model.safetensors"


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
    weights = _check_adapters(results, summary, adapters, planned, trainings, receipts[plan.BASE].get("model"))
    _check_predictions(results, config, summary, planned, weights, receipts)
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
        # Whatever is scored, the baselines learn from train.
        for split in dict.fromkeys(["train", *config.evaluation.splits]):
            recorded = summary["tasks"][task]["splits"].get(split)
            path = results / "data" / task / f"{split}.jsonl"
            rows = read_items(path, settings.words)
            if not recorded or recorded["sha256"] != sha256_file(path):
                raise InputError(f"{path}: does not match {summary_path}; run the data step again")
            if not rows:
                raise InputError(f"{path}: the split has no items to score or learn from; change the task's split")
            items[task, split] = rows
    return items


def _check_adapters(results: Path, summary: dict, adapters, planned, trainings, model: str) -> dict[str, str]:
    """Every adapter is of this model, data, recipe and parent; checksums of their weights by lineage."""
    weights = {}
    for lineage, adapter in adapters.items():
        recipe, folder = planned[lineage], results / lineage
        receipt = read_receipt(folder / "adapter", "the adapter", verify=False)
        weights[lineage] = receipt["files"].get(WEIGHTS)
        train = summary["tasks"][adapter.task]["splits"]["train"]["sha256"]
        parent = planned[adapter.parent]["fingerprint"] if adapter.parent else None
        _same(
            folder / "recipe.json",
            "the adapter was planned for another base model than the one that was scored",
            recipe["model"]["fingerprint"],
            model,
        )
        _same(folder / "recipe.json", "the adapter was planned for other training data", recipe["data"]["train"], train)
        _same(
            folder / "recipe.json",
            "the adapter was planned for another parent",
            (recipe["parent"] or {}).get("fingerprint"),
            parent,
        )
        _same(
            folder / "adapter/training.json",
            "the adapter was trained by another recipe",
            trainings[lineage].get("fingerprint"),
            recipe["fingerprint"],
        )
        # Training on a GPU is not reproducible to the bit, so a recipe alone does not say which weights these are.
        _same(
            folder / "adapter/receipt.json",
            "the adapter was trained from other weights of its parent",
            receipt.get("parent"),
            weights.get(adapter.parent),
        )
    return weights


def _check_predictions(results: Path, config: Config, summary: dict, planned, weights, receipts) -> None:
    """All predictions are of this model, data and adapters, and were made in one way."""
    base = receipts[plan.BASE]
    for lineage, receipt in receipts.items():
        path = results / lineage / "predictions" / "receipt.json"
        own = planned[lineage]["fingerprint"] if lineage in planned else None
        _same(
            path,
            f"these predictions are of another base model than those in {results / plan.BASE}",
            receipt.get("model"),
            base.get("model"),
        )
        _same(
            path,
            f"these predictions were made with other settings than those in {results / plan.BASE}",
            receipt.get("settings"),
            base.get("settings"),
        )
        _same(
            path,
            "these predictions were not made by evaluation.method",
            receipt.get("method"),
            config.evaluation.method,
        )
        _same(path, "these predictions are of another adapter", receipt.get("adapter"), own)
        if own:
            _same(path, "these predictions are of other weights", receipt.get("adapter_weights"), weights[lineage])
        for task, split in product(config.active_tasks, config.evaluation.splits):
            scored = receipt.get("data", {}).get(task, {}).get(split)
            expected = summary["tasks"][task]["splits"][split]["sha256"]
            _same(path, f"these predictions are of another {split} split of {task}", scored, expected)


def _same(path, otherwise: str, found, expected) -> None:
    if found != expected:
        raise InputError(f"{path}: {otherwise}; run the workflow again")
