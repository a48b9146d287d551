"""Agreement of annotators with the gold labels, and accuracy by that agreement."""

import numpy as np

from stagewise.metrics.bootstrap import Bootstrap, Resampled
from stagewise.metrics.prediction_table import Predictions
from stagewise.metrics.schema import Agreement, AgreementGroup

GROUPS = 4


def agreement_record(
    items: list[dict], column: str, task: str, split: str, answers: dict[str, Predictions], bootstrap: Bootstrap
) -> Agreement:
    """Record how far one column's annotators agree with the gold labels.

    Parameters
    ----------
    items
        The split's items.
    column
        The annotators' column, which some items have.
    task, split
        Names.
    answers
        By lineage: those who answered these items, one at least.
    bootstrap
        Resamples of the items.
    """
    values = np.array([item.get("agreement", {}).get(column, np.nan) for item in items])
    has = np.flatnonzero(~np.isnan(values))
    predictions = next(iter(answers.values()))
    weights = bootstrap.weights(task, split, predictions)[:, has]
    units = len(has) if predictions.groups is None else len(np.unique(predictions.groups[has]))
    drawn = weights.sum(1, dtype=float)
    means = np.divide(weights @ values[has], drawn, out=np.full(len(drawn), np.nan), where=drawn > 0)
    return Agreement(
        task=task,
        split=split,
        column=column,
        items=len(has),
        mean=bootstrap.value(Resampled(values[has].mean(), means), units),
        groups=[
            AgreementGroup(
                low=float(values[group].min()),
                high=float(values[group].max()),
                items=len(group),
                accuracy={lineage: float(predictions.right[group].mean()) for lineage, predictions in answers.items()},
            )
            for group in (has[members] for members in group_values(values[has]))
        ],
    )


def agreement_columns(items: list[dict]) -> list[str]:
    """Columns of annotators that some item has, in order of appearance."""
    return list(dict.fromkeys(column for item in items for column in item.get("agreement", {})))


def group_values(values: np.ndarray) -> list[np.ndarray]:
    """Group values that are looked at together, as indices, lowest values first; equal values stay together.

    Another annotator's label agrees or does not: one group below 1 and one at 1. Shares of annotators with more than
    four distinct values are cut at their quartiles, others are groups of their own.
    """
    distinct = np.unique(values)
    if set(distinct) <= {0.0, 1.0} or len(distinct) <= GROUPS:
        edges = distinct
    else:
        edges = np.unique(np.quantile(values, np.arange(1, GROUPS + 1) / GROUPS, method="inverted_cdf"))
    group = np.searchsorted(edges, values)
    return [np.flatnonzero(group == number) for number in range(len(edges))]
