"""Assembling ``report_metrics.json``."""

import platform
from importlib import metadata

from forgetting import plan
from forgetting.metrics import baselines, compare, published
from forgetting.metrics.classification import label_scores, probability_scores
from forgetting.metrics.run import Run
from forgetting.metrics.schema import (
    BASELINES,
    AdapterRecord,
    ArmStage,
    Experiment,
    LabelCount,
    Omitted,
    RawFile,
    ReportMetrics,
    Score,
    ScoringRecord,
    SetAside,
    SplitRecord,
    TaskRecord,
    TrainingRecord,
)
from forgetting.settings import validate

SAMPLE = "sample"
PACKAGES = ("numpy", "pydantic", "scikit-learn", "scipy")


def build(run: Run) -> ReportMetrics:
    """Compute everything the report shows. The same inputs give the same record, to the last digit.

    Raises
    ------
    InputError
        Where the file of published figures cannot be used.
    """
    from tqdm import tqdm

    config = run.config
    figures = published.read_published(config.published) if config.published else None
    answers, omitted = dict(run.answers), []
    for task in tqdm(config.active_tasks, desc="baselines", unit="task", disable=None):
        for name in BASELINES:
            try:
                answer = baselines.fit(name, run.items[task, "train"], run.words(task))
            except baselines.CannotFit as error:
                omitted.append(Omitted(what=f"baseline {name} on {task}", reason=str(error)))
                continue
            for split in config.evaluation.splits:
                answers[name, task, split] = answer(run.items[task, split])
    scores = {}
    for key in tqdm(answers, desc="scores", unit="split", disable=None):
        scores[key] = _score(run, *key, answers[key])
    comparer = compare.Comparer(run, answers)
    forgetting = comparer.forgetting()
    if config.statistics.forgetting == "published":
        if missing := {"test", "validation"} - set(config.evaluation.splits):
            reason = f"evaluation.splits leaves out {' and '.join(sorted(missing))}"
            omitted.append(Omitted(what="the published comparison (test before, validation after)", reason=reason))
        forgetting += compare.published_forgetting(forgetting, scores)
    trainings = {lineage: _training(run, lineage) for lineage in run.adapters}
    return ReportMetrics(
        experiment=_experiment(run),
        arms=_arms(run),
        adapters=_adapters(run),
        tasks=[_task(run, task) for task in config.active_tasks],
        splits=[
            _split(run, task, split, facts)
            for task in config.active_tasks
            for split, facts in run.summary["tasks"][task]["splits"].items()
        ],
        duplicates_across_tasks=run.summary["duplicates_across_tasks"],
        duplicates_across_tasks_exact=run.summary.get("duplicates_across_tasks_exact"),
        scores=list(scores.values()),
        training=list(trainings.values()),
        scoring=[_scoring(lineage, receipt) for lineage, receipt in run.receipts.items()],
        matrix=compare.matrix(run, scores),
        learning=comparer.learning(),
        forgetting=forgetting,
        published_source=published.source(config.published, figures) if figures else None,
        published=published.beside_published(run, figures, scores, trainings) if figures else [],
        omitted=omitted,
    )


def _experiment(run: Run) -> Experiment:
    config = run.config
    generated = config.evaluation.method == "generation"
    return Experiment(
        name=config.experiment,
        sample=any(task.source == SAMPLE for task in config.active_tasks.values()),
        model=config.model,
        model_origin=config.base_model.model_dump(mode="json", exclude_none=True),
        model_fingerprint=run.receipts[plan.BASE]["model"],
        quantization=config.quantization,
        dtype=config.dtype,
        seeds=config.seeds,
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


def _arms(run: Run) -> list[ArmStage]:
    return [
        ArmStage(arm=arm, seed=seed, stage=stage, task=run.adapters[lineage].task if stage else None, lineage=lineage)
        for arm in run.config.active_arms
        for seed in run.config.seeds
        for stage, lineage in enumerate(plan.path_of_arm(run.config, arm, seed))
    ]


def _adapters(run: Run) -> list[AdapterRecord]:
    return [
        AdapterRecord(
            lineage=lineage,
            parent=adapter.parent or plan.BASE,
            stage=adapter.depth,
            task=adapter.task,
            seed=adapter.seed,
            arms=adapter.arms,
            fingerprint=run.recipes[lineage]["fingerprint"],
        )
        for lineage, adapter in run.adapters.items()
    ]


def _task(run: Run, task: str) -> TaskRecord:
    facts = run.summary["tasks"][task]
    return TaskRecord(
        task=task,
        source=facts["source"],
        sample=facts["source"] == SAMPLE,
        licence=facts["licence"],
        redistribute=facts["redistribute"],
        labels=run.words(task),
        majority=baselines.majority(run.items[task, "train"], run.words(task)),
        files=[RawFile(role=role, name=f["name"], sha256=f["sha256"]) for role, f in facts["files"].items()],
        rows=facts["rows"],
        set_aside=[SetAside(reason=reason, rows=rows) for reason, rows in facts["set_aside"].items()],
        split=facts["split"],
        **{f"duplicates_{kind}": number for kind, number in facts["duplicates"].items()},
        groups_across_splits=facts["groups_across_splits"],
    )


def _split(run: Run, task: str, split: str, facts: dict) -> SplitRecord:
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


def _score(run: Run, lineage: str, task: str, split: str, answers) -> Score:
    statistics = run.config.statistics
    adapter = run.adapters.get(lineage)
    return Score(
        lineage=lineage,
        kind="adapter" if adapter else "base" if lineage == plan.BASE else "baseline",
        stage=adapter.depth if adapter else 0 if lineage == plan.BASE else None,
        seed=adapter.seed if adapter else None,
        task=task,
        split=split,
        shortened=run.receipts.get(lineage, {}).get("shortened", {}).get(f"{task}.{split}"),
        **label_scores(answers, statistics.bootstrap_samples, statistics.confidence, statistics.seed),
        **probability_scores(answers, statistics.calibration_bins),
    )


def _training(run: Run, lineage: str) -> TrainingRecord:
    adapter, facts = run.adapters[lineage], run.trainings[lineage]
    own = {"lineage": lineage, "stage": adapter.depth, "task": adapter.task, "seed": adapter.seed}
    values = {name: facts[name] for name in TrainingRecord.model_fields if name in facts and name not in own}
    return validate(TrainingRecord, own | values, f"{lineage}/adapter/training.json")


def _scoring(lineage: str, receipt: dict) -> ScoringRecord:
    values = {name: receipt.get(name) for name in ScoringRecord.model_fields} | {"lineage": lineage}
    return validate(ScoringRecord, values, f"{lineage}/predictions/receipt.json")
