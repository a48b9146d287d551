"""Assembling ``report_metrics.json``."""

from stagewise.lineage import BASE
from stagewise.metrics import arm_comparisons, baselines, forgetting, over_runs, published_figures, records, rules
from stagewise.metrics.annotator_agreement import agreement
from stagewise.metrics.arms import Arms
from stagewise.metrics.classification import label_scores, probability_scores
from stagewise.metrics.cost import costs
from stagewise.metrics.decision_rules import Decider
from stagewise.metrics.discrimination import Discriminator
from stagewise.metrics.prediction_table import Answers
from stagewise.metrics.read_results import Run
from stagewise.metrics.resampling import Draws, Scorer
from stagewise.metrics.schema import BASELINES, Omitted, ReportMetrics, Score


def build(run: Run) -> ReportMetrics:
    """Compute everything the report shows. The same inputs give the same record, to the last digit.

    Raises
    ------
    InputError
        Where the file of published figures cannot be used.
    """
    from threadpoolctl import threadpool_limits

    # Many small products: threads cost more than they give, and last digits would hang on their number.
    with threadpool_limits(limits=1):
        return _build(run)


def _build(run: Run) -> ReportMetrics:
    from tqdm import tqdm

    config = run.config
    figures = published_figures.read_published(config.published) if config.published else None
    answers, omitted = dict(run.answers), []
    for task in tqdm(config.active_tasks, desc="baselines", unit="task", disable=None):
        for name in BASELINES:
            try:
                answer = baselines.fit(name, run.items_of(BASE, task, "train"), run.words(task))
            except baselines.CannotFit as error:
                omitted.append(Omitted(what=f"baseline {name} on {task}", reason=str(error)))
                continue
            for split in config.evaluation.splits:
                answers[name, task, split] = answer(run.items_of(BASE, task, split))
    draws, decider = Draws(run), Decider(run)
    scores = {}
    for key in tqdm(answers, desc="scores", unit="split", disable=None):
        scores[key] = _score(run, *key, answers[key], draws)
    scorer, discriminator = Scorer(answers, decider, draws), Discriminator(run, draws)
    arms = Arms(run, decider, scorer, draws)
    comparer = forgetting.Comparer(run, scorer, discriminator)
    paired = comparer.forgetting()
    if config.statistics.forgetting == "published":
        if missing := {"test", "validation"} - set(config.evaluation.splits):
            reason = f"evaluation.splits leaves out {' and '.join(sorted(missing))}"
            omitted.append(Omitted(what="the published comparison (test before, validation after)", reason=reason))
        paired += forgetting.published_forgetting(paired, scores)
    omitted += decider.omitted() + arms.omitted()
    trainings = {lineage: records.training(run, lineage) for lineage in run.adapters}
    return ReportMetrics(
        experiment=records.experiment(run),
        arms=records.arms(run),
        adapters=records.adapters(run),
        tasks=[records.task(run, task) for task in config.active_tasks],
        splits=[
            records.split(run, task, split, facts)
            for task in config.active_tasks
            for split, facts in run.summary["tasks"][task]["splits"].items()
        ],
        duplicates_across_tasks=run.summary["duplicates_across_tasks"],
        duplicates_across_tasks_exact=run.summary.get("duplicates_across_tasks_exact"),
        scores=list(scores.values()),
        training=list(trainings.values()),
        scoring=[records.scoring(lineage, receipt) for lineage, receipt in run.receipts.items()],
        matrix=forgetting.matrix(run, scores),
        learning=comparer.learning(),
        forgetting=paired,
        decisions=rules.decisions(run, decider, scorer),
        discrimination=discriminator.records(),
        decisions_over_runs=over_runs.decisions(arms),
        discrimination_over_runs=over_runs.discrimination(arms, discriminator),
        rule_changes=rules.rule_changes(run, decider, scorer),
        arm_summaries=arms.summaries(),
        arm_tasks=arms.task_records(),
        arm_comparisons=arm_comparisons.compare(arms),
        flips=rules.flips(run),
        costs=costs(run, trainings),
        agreement=agreement(run, draws),
        published_source=published_figures.source(config.published, figures) if figures else None,
        published=published_figures.beside_published(run, figures, scores, trainings) if figures else [],
        omitted=omitted,
    )


def _score(run: Run, lineage: str, task: str, split: str, answers: Answers, draws: Draws) -> Score:
    statistics = run.config.statistics
    return Score(
        **records.scorer(run, lineage),
        task=task,
        split=split,
        shortened=run.receipts.get(lineage, {}).get("shortened", {}).get(f"{task}.{split}"),
        **label_scores(answers, draws.weights(task, split, len(answers)), statistics.confidence),
        **probability_scores(answers, statistics.calibration_bins),
    )
