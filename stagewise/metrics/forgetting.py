"""Answers to the same items before and after: what each stage taught, what later stages made the model forget."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from stagewise.lineage import BASE, Adapter
from stagewise.metrics.bootstrap import Bootstrap
from stagewise.metrics.earlier_tasks import EarlierTask
from stagewise.metrics.prediction_table import Key, Predictions
from stagewise.metrics.schema import BASELINES, Flips, Forgetting, Learning, Pairs, Value
from stagewise.metrics.scores import ResampledScores, ScoreTable, missing_reason
from stagewise.metrics.significance import sign_flip, sum_by_group

DIFFERENT_ITEMS = "different items before and after"

GREAT_CHANGE = 0.5
"""Change of an item's score by which it is lost or gained where answers are more than right or wrong."""


@dataclass(frozen=True)
class PairedChange:
    """Two sets of answers to the same items, the second minus the first."""

    measures: dict[str, Value]
    pairs: Pairs | None
    """None of a task whose own measure has values between right and wrong."""


def compare_scores(
    before: ResampledScores, after: ResampledScores, bootstrap: Bootstrap, units: int
) -> dict[str, Value]:
    """Subtract every measure, with a paired bootstrap interval: items are resampled, each with both of its answers.

    `units` is the number of items or groups that were drawn.
    """
    if not np.array_equal(before.gold, after.gold):
        raise ValueError("paired answers need the same items in the same order")
    return {
        name: bootstrap.value(scored - before.measures[name], units, missing_reason(name))
        for name, scored in after.measures.items()
    }


def count_pairs(before: np.ndarray, after: np.ndarray, groups: np.ndarray | None = None) -> Pairs:
    """Count items that stayed right, were lost, were gained; both arrays are boolean, shape (items,).

    Items of one group (`Predictions.groups`) are exchanged together in the test.
    """
    return Pairs(
        right_both=int((before & after).sum()),
        lost=int((before & ~after).sum()),
        gained=int((~before & after).sum()),
        p=sign_flip(sum_by_group(after.astype(int) - before.astype(int), groups)),
    )


class PairedChanges:
    """Paired changes between any two lineages or baselines, each computed once however many arms share it.

    Parameters
    ----------
    scores
        Resampled scores of models and baselines.
    checksums
        Checksum of the split that each model and baseline answered: equal ones mean the same items.
    """

    def __init__(self, scores: ScoreTable, checksums: dict[Key, str]):
        self._scores, self._checksums = scores, checksums
        self._changes: dict[tuple[str, str, str, str], PairedChange] = {}

    def __call__(self, before: str, after: str, task: str, split: str) -> PairedChange | None:
        """The change; None if one of the two did not answer or answered other items."""
        first, second = (before, task, split), (after, task, split)
        predictions = self._scores.predictions
        if not {first, second} <= set(predictions) or self._checksums[first] != self._checksums[second]:
            return None
        key = before, after, task, split
        if key not in self._changes:
            ours, theirs = predictions[second], predictions[first]
            changes = compare_scores(self._scores(*first), self._scores(*second), self._scores.bootstrap, ours.units)
            pairs = None if ours.right is None else count_pairs(theirs.right, ours.right, ours.groups)
            self._changes[key] = PairedChange(changes, pairs)
        return self._changes[key]


def learning_records(adapters: dict[str, Adapter], splits: list[str], changes: PairedChanges) -> list[Learning]:
    """Compare each adapter on each task its stage learnt with its base model and every baseline on the same items."""
    records = []
    for lineage, adapter in adapters.items():
        for task in adapter.tasks:
            for split in splits:
                for against in (BASE, *BASELINES):
                    if change := changes(adapter.base if against == BASE else against, lineage, task, split):
                        records.append(
                            Learning(
                                lineage=lineage,
                                task=task,
                                split=split,
                                against=against,
                                changes=change.measures,
                                pairs=change.pairs,
                            )
                        )
    return records


def forgetting_records(
    earlier_tasks: Iterable[EarlierTask],
    splits: list[str],
    changes: PairedChanges,
    auroc_change: Callable[[str, str, str, str], Value | None],
) -> list[Forgetting]:
    """Compare each earlier task of each arm and run between the adapter that learnt it last and every later one."""
    return [_forgetting(earlier, split, changes, auroc_change) for earlier in earlier_tasks for split in splits]


def _forgetting(earlier: EarlierTask, split: str, changes: PairedChanges, auroc_change) -> Forgetting:
    task, before, after = earlier.task, earlier.before, earlier.after
    change = changes(before, after, task, split)
    return Forgetting(
        arm=earlier.arm,
        seed=earlier.seed,
        fold=earlier.fold,
        comparison="paired",
        task=task,
        before_lineage=before,
        before_stage=earlier.learnt.stage,
        before_split=split,
        after_lineage=after,
        after_stage=earlier.later.stage,
        after_split=split,
        changes=change.measures,
        pairs=change.pairs,
        auroc=auroc_change(before, after, task, split),
    )


def published_forgetting(paired: list[Forgetting], scores: ScoreTable) -> list[Forgetting]:
    """Repeat each paired comparison the published way: test before, validation after. Nothing is claimed from it."""
    records = []
    for record in paired:
        keys = (record.before_lineage, record.task, "test"), (record.after_lineage, record.task, "validation")
        if record.before_split != "test" or not set(keys) <= set(scores.predictions):
            continue
        before, after = (scores(*key).measures for key in keys)
        records.append(
            Forgetting(
                **record.model_dump(
                    include={"arm", "seed", "fold", "task", "before_lineage", "before_stage", "before_split"}
                ),
                comparison="published",
                after_lineage=record.after_lineage,
                after_stage=record.after_stage,
                after_split="validation",
                changes={name: _unpaired(name, before[name].value, after[name].value) for name in before},
            )
        )
    return records


def _unpaired(name: str, before: float, after: float) -> Value:
    if np.isnan(before) or np.isnan(after):
        return Value(reason=missing_reason(name))
    return Value(value=float(after - before), reason=DIFFERENT_ITEMS)


def flip_records(
    earlier_tasks: Iterable[EarlierTask],
    split: str,
    predictions: dict[Key, Predictions],
    item_ids: Callable[[str, str, str], list[str]],
) -> list[Flips]:
    """List the items that each arm lost and gained between learning an earlier task and its last stage.

    Where answers are more than right or wrong, an item counts whose score by the task's own measure fell, or rose, by
    `GREAT_CHANGE` or more.

    Parameters
    ----------
    earlier_tasks
        Earlier tasks after later stages; those after the arm's last stage count.
    split
        Split to compare.
    predictions
        By lineage, task and split.
    item_ids
        Returns the ids of a split by lineage, task and split.
    """
    records = []
    for earlier in earlier_tasks:
        if not earlier.last:
            continue
        lost, gained = _flipped(*(predictions[x, earlier.task, split] for x in (earlier.before, earlier.after)))
        ids = np.array(item_ids(earlier.after, earlier.task, split))
        records.append(
            Flips(
                arm=earlier.arm,
                seed=earlier.seed,
                fold=earlier.fold,
                task=earlier.task,
                split=split,
                before_lineage=earlier.before,
                after_lineage=earlier.after,
                lost=ids[lost].tolist(),
                gained=ids[gained].tolist(),
            )
        )
    return records


def _flipped(before: Predictions, after: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Items lost and items gained, boolean, each of shape (items,)."""
    if before.right is not None and after.right is not None:
        return before.right & ~after.right, ~before.right & after.right
    change = after.item_scores[before.own] - before.item_scores[before.own]
    return change <= -GREAT_CHANGE, change >= GREAT_CHANGE
