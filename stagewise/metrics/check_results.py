"""Nothing is measured that does not belong together: data, recipes, weights and predictions against each other."""

from itertools import product
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.errors import InputError
from stagewise.lineage import BASE, Adapter
from stagewise.models.adapters import ADAPTER_WEIGHTS
from stagewise.provenance.receipts import read_receipt


def checksum(summary: dict, task: str, split: str) -> str:
    """SHA-256 of a split's file, as the data's summary has it."""
    return summary["tasks"][task]["splits"][split]["sha256"]


def same_test(config: Config, results: Path, summaries: dict[str, dict]) -> None:
    """Every fold tests on the same items: only then are runs of several folds answers to one question."""
    first, *others = summaries
    for folder, task in product(others, config.active_tasks):
        if checksum(summaries[folder], task, "test") != checksum(summaries[first], task, "test"):
            raise InputError(
                f"{results / folder / task / 'test.jsonl'}: not the test items of {results / first / task}; "
                "folds must share them: run the data step again, with duplicates that take nothing out of test"
            )


def check_adapters(
    results: Path, summaries: dict[str, dict], adapters: dict[str, Adapter], planned, trainings, model: str
) -> dict[str, str]:
    """Every adapter is of this model, data, recipe and parents; checksums of their weights by lineage."""
    weights: dict[str, str] = {}
    for lineage, adapter in adapters.items():
        recipe, folder = planned[lineage], results / lineage
        place = folder / "recipe.json"
        receipt = read_receipt(folder / "adapter", "the adapter", verify=False)
        weights[lineage] = receipt["files"].get(ADAPTER_WEIGHTS)
        _same(
            place,
            "the adapter was planned for another base model than the one that was scored",
            recipe.model.fingerprint,
            model,
        )
        for task in adapter.learnt_tasks:
            data = {split: checksum(summaries[adapter.data], task, split) for split in ("train", "validation")}
            found = recipe.tasks[task].data if task in recipe.tasks else None
            _same(place, f"the adapter was planned for other training data of {task}", found, data)
        _same(
            place,
            "the adapter was planned for another parent",
            [parent.fingerprint for parent in recipe.parents],
            [planned[parent].fingerprint for parent in adapter.parents],
        )
        _same(
            folder / "adapter/training.json",
            "the adapter was made by another recipe",
            trainings[lineage].get("fingerprint"),
            recipe.fingerprint,
        )
        # Training on a GPU is not reproducible to the bit, so a recipe alone does not say which weights these are.
        _same(
            folder / "adapter/receipt.json",
            "the adapter was made from other weights of its parent",
            receipt.get("inputs", {}).get("parents"),
            [weights[parent] for parent in adapter.parents],
        )
    return weights


def check_predictions(
    results: Path,
    config: Config,
    summaries: dict[str, dict],
    adapters: dict[str, Adapter],
    planned,
    weights: dict[str, str],
    receipts: dict[str, dict],
) -> None:
    """All predictions are of this model, data and adapters, and were made in one way."""
    base = receipts[BASE].get("inputs", {})
    for lineage, receipt in receipts.items():
        path = results / lineage / "predictions" / "receipt.json"
        own = planned[lineage].fingerprint if lineage in planned else None
        made_from = receipt.get("inputs", {})
        adapter = made_from.get("adapter") or {}
        for key, what in (("model", "of another base model"), ("settings", "made with other settings")):
            message = f"these predictions are {what} than those in {results / BASE}"
            _same(path, message, made_from.get(key), base.get(key))
        method = config.evaluation.method
        _same(path, "these predictions were not made by evaluation.method", receipt.get("method"), method)
        _same(path, "these predictions are of another adapter", adapter.get("recipe"), own)
        if own:
            _same(path, "these predictions are of other weights", adapter.get("weights"), weights[lineage])
        summary = summaries[adapters[lineage].data] if own else next(iter(summaries.values()))
        for task, split in product(config.active_tasks, config.evaluation.splits):
            scored = made_from.get("files", {}).get(f"{task}.{split}")
            expected = checksum(summary, task, split)
            _same(path, f"these predictions are of another {split} split of {task}", scored, expected)


def _same(path, otherwise: str, found, expected) -> None:
    if found != expected:
        raise InputError(f"{path}: {otherwise}; run the workflow again")
