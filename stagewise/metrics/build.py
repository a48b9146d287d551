"""Build ``report_metrics.json``: predictions -> choice -> scores with their resamples -> comparisons -> claims."""

import json
from typing import Any

from stagewise.config.experiment import Config
from stagewise.lineage import BASE, Adapter, Step, run_folder, steps_of_arm
from stagewise.metrics import baselines, choice, overview, published_figures
from stagewise.metrics.annotator_agreement import agreement_columns, agreement_record
from stagewise.metrics.arms import ArmScores, arm_comparisons, arm_summaries, arm_tasks, omitted_means, omitted_splits
from stagewise.metrics.bootstrap import Bootstrap
from stagewise.metrics.calibration import answer_record
from stagewise.metrics.check_results import checksum
from stagewise.metrics.claims import claim_records
from stagewise.metrics.comparisons import references_of
from stagewise.metrics.cost import Adapters, cost_records
from stagewise.metrics.crossed import Runs
from stagewise.metrics.decision_rules import ARGMAX, DecisionRules, log_priors
from stagewise.metrics.discrimination import DiscriminationTable
from stagewise.metrics.drift import drift_records
from stagewise.metrics.earlier_tasks import walk_earlier_tasks
from stagewise.metrics.forgetting import (
    PairedChanges,
    flip_records,
    forgetting_records,
    learning_records,
    published_forgetting,
)
from stagewise.metrics.item_scores import ProbeTable
from stagewise.metrics.omitted import omitted_by_kind, omitted_labels, omitted_published
from stagewise.metrics.prediction_table import Key, Predictions
from stagewise.metrics.prior_shift import prior_shifts
from stagewise.metrics.probes import add_probes, probe_changes, probe_records, probe_scores
from stagewise.metrics.read_results import ExperimentResults
from stagewise.metrics.schema import (
    BASELINES,
    CLASSIFICATION_VERSION,
    SCHEMA_VERSION,
    Agreement,
    AnswerRecord,
    Omitted,
    ReportMetrics,
    Score,
    TrainingRecord,
)
from stagewise.metrics.scores import ScoreTable, score_records
from stagewise.metrics.task_measures import TaskMeasures
from stagewise.provenance.sealed_json import seal
from stagewise.task_kinds import LABEL_KINDS


def build_metrics(results: ExperimentResults) -> ReportMetrics:
    """Compute everything the report shows. The same inputs give the same record, to the last digit.

    Raises
    ------
    InputError
        If the file of published figures cannot be used.
    """
    from threadpoolctl import threadpool_limits

    # Many small products: threads cost more than they give, and last digits would depend on their number.
    with threadpool_limits(limits=1):
        return _build(results)


def _build(tried: ExperimentResults) -> ReportMetrics:
    """Choose among what was tried, by validation, and compute everything else of the chosen adapters."""
    declared, measures = tried.config, tried.measures
    variants, main = choice.variants_of_arms(declared), main_split(declared.evaluation.splits)
    on_validation = {(name, task): p for (name, task, split), p in tried.predictions.items() if split == "validation"}
    scores = choice.validation_scores(variants, on_validation, measures)
    chosen = {arm: next(iter(by_label)) for arm, by_label in variants.items()} | choice.choose(scores, measures.primary)
    bootstrap = _bootstrap(tried)
    trainings = {lineage: overview.training_record(tried, lineage) for lineage in tried.adapters}
    adapters = Adapters(tried.adapters, trainings, tried.adapter_bytes)
    table = ScoreTable(tried.predictions, DecisionRules(tried.predictions, {}, {}), bootstrap, measures.task_score)
    results = tried.of_arms(declared.with_choice(chosen))
    is_classified = all(form.kind == "classification" for form in measures.forms.values())
    return ReportMetrics(
        schema_version=CLASSIFICATION_VERSION if is_classified else SCHEMA_VERSION,
        experiment=overview.experiment_record(tried),
        costs=cost_records(variants, chosen, references_of(declared), adapters),
        variants=choice.variant_records(variants, scores, chosen, table, main, adapters),
        **_records(results, {lineage: trainings[lineage] for lineage in results.adapters}, bootstrap, main),
    )


