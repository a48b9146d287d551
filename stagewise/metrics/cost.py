"""Cost of an arm: everything that one of its runs would train if it were alone, and all that was tried for it."""

from dataclasses import dataclass

from stagewise.lineage import Adapter, Step
from stagewise.metrics.schema import Cost, TrainingRecord

Runs = list[list[Step]]
"""An arm after every stage, one list a run."""


@dataclass(frozen=True)
class Adapters:
    """Steps, tokens, time and size of every adapter, by lineage."""

    adapters: dict[str, Adapter]
    trainings: dict[str, TrainingRecord]
    bytes: dict[str, int | None]
    """Size of the weights; None if the file is not at hand."""

    def cost(self, runs: Runs) -> dict[str, float | None]:
        """Cost of one run, the mean over the runs."""
        by_run = [self._cost_of_run(run) for run in runs]
        return {key: _mean([cost[key] for cost in by_run]) for key in by_run[0]}

    def _cost_of_run(self, steps: list[Step]) -> dict:
        made = with_parents([step.lineage for step in steps], self.adapters)
        kept = {lineage for lineage in steps[-1].answered_by.values() if lineage in self.adapters}
        sizes = [self.bytes[lineage] for lineage in kept]
        trained = [lineage for lineage in made if self.adapters[lineage].training is not None]
        merged = [lineage for lineage in made if self.adapters[lineage].sources]
        return {
            "trainings": len(trained),
            "merges": len(merged),
            "adopted": len(made) - len(trained) - len(merged),
            **{key: self._sum(key, made) for key in ("steps", "tokens", "extra_tokens", "seconds")},
            "planned_steps": sum(self._planned_steps(lineage) for lineage in made),
            "adapters": len(kept),
            "bytes": None if None in sizes else sum(sizes),
        }

    def tried(self, variants: list[Runs]) -> dict[str, float]:
        """Cost of all variants of an arm in one run, the mean over the runs; what they share counts once."""
        by_run = []
        for number in range(len(variants[0])):
            lineages = [step.lineage for runs in variants for step in runs[number]]
            made = with_parents(lineages, self.adapters)
            by_run.append({f"tried_{key}": self._sum(key, made) for key in ("tokens", "seconds")})
        return {key: _mean([cost[key] for cost in by_run]) for key in by_run[0]} | {"tried": len(variants)}

    def _planned_steps(self, lineage: str) -> int:
        training = self.trainings[lineage]
        return training.planned_steps or training.steps or 0  # older versions did as many as they planned

    def _sum(self, key: str, lineages: list[str]) -> float:
        return sum(getattr(self.trainings[lineage], key) or 0 for lineage in lineages)


def cost_records(
    variants: dict[str, dict[str, Runs]], choice: dict[str, str], references: dict[str, str], adapters: Adapters
) -> list[Cost]:
    """Record each arm's cost, the mean over its runs.

    Parameters
    ----------
    variants
        Each variant of each arm after every stage, by arm and label.
    choice
        Label of each arm's chosen variant.
    references
        The arm that each arm is compared with, which ratios are to.
    adapters
        What every adapter took.
    """
    costs = {arm: adapters.cost(by_label[choice[arm]]) for arm, by_label in variants.items()}
    records = []
    for arm, cost in costs.items():
        reference = costs[references[arm]]
        if cost["planned_steps"] == cost["steps"]:
            cost["planned_steps"] = None
        rounded = {key: None if cost[key] is None else round(cost[key]) for key in ("adapters", "bytes")}
        ratios = {f"{key}_over_reference": _ratio(cost[key], reference[key]) for key in ("steps", "tokens", "seconds")}
        records.append(Cost(arm=arm, **cost | rounded | ratios, **adapters.tried(list(variants[arm].values()))))
    return records


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
