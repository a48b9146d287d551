"""What an arm costs: everything that one of its runs would train if it were alone."""

from stagewise.lineage import Step, steps_of_arm
from stagewise.metrics.read_results import Run
from stagewise.metrics.schema import Cost, TrainingRecord


def costs(run: Run, trainings: dict[str, TrainingRecord]) -> list[Cost]:
    """One record per arm, mean over its runs."""
    found = {arm: _of_arm(run, arm, trainings) for arm in run.config.active_arms}
    reference = found[run.config.reference]
    return [
        Cost(
            arm=arm,
            **facts,
            seconds_over_reference=_ratio(facts["seconds"], reference["seconds"]),
            tokens_over_reference=_ratio(facts["tokens"], reference["tokens"]),
        )
        for arm, facts in found.items()
    ]


def _of_arm(run: Run, arm: str, trainings: dict[str, TrainingRecord]) -> dict:
    runs = [_of_run(run, steps_of_arm(run.config, arm, seed, fold), trainings) for fold, seed in run.config.runs]
    mean = {key: _mean([one[key] for one in runs]) for key in runs[0]}
    whole = {key: None if mean[key] is None else round(mean[key]) for key in ("adapters", "bytes")}
    return mean | whole


def _of_run(run: Run, steps: list[Step], trainings: dict[str, TrainingRecord]) -> dict:
    made = lineages(run, [step.lineage for step in steps])
    kept = {lineage for lineage in steps[-1].answered_by.values() if lineage in run.adapters}
    sizes = [run.bytes[lineage] for lineage in kept]
    trained = [lineage for lineage in made if run.adapters[lineage].training is not None]
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


def lineages(run: Run, wanted: list[str]) -> list[str]:
    """These adapters with everything they are made from, each once; the base model is none."""
    found: dict[str, None] = {}
    left = [lineage for lineage in wanted if lineage in run.adapters]
    while left:
        lineage = left.pop()
        if lineage not in found:
            found[lineage] = None
            left += run.adapters[lineage].parents
    return list(found)


def _mean(values: list) -> float | None:
    return None if None in values else sum(values) / len(values)


def _ratio(value: float, reference: float) -> float | None:
    return value / reference if reference else None
