"""Tests over items between two sets of answers, of one task or of the mean over several.

For a mean over tasks the items of all tasks are exchanged together, each task's with the weight 1 / items: a
randomization test takes any statistic (Fisher 1935, section 21; Pitman 1937, doi:10.2307/2984124).
"""

import numpy as np

from stagewise.measures import Measure
from stagewise.metrics.answer_scores import count_answers, right_answers, score_items
from stagewise.metrics.prediction_table import Predictions
from stagewise.metrics.significance import exchange, sign_flip_mean, sum_by_group

Answers = tuple[list[Predictions], list[Predictions]]
"""Both sides' answers to a task's items, after and before, one a run each."""


Compared = tuple[Answers, Measure]
"""A task's answers, and the measure that they are compared by."""


def p_over_items(tasks: list[Compared], seed: int) -> tuple[str, float]:
    """Test a difference, or its mean over tasks, over items; return the name of the test and its p-value.

    `seed` is that of drawn exchanges: for measures without an exact test, and where a mean is over too many tasks to
    count all sign patterns.
    """
    if all(measure.is_accuracy for _, measure in tasks):
        differences = [item_differences(*answers, measure) for answers, measure in tasks]
        p = sign_flip_mean(differences, [len(after[0]) for (after, _), _ in tasks])
        if p is not None:
            return "sign-flip", p
    return "exchange", exchange_answers(tasks, seed)


def item_differences(after: list[Predictions], before: list[Predictions], measure: Measure) -> np.ndarray:
    """Right minus right before, summed over runs and over the items of a group, shape (groups,)."""
    sides = ([right_answers(run, measure).astype(int) for run in side] for side in (after, before))
    return sum_by_group(sum(a - b for a, b in zip(*sides, strict=True)), after[0].groups)


def exchange_answers(tasks: list[Compared], seed: int) -> float:
    """Test any measures, or their mean over tasks, by exchanging both sides' answers item by item, in all runs at once.

    In a mean every measure counts in the direction in which it is better.
    """
    columns, parts, units = [], [], 0
    for (after, before), measure in tasks:
        groups = after[0].groups
        columns.append(units + (np.arange(len(after[0])) if groups is None else groups))
        units += after[0].units
        parts.append([_exchangeable(a, b, measure) for a, b in zip(after, before, strict=True)])
    signs = np.array([1 if measure.higher_is_better else -1 for _, measure in tasks])

    def difference(patterns: np.ndarray) -> np.ndarray:
        by_task = [[part(patterns[:, items]) for part in runs] for items, runs in zip(columns, parts, strict=True)]
        return np.mean(signs[:, None, None] * by_task, axis=(0, 1))

    def in_chunks(patterns: np.ndarray) -> np.ndarray:
        # A pattern takes a byte for every item, and every label's counts in every pattern.
        return np.concatenate(list(map(difference, np.array_split(patterns, max(1, len(patterns) // 500)))))

    return exchange(in_chunks, units, seed)


def _exchangeable(after: Predictions, before: Predictions, measure: Measure):
    """Return a function from masks, shape (patterns, items), to one run's difference with these answers exchanged."""
    if measure.is_item_mean:
        ours, theirs = (score_items(side, measure) for side in (after, before))
        return lambda masks: np.where(masks, theirs - ours, ours - theirs).mean(1)

    def difference(masks: np.ndarray) -> np.ndarray:
        # Each side's counts are those of the items that it keeps and of those that it gets.
        kept, moved = (~masks).astype(np.float32), masks.astype(np.float32)
        ours = count_answers(after, kept) + count_answers(before, moved)
        theirs = count_answers(before, kept)
        theirs += count_answers(after, moved)
        return measure.function(ours) - measure.function(theirs)

    return difference
