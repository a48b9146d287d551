"""Cost of an arm: everything that one of its runs would train if it were alone."""

from stagewise.lineage import Adapter, Step
from stagewise.metrics.schema import Cost, TrainingRecord


def cost_records(
    steps: dict[str, list[list[Step]]],
    reference: str,
    adapters: dict[str, Adapter],
    trainings: dict[str, TrainingRecord],
    adapter_bytes: dict[str, int | None],
) -> list[Cost]:
    """Record each arm's cost, the mean over its runs.

    Parameters
    ----------
    steps
        Each arm after every stage, one list a run.
    reference
        The arm that ratios are to.
    adapters, trainings, adapter_bytes
        By lineage; sizes are None if a file is not at hand.
    """
    costs = {}
    for arm, runs in steps.items():
        by_run = [_cost_of_run(run, adapters, trainings, adapter_bytes) for run in runs]
        costs[arm] = {key: _mean([cost[key] for cost in by_run]) for key in by_run[0]}
    return [
        Cost(
            arm=arm,
            **cost | {key: None if cost[key] is None else round(cost[key]) for key in ("adapters", "bytes")},
            seconds_over_reference=_ratio(cost["seconds"], costs[reference]["seconds"]),
            tokens_over_reference=_ratio(cost["tokens"], costs[reference]["tokens"]),
        )
        for arm, cost in costs.items()
    ]


def _cost_of_run(steps: list[Step], adapters: dict[str, Adapter], trainings, adapter_bytes) -> dict:
    made = with_parents([step.lineage for step in steps], adapters)
    kept = {lineage for lineage in steps[-1].answered_by.values() if lineage in adapters}
    sizes = [adapter_bytes[lineage] for lineage in kept]
    trained = [lineage for lineage in made if adapters[lineage].training is not None]
    return {
        "trainings": len(trained),
        "merges": len(made) - len(trained),
        **{
            key: sum(getattr(trainings[lineage], key) or 0 for lineage in made)
            for key in ("tokens", "extra_tokens", "seconds")
        },
        "adapters": len(kept),
        "bytes": None if None in sizes else sum(sizes),
    }


def with_parents(lineages: list[str], adapters: dict[str, Adapter]) -> list[str]:
    """Collect these adapters with everything they are made from, each once, without the base model."""
    collected: dict[str, None] = {}
    left = [lineage for lineage in lineages if lineage in adapters]
    while left:
        lineage = left.pop()
        if lineage not in collected:
            collected[lineage] = None
            left += adapters[lineage].parents
    return list(collected)


def _mean(values: list) -> float | None:
    return None if None in values else sum(values) / len(values)


def _ratio(value: float, reference: float) -> float | None:
    return value / reference if reference else None
