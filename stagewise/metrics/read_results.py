"""Read everything an experiment left on disk that its metrics need."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from stagewise.config.experiment import Config
from stagewise.data.items import read_split
from stagewise.errors import InputError
from stagewise.lineage import BASE, Adapter, data_folders, lineage_tree
from stagewise.metrics import check_results
from stagewise.metrics.item_scores import ItemScores, of_lineages, read_item_scores
from stagewise.metrics.prediction_table import Key, Predictions, read_content_free, read_predictions
from stagewise.metrics.task_measures import TaskMeasures
from stagewise.models.adapters import ADAPTER_WEIGHTS
from stagewise.provenance.files import read_json, sha256_file
from stagewise.provenance.receipts import read_receipt
from stagewise.recipe import Recipe
from stagewise.task_kinds import LABEL_KINDS


@dataclass(frozen=True)
class ExperimentResults:
    """An experiment's data, recipes, trainings and predictions.

    Splits belong to a data folder (`lineage.data_folder`): there is one per fold. The base model and the baselines
    answer those of the first, every adapter its own.
    """

    config: Config
    summaries: dict[str, dict]
    """``summary.json`` of each data folder, the first one first."""
    items: dict[tuple[str, str, str], list[dict]]
    """Items by data folder, task and split: every scored split, and train."""
    adapters: dict[str, Adapter]
    recipes: dict[str, Recipe]
    trainings: dict[str, dict]
    predictions: dict[Key, Predictions]
    receipts: dict[str, dict]
    """Receipts of the predictions by lineage."""
    content_free: dict[tuple[str, str], np.ndarray]
    """Log-probabilities after inputs without content by lineage and task, shape (inputs, labels)."""
    adapter_bytes: dict[str, int | None]
    """Size of each adapter's weights file by lineage; None if the file is elsewhere."""
    item_scores: dict[str, ItemScores] = field(default_factory=dict)
    """Probes with one score per item, by name."""

    @property
    def summary(self) -> dict:
        """The data summary of the first fold."""
        return next(iter(self.summaries.values()))

    @property
    def lineages(self) -> list[str]:
        return [BASE, *self.adapters]

    @cached_property
    def measures(self) -> TaskMeasures:
        """Forms and measures of the tasks."""
        return TaskMeasures.of(self.config)

    def labels(self, task: str) -> list[str]:
        return self.config.active_tasks[task].words

    def data(self, lineage: str) -> str:
        """The data folder whose splits a lineage or a baseline answers."""
        return self.adapters[lineage].data if lineage in self.adapters else next(iter(self.summaries))

    def items_of(self, lineage: str, task: str, split: str) -> list[dict]:
        """The items that a lineage or a baseline answers (or, for ``train``, learnt from)."""
        return self.items[self.data(lineage), task, split]

    def item_ids(self, lineage: str, task: str, split: str) -> list[str]:
        return [item["id"] for item in self.items_of(lineage, task, split)]

    def checksum(self, lineage: str, task: str, split: str) -> str:
        """Checksum of the split that a lineage or a baseline answers: equal ones mean the same items."""
        return check_results.checksum(self.summaries[self.data(lineage)], task, split)

    def of_arms(self, config: Config) -> "ExperimentResults":
        """Leave out the adapters that no arm of `config` passes; its settings are otherwise those of the results."""
        adapters = lineage_tree(config)
        kept = {BASE, *adapters}
        return replace(
            self,
            config=config,
            adapters=adapters,
            predictions={key: answers for key, answers in self.predictions.items() if key[0] in kept},
            receipts={lineage: receipt for lineage, receipt in self.receipts.items() if lineage in kept},
            content_free={key: values for key, values in self.content_free.items() if key[0] in kept},
            item_scores=of_lineages(self.item_scores, kept),
        )

    def shared_splits(self) -> list[str]:
        """Scored splits whose items are the same in every fold, so that their runs are pairs."""
        tasks = self.config.active_tasks
        return [
            split
            for split in self.config.evaluation.splits
            if all(
                len({check_results.checksum(s, task, split) for s in self.summaries.values()}) == 1 for task in tasks
            )
        ]


def read_results(config: Config, results) -> ExperimentResults:
    """Read an experiment's results folder.

    Raises
    ------
    InputError
        If a file is missing or damaged, was made from other data, another model or another adapter than the
        rest, or if folds do not share their test items.
    """
    results = Path(results)
    summaries = {name: read_json(results / name / "summary.json", "the data summary") for name in data_folders(config)}
    items = _read_splits(config, results, summaries)
    check_results.check_test_items(config, results, summaries)
    adapters = lineage_tree(config)
    recipes = {lineage: Recipe.read(results / lineage / "recipe.json") for lineage in adapters}
    trainings = {
        lineage: read_json(results / lineage / "adapter" / "training.json", "the training summary")
        for lineage in adapters
    }
    receipts = {
        lineage: read_receipt(results / lineage / "predictions", "the predictions") for lineage in (BASE, *adapters)
    }
    model = receipts[BASE].get("inputs", {}).get("model")
    weights = check_results.check_adapters(results, summaries, adapters, recipes, trainings, model)
    check_results.check_predictions(results, config, summaries, adapters, recipes, weights, receipts)
    sizes = {lineage: _size(results / lineage / "adapter" / ADAPTER_WEIGHTS) for lineage in adapters}
    item_scores = read_item_scores(results, receipts, config.probes.item_scored)
    experiment = ExperimentResults(
        config, summaries, items, adapters, recipes, trainings, {}, receipts, {}, sizes, item_scores
    )
    for lineage, receipt in receipts.items():
        _read_answers(experiment, results / lineage / "predictions", lineage, receipt)
    return experiment


def _read_answers(experiment: ExperimentResults, folder: Path, lineage: str, receipt: dict) -> None:
    """Read one lineage's prediction files and answers to inputs without content into the results."""
    for task, settings in experiment.config.active_tasks.items():
        for split in experiment.config.evaluation.splits:
            path = folder / f"{task}.{split}.csv"
            if path.name not in receipt["files"]:
                raise InputError(
                    f"{folder / 'receipt.json'}: does not vouch for {path.name}; run the prediction step again"
                )
            items = experiment.items_of(lineage, task, split)
            form = experiment.measures.forms[task]
            experiment.predictions[lineage, task, split] = read_predictions(path, task, split, form, items)
        if settings.kind not in LABEL_KINDS:
            continue
        content_free = read_content_free(folder / "receipt.json", receipt, task, settings.words)
        if content_free is not None:
            experiment.content_free[lineage, task] = content_free


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _read_splits(config: Config, results: Path, summaries: dict[str, dict]) -> dict:
    items = {}
    for folder, summary in summaries.items():
        summary_path = results / folder / "summary.json"
        for task, settings in config.active_tasks.items():
            if task not in summary.get("tasks", {}):
                raise InputError(f"{summary_path}: the task '{task}' is missing; run the data step again")
            # Whatever is scored, the baselines learn from train.
            for split in dict.fromkeys(["train", *config.evaluation.splits]):
                recorded = summary["tasks"][task]["splits"].get(split)
                path = results / folder / task / f"{split}.jsonl"
                rows = read_split(path, settings.words)
                if not recorded or recorded["sha256"] != sha256_file(path):
                    raise InputError(f"{path}: does not match {summary_path}; run the data step again")
                if not rows:
                    raise InputError(f"{path}: the split has no items to score or learn from; change the task's split")
                items[folder, task, split] = rows
    return items
