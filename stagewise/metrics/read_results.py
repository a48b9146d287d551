"""Everything an experiment left on disk that its metrics need."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stagewise.config.experiment import Config
from stagewise.data.items import read_split
from stagewise.errors import InputError
from stagewise.lineage import BASE, Adapter, data_folder, lineage_tree
from stagewise.metrics import check_results
from stagewise.metrics.prediction_table import Answers, read_answers, read_content_free
from stagewise.models.adapters import ADAPTER_WEIGHTS
from stagewise.provenance.files import read_json, sha256_file
from stagewise.provenance.receipts import read_receipt
from stagewise.recipe import Recipe


@dataclass(frozen=True)
class Run:
    """An experiment's data, recipes, trainings and answers.

    Splits belong to a data folder (`plan.data_folder`): there is one per fold. The base model and the baselines
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
    answers: dict[tuple[str, str, str], Answers]
    """Answers by lineage, task and split."""
    receipts: dict[str, dict]
    """Receipts of the predictions by lineage."""
    content_free: dict[tuple[str, str], np.ndarray]
    """Log-probabilities after inputs without content by lineage and task, shape (inputs, labels)."""
    bytes: dict[str, int | None]
    """Size of each adapter's weights file by lineage; None where the file is elsewhere."""

    @property
    def summary(self) -> dict:
        """The data summary of the first fold."""
        return next(iter(self.summaries.values()))

    @property
    def lineages(self) -> list[str]:
        return [BASE, *self.adapters]

    def words(self, task: str) -> list[str]:
        return self.config.active_tasks[task].words

    def data(self, scorer: str) -> str:
        """The data folder whose splits a lineage or a baseline answers."""
        return self.adapters[scorer].data if scorer in self.adapters else next(iter(self.summaries))

    def items_of(self, scorer: str, task: str, split: str) -> list[dict]:
        """The items that a lineage or a baseline answers (or, for ``train``, learnt from)."""
        return self.items[self.data(scorer), task, split]

    def sha256(self, scorer: str, task: str, split: str) -> str:
        """Checksum of the split that a lineage or a baseline answers: the same one means the same items."""
        return check_results.checksum(self.summaries[self.data(scorer)], task, split)

    def same_items(self, one: str, other: str, task: str, split: str) -> bool:
        """Whether two lineages or baselines answered the same items, so that their answers are pairs."""
        return self.sha256(one, task, split) == self.sha256(other, task, split)


def read_run(config: Config, results) -> Run:
    """Read an experiment's results folder.

    Raises
    ------
    InputError
        Where a file is missing or damaged, was made from other data, another model or another adapter than the
        rest, or where folds do not share their test items.
    """
    results = Path(results)
    folders = list(dict.fromkeys(data_folder(fold) for fold, _ in config.runs))
    summaries = {name: read_json(results / name / "summary.json", "the data summary") for name in folders}
    items = _read_splits(config, results, summaries)
    check_results.same_test(config, results, summaries)
    adapters = lineage_tree(config)
    planned = {lineage: Recipe.read(results / lineage / "recipe.json") for lineage in adapters}
    trainings = {
        lineage: read_json(results / lineage / "adapter" / "training.json", "the training summary")
        for lineage in adapters
    }
    receipts = {
        lineage: read_receipt(results / lineage / "predictions", "the predictions") for lineage in (BASE, *adapters)
    }
    model = receipts[BASE].get("inputs", {}).get("model")
    weights = check_results.check_adapters(results, summaries, adapters, planned, trainings, model)
    check_results.check_predictions(results, config, summaries, adapters, planned, weights, receipts)
    sizes = {lineage: _size(results / lineage / "adapter" / ADAPTER_WEIGHTS) for lineage in adapters}
    run = Run(config, summaries, items, adapters, planned, trainings, {}, receipts, {}, sizes)
    for lineage, receipt in receipts.items():
        folder = results / lineage / "predictions"
        for task, settings in config.active_tasks.items():
            for split in config.evaluation.splits:
                path = folder / f"{task}.{split}.csv"
                if path.name not in receipt["files"]:
                    raise InputError(
                        f"{folder / 'receipt.json'}: does not vouch for {path.name}; run the prediction step again"
                    )
                known = run.items_of(lineage, task, split)
                run.answers[lineage, task, split] = read_answers(path, task, split, settings.words, known)
            found = read_content_free(folder / "receipt.json", receipt, task, settings.words)
            if found is not None:
                run.content_free[lineage, task] = found
    return run


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _read_splits(config: Config, results: Path, summaries: dict[str, dict]) -> dict:
    items = {}
    for folder, summary in summaries.items():
        place = results / folder / "summary.json"
        for task, settings in config.active_tasks.items():
            if task not in summary.get("tasks", {}):
                raise InputError(f"{place}: the task '{task}' is missing; run the data step again")
            # Whatever is scored, the baselines learn from train.
            for split in dict.fromkeys(["train", *config.evaluation.splits]):
                recorded = summary["tasks"][task]["splits"].get(split)
                path = results / folder / task / f"{split}.jsonl"
                rows = read_split(path, settings.words)
                if not recorded or recorded["sha256"] != sha256_file(path):
                    raise InputError(f"{path}: does not match {place}; run the data step again")
                if not rows:
                    raise InputError(f"{path}: the split has no items to score or learn from; change the task's split")
                items[folder, task, split] = rows
    return items