def _records(
    results: ExperimentResults, trainings: dict[str, TrainingRecord], bootstrap: Bootstrap, main: str
) -> dict[str, Any]:
    """Compute the records of an experiment whose arms have no sweeps, by key of the report."""
    config, measures, shared = results.config, results.measures, results.shared_splits()
    tasks, splits = list(config.active_tasks), config.evaluation.splits
    by_baselines, omitted = _answer_by_baselines(results)
    predictions = results.predictions | by_baselines
    rules = DecisionRules(predictions, _label_priors(results), results.content_free)
    table = ScoreTable(predictions, rules, bootstrap, measures.task_score)
    discrimination = DiscriminationTable(predictions, bootstrap)
    over_runs = _groups_over_runs(results.adapters) if len(config.runs) > 1 else []
    groups = over_runs if main in shared else []
    scores = score_records(table, main, groups)
    answers = _answer_records(results, predictions)
    changes = PairedChanges(table, {key: results.checksum(*key) for key in predictions})
    forgetting = forgetting_records(walk_earlier_tasks(config), splits, changes, discrimination.change)
    if config.statistics.forgetting == "published":
        forgetting += published_forgetting(forgetting, table)
        omitted += omitted_published(splits)
    steps = {arm: [steps_of_arm(config, arm, seed, fold) for fold, seed in config.runs] for arm in config.active_arms}
    probes = ProbeTable(results.item_scores, bootstrap)
    arms = ArmScores(steps, tasks, main, results.lineages, table, config.probes.tasks, probes)
    omitted += rules.omitted(tasks, splits) + omitted_splits(splits, shared) + omitted_labels(results)
    omitted += [*omitted_by_kind(measures.forms), *omitted_means(arms)]
    return {
        "measures": overview.measure_records(measures),
        "arms": overview.arm_records(steps, config.runs),
        "adapters": overview.adapter_records(results),
        "tasks": [overview.task_record(results, task) for task in tasks],
        "splits": overview.split_records(results),
        "duplicates_across_tasks": results.summary["duplicates_across_tasks"],
        "duplicates_across_tasks_exact": results.summary.get("duplicates_across_tasks_exact"),
        "training": list(trainings.values()),
        "scoring": [overview.scoring_record(lineage, receipt) for lineage, receipt in results.receipts.items()],
        "predictions": answers,
        "scores": scores,
        "discrimination": discrimination.records(main, groups),
        "learning": learning_records(results.adapters, splits, changes),
        "drifts": drift_records(results, main, bootstrap),
        "forgetting": forgetting,
        "flips": flip_records(walk_earlier_tasks(config), main, predictions, results.item_ids),
        "agreement": _agreement(results, bootstrap),
        "omitted": omitted,
        "probes": probe_records(results, main),
        "probe_scores": probe_scores(probes, over_runs),
        **_arm_statistics(arms, config, measures, discrimination if main in shared else None),
        **_published(config, steps, scores, answers, trainings),
    }


ARM_STATISTICS = ("claims", "arm_summaries", "arm_tasks", "arm_comparisons", "prior_shifts", "probe_changes")


def _arm_statistics(
    arms: ArmScores, config: Config, measures: TaskMeasures, discrimination: DiscriminationTable | None
) -> dict[str, list]:
    """Compute the records of arms over their runs; none without `discrimination`, if runs answered other items."""
    if discrimination is None:
        return dict.fromkeys(ARM_STATISTICS, [])
    statistics, references = config.statistics, references_of(config)
    claims = claim_records(arms, references, measures, statistics.seed, statistics.primary_outcome)
    return {
        "claims": claims,
        "arm_summaries": arm_summaries(arms),
        "arm_tasks": arm_tasks(arms),
        "arm_comparisons": arm_comparisons(arms, references),
        "probe_changes": probe_changes(arms, measures, statistics.seed),
        "prior_shifts": prior_shifts(arms, claims, discrimination.change, statistics.auroc_margin) if claims else [],
    }


def _published(
    config: Config,
    steps: dict[str, list[list[Step]]],
    scores: list[Score],
    answers: list[AnswerRecord],
    trainings: dict[str, TrainingRecord],
) -> dict[str, Any]:
    """Put published figures beside ours, if the experiment names some."""
    if not config.published:
        return {"published_source": None, "published": []}
    figures = published_figures.read_published(config.published)
    as_given = {(s.lineages[0], s.task, s.split): s for s in scores if s.rule == ARGMAX and len(s.lineages) == 1}
    by_key = {(record.lineage, record.task, record.split): record for record in answers}
    ours = published_figures.OurFigures(config, steps, as_given, by_key, trainings)
    return {
        "published_source": published_figures.published_source(config.published, figures),
        "published": published_figures.published_records(figures, ours),
    }


def main_split(splits: list[str]) -> str:
    """The split that neither training nor model choice has seen, if it was scored; else the first."""
    return "test" if "test" in splits else splits[0]


def _answer_by_baselines(results: ExperimentResults) -> tuple[dict[Key, Predictions], list[Omitted]]:
    """Fit every baseline on every task and let it answer the scored splits."""
    from tqdm import tqdm

    predictions, omitted = {}, []
    for task in tqdm(results.config.active_tasks, desc="baselines", unit="task", disable=None):
        for name in BASELINES:
            try:
                form = results.measures.forms[task]
                answer = baselines.fit_baseline(name, results.items_of(BASE, task, "train"), form)
            except baselines.CannotFit as error:
                omitted.append(Omitted(what=f"baseline {name} on {task}", reason=str(error)))
                continue
            for split in results.config.evaluation.splits:
                predictions[name, task, split] = answer(results.items_of(BASE, task, split))
    return predictions, omitted


