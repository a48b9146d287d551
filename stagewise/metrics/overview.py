"""Records of what was run, on which data and how."""

import platform
from importlib import metadata

from stagewise.config.base import validate
from stagewise.config.experiment import Config
from stagewise.config.shareable import shareable
from stagewise.lineage import BASE, Adapter, Step
from stagewise.metrics.baselines import majority_answer
from stagewise.metrics.comparisons import references_of
from stagewise.metrics.read_results import ExperimentResults
from stagewise.metrics.schema import (
    AdapterRecord,
    AdoptedRecord,
    ArmStage,
    Experiment,
    LabelCount,
    MeasureRecord,
    RawFile,
    ScoringRecord,
    SetAside,
    SplitRecord,
    TaskRecord,
    TrainingRecord,
)
from stagewise.metrics.task_measures import TaskMeasures
from stagewise.predictions.prediction_files import gold_cell
from stagewise.recipe import Recipe, RecipeAdopted

SAMPLE = "sample"

PACKAGES = ("numpy", "pydantic", "scikit-learn", "scipy")


def experiment_record(results: ExperimentResults) -> Experiment:
    """Record the experiment's settings and the versions that computed its metrics."""
    config = results.config
    generated = config.evaluation.method == "generation"
    return Experiment(
        name=config.experiment,
        sample=any(task.source == SAMPLE for task in config.active_tasks.values()),
        model=config.model,
        model_origin=shareable(config.base_model.model_dump(mode="json", exclude_none=True)),
        model_fingerprint=results.receipts[BASE]["inputs"]["model"],
        quantization=config.quantization,
        dtype=config.dtype,
        compute_type=" and ".join(sorted({recipe.dtype for recipe in results.recipes.values()})),
        seeds=config.seeds,
        folds=config.folds,
        reference=config.reference,
        references={arm: other for arm, other in references_of(config).items() if other != config.reference},
        primary_outcome=config.statistics.primary_outcome,
        primary_measure=config.primary_measure,
        splits=config.evaluation.splits,
        method=config.evaluation.method,
        parse=config.evaluation.parse if generated else None,
        confidence=config.statistics.confidence,
        bootstrap_samples=config.statistics.bootstrap_samples,
        bootstrap_seed=config.statistics.seed,
        calibration_bins=config.statistics.calibration_bins,
        auroc_margin=config.statistics.auroc_margin,
        packages={"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
        # The folder of a mirror is no fact of the experiment.
        config=shareable(config.model_dump(mode="json", exclude={"mirror"})),
    )


def measure_records(measures: TaskMeasures) -> list[MeasureRecord]:
    """Record every measure that some task has, in order."""
    return [
        MeasureRecord(
            name=measure.name,
            title=measure.title,
            range=measure.range,
            higher_is_better=measure.higher_is_better,
            test=measure.test,
        )
        for measure in measures.all
    ]


def arm_records(steps: dict[str, list[list[Step]]], runs: list[tuple[int | None, int]]) -> list[ArmStage]:
    """Record every arm after every stage; `steps` holds a list per run, `runs` their folds and seeds."""
    return [
        ArmStage(
            arm=arm,
            seed=seed,
            fold=fold,
            stage=step.stage,
            tasks=step.tasks,
            lineage=step.lineage,
            answers=step.answered_by,
        )
        for arm, by_run in steps.items()
        for (fold, seed), run in zip(runs, by_run, strict=True)
        for step in run
    ]


def adapter_records(results: ExperimentResults) -> list[AdapterRecord]:
    """Record every adapter of the lineage tree, parents before children."""
    return [
        AdapterRecord(
            lineage=lineage,
            parent=adapter.parent or BASE,
            stage=adapter.stage,
            task=adapter.task,
            tasks=adapter.tasks,
            seed=adapter.seed,
            fold=adapter.fold,
            remedies=shareable(adapter.remedies.model_dump(mode="json", exclude_none=True)),
            settings=_stage_settings(results.config, adapter, results.recipes[lineage]),
            sources=adapter.sources,
            adopted=_adopted_record(results.recipes[lineage].adopted),
            arms=adapter.arms,
            fingerprint=results.recipes[lineage].fingerprint,
            bytes=results.adapter_bytes[lineage],
        )
        for lineage, adapter in results.adapters.items()
    ]


def _adopted_record(adopted: RecipeAdopted | None) -> AdoptedRecord | None:
    return AdoptedRecord(**adopted.model_dump()) if adopted else None


def _stage_settings(config: Config, adapter: Adapter, recipe: Recipe) -> dict[str, dict]:
    """Collect the settings of an adapter's stage that differ from the experiment's; none of one without training.

    A stage that goes on with an adapter from elsewhere has that one's shape, which its recipe knows.
    """
    if adapter.training is None:
        return {}
    settings = {}
    for group, stage, experiment in (
        ("training", adapter.training, config.training),
        ("lora", recipe.lora, config.lora),
    ):
        # A switch that is off is left out of what is dumped.
        fields = {key: getattr(stage, key) for key in type(stage).model_fields}
        changed = {key: value for key, value in fields.items() if value != getattr(experiment, key)}
        settings |= {group: changed} if changed else {}
    return settings


def task_record(results: ExperimentResults, task: str) -> TaskRecord:
    """Record a task's data, of the first fold."""
    facts, form = results.summary["tasks"][task], results.measures.forms[task]
    train = results.items_of(BASE, task, "train")
    majority = majority_answer(train, [] if form.kind == "multi_label" else form.labels)
    if form.kind == "generation":
        # A text of the data stays out of files that may be shared.
        majority = next(gold_cell(item) for item in train if item["label"] == majority)
    return TaskRecord(
        task=task,
        source=facts["source"],
        sample=facts["source"] == SAMPLE,
        licence=facts["licence"],
        redistribute=facts["redistribute"],
        kind=None if form.kind == "classification" else form.kind,
        measure=None if form.own == results.measures.primary.name else form.own,
        labels=form.labels,
        no_label=results.config.tasks[task].no_label,
        majority=majority,
        files=[RawFile(role=role, name=f["name"], sha256=f["sha256"]) for role, f in facts["files"].items()],
        rows=facts["rows"],
        set_aside=[SetAside(reason=reason, rows=rows) for reason, rows in facts["set_aside"].items()],
        split=facts["split"],
        **{f"duplicates_{kind}": number for kind, number in facts["duplicates"].items()},
        groups_across_splits=facts["groups_across_splits"],
    )


def split_records(results: ExperimentResults) -> list[SplitRecord]:
    """Record every split of every task, of the first fold."""
    records = []
    for task in results.config.active_tasks:
        for split, facts in results.summary["tasks"][task]["splits"].items():
            items = facts["items"]
            counts = {label: facts["labels"].get(label, 0) for label in results.labels(task)}
            records.append(
                SplitRecord(
                    task=task,
                    split=split,
                    items=items,
                    items_before_limit=facts["items_before_limit"],
                    labels=[
                        LabelCount(label=label, items=count, share=count / items if items else None)
                        for label, count in counts.items()
                    ],
                    sha256=facts["sha256"],
                )
            )
    return records


def training_record(results: ExperimentResults, lineage: str) -> TrainingRecord:
    """Record an adapter's training. Raises `InputError` if its summary holds something else than numbers."""
    adapter, facts = results.adapters[lineage], results.trainings[lineage]
    keys = {"lineage": lineage, "stage": adapter.stage, "task": adapter.task}
    keys |= {"seed": adapter.seed, "fold": adapter.fold}
    values = {name: facts[name] for name in TrainingRecord.model_fields if name in facts and name not in keys}
    return validate(TrainingRecord, keys | values, f"{lineage}/adapter/training.json")


def scoring_record(lineage: str, receipt: dict) -> ScoringRecord:
    """Record how a lineage's predictions were made, by their receipt."""
    values = {name: receipt.get(name) for name in ScoringRecord.model_fields} | {"lineage": lineage}
    return validate(ScoringRecord, values, f"{lineage}/predictions/receipt.json")
