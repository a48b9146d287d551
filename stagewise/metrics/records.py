"""What was run, on which data and how, as records."""

import platform
from importlib import metadata

from stagewise.config.base import validate
from stagewise.lineage import BASE, steps_of_arm
from stagewise.metrics import baselines
from stagewise.metrics.read_results import Run
from stagewise.metrics.schema import (
    AdapterRecord,
    ArmStage,
    Experiment,
    LabelCount,
    RawFile,
    ScoringRecord,
    SetAside,
    SplitRecord,
    TaskRecord,
    TrainingRecord,
)

SAMPLE = "sample"

PACKAGES = ("numpy", "pydantic", "scikit-learn", "scipy")


def experiment(run: Run) -> Experiment:
    """The experiment as a whole."""
    config = run.config
    generated = config.evaluation.method == "generation"
    return Experiment(
        name=config.experiment,
        sample=any(task.source == SAMPLE for task in config.active_tasks.values()),
        model=config.model,
        model_origin=config.base_model.model_dump(mode="json", exclude_none=True),
        model_fingerprint=run.receipts[BASE]["inputs"]["model"],
        quantization=config.quantization,
        dtype=config.dtype,
        compute_type=" and ".join(sorted({recipe.dtype for recipe in run.recipes.values()})),
        seeds=config.seeds,
        folds=config.folds,
        reference=config.reference,
        splits=config.evaluation.splits,
        method=config.evaluation.method,
        parse=config.evaluation.parse if generated else None,
        confidence=config.statistics.confidence,
        bootstrap_samples=config.statistics.bootstrap_samples,
        bootstrap_seed=config.statistics.seed,
        packages={"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
        # Where somebody keeps a mirror is no fact of the experiment.
        config=config.model_dump(mode="json", exclude={"mirror"}),
    )


def arms(run: Run) -> list[ArmStage]:
    """Every arm after every stage of every run."""
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
        for arm in run.config.active_arms
        for fold, seed in run.config.runs
        for step in steps_of_arm(run.config, arm, seed, fold)
    ]


def adapters(run: Run) -> list[AdapterRecord]:
    """Every adapter of the lineage tree, parents before children."""
    return [
        AdapterRecord(
            lineage=lineage,
            parent=adapter.parent or BASE,
            stage=adapter.stage,
            task=adapter.task,
            tasks=adapter.tasks,
            seed=adapter.seed,
            fold=adapter.fold,
            remedies=adapter.remedies.model_dump(mode="json", exclude_none=True),
            sources=adapter.sources,
            arms=adapter.arms,
            fingerprint=run.recipes[lineage].fingerprint,
            bytes=run.bytes[lineage],
        )
        for lineage, adapter in run.adapters.items()
    ]


def task(run: Run, task: str) -> TaskRecord:
    """A task's data, of the first fold."""
    facts = run.summary["tasks"][task]
    return TaskRecord(
        task=task,
        source=facts["source"],
        sample=facts["source"] == SAMPLE,
        licence=facts["licence"],
        redistribute=facts["redistribute"],
        labels=run.words(task),
        majority=baselines.majority(run.items_of(BASE, task, "train"), run.words(task)),
        files=[RawFile(role=role, name=f["name"], sha256=f["sha256"]) for role, f in facts["files"].items()],
        rows=facts["rows"],
        set_aside=[SetAside(reason=reason, rows=rows) for reason, rows in facts["set_aside"].items()],
        split=facts["split"],
        **{f"duplicates_{kind}": number for kind, number in facts["duplicates"].items()},
        groups_across_splits=facts["groups_across_splits"],
    )


def split(run: Run, task: str, split: str, facts: dict) -> SplitRecord:
    """One split of a task, of the first fold; `facts` are the data summary's."""
    counts = [
        LabelCount(
            label=word,
            items=facts["labels"].get(word, 0),
            share=facts["labels"].get(word, 0) / facts["items"] if facts["items"] else None,
        )
        for word in run.words(task)
    ]
    return SplitRecord(
        task=task,
        split=split,
        items=facts["items"],
        items_before_limit=facts["items_before_limit"],
        labels=counts,
        sha256=facts["sha256"],
    )


def training(run: Run, lineage: str) -> TrainingRecord:
    """How an adapter was made. Raises `InputError` where its training wrote something else than numbers."""
    adapter, facts = run.adapters[lineage], run.trainings[lineage]
    own = {"lineage": lineage, "stage": adapter.stage, "task": adapter.task}
    own |= {"seed": adapter.seed, "fold": adapter.fold}
    values = {name: facts[name] for name in TrainingRecord.model_fields if name in facts and name not in own}
    return validate(TrainingRecord, own | values, f"{lineage}/adapter/training.json")


def scoring(lineage: str, receipt: dict) -> ScoringRecord:
    """How a lineage's predictions were made, by their receipt."""
    values = {name: receipt.get(name) for name in ScoringRecord.model_fields} | {"lineage": lineage}
    return validate(ScoringRecord, values, f"{lineage}/predictions/receipt.json")


def scorer(run: Run, lineage: str) -> dict:
    """Keys by which a record says whose answers it is about."""
    adapter = run.adapters.get(lineage)
    return {
        "lineage": lineage,
        "kind": "adapter" if adapter else "base" if lineage == BASE else "baseline",
        "stage": adapter.stage if adapter else 0 if lineage == BASE else None,
        "seed": adapter.seed if adapter else None,
        "fold": adapter.fold if adapter else None,
    }