def _bootstrap(results: ExperimentResults) -> Bootstrap:
    config, statistics = results.config, results.config.statistics
    return Bootstrap(
        statistics.bootstrap_samples,
        statistics.seed,
        statistics.confidence,
        list(config.active_tasks),
        _runs(results),
    )


def _runs(results: ExperimentResults) -> Runs:
    """Count the folds, and how much their training items overlap."""
    folds = results.config.folds or [None]
    if len(folds) == 1:
        return Runs()
    # Tasks without folds have the same training items in every run, which their noise then tells.
    ratios = [
        splits["validation"]["items_before_limit"] / splits["train"]["items_before_limit"]
        for task in results.config.active_tasks
        if len({checksum(summary, task, "train") for summary in results.summaries.values()}) > 1
        for splits in [results.summary["tasks"][task]["splits"]]
    ]
    return Runs(len(folds), max(ratios, default=0.0))


def _label_priors(results: ExperimentResults) -> dict:
    """Log shares of the training labels by lineage and task."""
    return {
        (lineage, task): log_priors(
            [item["label"] for item in results.items_of(lineage, task, "train")], results.labels(task)
        )
        for task, form in results.measures.forms.items()
        if form.kind in LABEL_KINDS
        for lineage in results.lineages
    }


def _groups_over_runs(adapters: dict[str, Adapter]) -> list[list[str]]:
    """Group lineages that differ in seed and fold alone, in the order of the runs."""
    groups: dict[tuple[str, str], list[str]] = {}
    for lineage, adapter in adapters.items():
        path = lineage.removeprefix(run_folder(adapter.base, adapter.fold, adapter.seed))
        groups.setdefault((adapter.base, path), []).append(lineage)
    return list(groups.values())


def _answer_records(results: ExperimentResults, predictions: dict[Key, Predictions]) -> list[AnswerRecord]:
    bins = results.config.statistics.calibration_bins
    return [
        answer_record(
            answers,
            bins,
            lineage,
            task,
            split,
            *(
                results.receipts.get(lineage, {}).get(key, {}).get(f"{task}.{split}")
                for key in ("shortened", "control_tokens")
            ),
        )
        for (lineage, task, split), answers in predictions.items()
    ]


def _agreement(results: ExperimentResults, bootstrap: Bootstrap) -> list[Agreement]:
    """Record every task, scored split and column of annotators; later folds' own items are left out."""
    records = []
    for task, form in results.measures.forms.items():
        for split in results.config.evaluation.splits if form.kind in LABEL_KINDS else []:
            items, checksum = results.items_of(BASE, task, split), results.checksum(BASE, task, split)
            same = [lineage for lineage in results.lineages if results.checksum(lineage, task, split) == checksum]
            answers = {lineage: results.predictions[lineage, task, split] for lineage in same}
            records += [
                agreement_record(items, column, task, split, answers, bootstrap) for column in agreement_columns(items)
            ]
    return records


def flatten_metrics(metrics: ReportMetrics) -> dict:
    """Nest the main figures by arm, task and measure, for tools that compare runs (``dvc metrics``) and read no lists.

    ``rehearsal.pubmedqa.accuracy.value``, its ``low`` and ``high``. Labels are the most likely ones (no decision
    rule), on test if it is scored. ``change`` is since the stage that learnt the task, for tasks that another stage
    came after, and of probes since the untuned model. What has no value is left out.
    """
    split = main_split(metrics.experiment.splits)
    scores = {(*s.lineages, s.task): s.measures for s in metrics.scores if (s.rule, s.split) == (ARGMAX, split)}
    flat: dict = {}
    for record in metrics.arm_tasks:
        if record.rule != ARGMAX or record.split != split:
            continue
        last = {(s.fold, s.seed): s.answers[record.task] for s in metrics.arms if s.arm == record.arm}
        entry = flat.setdefault(record.arm, {}).setdefault(record.task, {})
        final = scores[(*dict.fromkeys(last.values()), record.task)]
        for name in final:
            for key, value in ((name, final[name]), (f"{name}_change", record.change.get(name))):
                if value is not None and value.value is not None:
                    entry[key] = value.model_dump(include={"value", "low", "high"})
    add_probes(flat, metrics)
    return flat


def format_metrics(metrics: ReportMetrics) -> str:
    """Write the metrics as JSON with a line per record and the checksum of all of it."""
    lines = []
    for key, value in seal(metrics.model_dump(mode="json")).items():
        if isinstance(value, list) and value:
            rows = ",\n".join(_dump(row) for row in value)
            lines.append(f'"{key}": [\n{rows}\n]')
        else:
            lines.append(f'"{key}": {_dump(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _dump(value) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
