"""The gold labels' own noise: how far annotators agree with them, and how scorers do where they do not."""

import numpy as np

from stagewise.lineage import BASE
from stagewise.metrics.intervals import estimate
from stagewise.metrics.read_results import Run
from stagewise.metrics.resampling import Draws
from stagewise.metrics.schema import Agreement, AgreementGroup

GROUPS = 4


def agreement(run: Run, draws: Draws) -> list[Agreement]:
    """One record for every task, scored split and column of annotators; later folds' own items are left out."""
    found = []
    for task in run.config.active_tasks:
        for split in run.config.evaluation.splits:
            items = run.items_of(BASE, task, split)
            columns = dict.fromkeys(column for item in items for column in item.get("agreement", {}))
            found += [_agreement(run, draws, task, split, column, items) for column in columns]
    return found


def _agreement(run: Run, draws: Draws, task: str, split: str, column: str, items: list[dict]) -> Agreement:
    values = np.array([item.get("agreement", {}).get(column, np.nan) for item in items])
    has = np.flatnonzero(~np.isnan(values))
    weights = draws.weights(task, split, len(items))[:, has]
    drawn = weights.sum(1, dtype=float)
    means = np.divide(weights @ values[has], drawn, out=np.full(len(drawn), np.nan), where=drawn > 0)
    mean = estimate(values[has].mean(), means, len(has), run.config.statistics.confidence)
    same = [lineage for lineage in run.lineages if run.same_items(BASE, lineage, task, split)]
    right = {lineage: run.answers[lineage, task, split].right for lineage in same}
    return Agreement(
        task=task,
        split=split,
        column=column,
        items=len(has),
        mean=mean.value,
        low=mean.low,
        high=mean.high,
        groups=[
            AgreementGroup(
                low=float(values[group].min()),
                high=float(values[group].max()),
                items=len(group),
                accuracy={lineage: float(each[group].mean()) for lineage, each in right.items()},
            )
            for group in (has[places] for places in groups(values[has]))
        ],
    )


def groups(values: np.ndarray) -> list[np.ndarray]:
    """Places of values that are looked at together, lowest values first; equal values stay together.

    Another annotator's label agrees or does not: one group below 1 and one at 1. Shares of annotators with more than
    four distinct values are cut at their quartiles, others stand alone.
    """
    distinct = np.unique(values)
    if set(distinct) <= {0.0, 1.0} or len(distinct) <= GROUPS:
        edges = distinct
    else:
        edges = np.unique(np.quantile(values, np.arange(1, GROUPS + 1) / GROUPS, method="inverted_cdf"))
    place = np.searchsorted(edges, values)
    return [np.flatnonzero(place == number) for number in range(len(edges))]
