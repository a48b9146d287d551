"""Consistency checks between data, recipes, weights and predictions."""

from itertools import product
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.errors import InputError
from stagewise.lineage import BASE, Adapter
from stagewise.models.tuned import weights_checksum
from stagewise.provenance.receipts import read_receipt


def checksum(summary: dict, task: str, split: str) -> str:
    """SHA-256 of a split's file according to the data's summary."""
    return summary["tasks"][task]["splits"][split]["sha256"]


def check_test_items(config: Config, results: Path, summaries: dict[str, dict]) -> None:
    """Refuse folds that test on different items: their runs could not be averaged."""
    first, *others = summaries
    for folder, task in product(others, config.active_tasks):
        if checksum(summaries[folder], task, "test") != checksum(summaries[first], task, "test"):
            raise InputError(
                f"{results / folder / task / 'test.jsonl'}: not the test items of {results / first / task}; "
                "folds must share them: run the data step again, with duplicates that take nothing out of test"
            )


def check_adapters(
    results: Path, summaries: dict[str, dict], adapters: dict[str, Adapter], planned, trainings, models: dict[str, str]
) -> dict[str, str]:
    """Refuse adapters of another model, data, recipe or parent; return checksums of their weights by lineage.

    `models` are fingerprints of the base models that were scored, by lineage.
    """
    weights: dict[str, str] = {}
    for lineage, adapter in adapters.items():
        recipe, folder = planned[lineage], results / lineage
        path = folder / "recipe.json"
        receipt = read_receipt(folder / "adapter", "the adapter", verify=False)
        weights[lineage] = weights_checksum(receipt)
        _check_equal(
            path,
            "the adapter was planned for another base model than the one that was scored",
            recipe.model.fingerprint,
            models[adapter.base],
        )
        for task in adapter.learnt_tasks:
            data = {split: checksum(summaries[adapter.data], task, split) for split in ("train", "validation")}
            planned_data = recipe.tasks[task].data if task in recipe.tasks else None
            _check_equal(path, f"the adapter was planned for other training data of {task}", planned_data, data)
        _check_equal(
            path,
            "the adapter was planned for another parent",
            [parent.fingerprint for parent in recipe.parents],
            [planned[parent].fingerprint for parent in adapter.parents],
        )
        _check_equal(
            folder / "adapter/training.json",
            "the adapter was made by another recipe",
            trainings[lineage].get("fingerprint"),
            recipe.fingerprint,
        )
        # Training on a GPU is not reproducible to the bit, so a recipe alone does not say which weights these are.
        _check_equal(
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
    """Refuse predictions of another model, data or adapter, or made in another way."""
    for lineage, receipt in receipts.items():
        base = adapters[lineage].base if lineage in adapters else lineage
        path = results / lineage / "predictions" / "receipt.json"
        inputs = receipt.get("inputs", {})
        adapter = inputs.get("adapter") or {}
        fingerprint = planned[lineage].fingerprint if lineage in planned else None
        for key, what, other in (
            ("model", "of another base model", base),
            ("settings", "made with other settings", BASE),
        ):
            message = f"these predictions are {what} than those in {results / other}"
            _check_equal(path, message, inputs.get(key), receipts[other].get("inputs", {}).get(key))
        method = config.evaluation.method
        _check_equal(path, "these predictions were not made by evaluation.method", receipt.get("method"), method)
        _check_equal(path, "these predictions are of another adapter", adapter.get("recipe"), fingerprint)
        if fingerprint:
            _check_equal(path, "these predictions are of other weights", adapter.get("weights"), weights[lineage])
        summary = summaries[adapters[lineage].data] if fingerprint else next(iter(summaries.values()))
        for task, split in product(config.active_tasks, config.evaluation.splits):
            scored = inputs.get("files", {}).get(f"{task}.{split}")
            expected = checksum(summary, task, split)
            _check_equal(path, f"these predictions are of another {split} split of {task}", scored, expected)


def _check_equal(path, problem: str, actual, expected) -> None:
    if actual != expected:
        raise InputError(f"{path}: {problem}; run the workflow again")
