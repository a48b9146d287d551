"""Choice among the settings that sweeps tried: by validation alone, before anything else is computed."""

import numpy as np

from stagewise.config.experiment import Config
from stagewise.errors import InputError
from stagewise.lineage import Step, steps_of_arm
from stagewise.measures import Measure
from stagewise.metrics.answer_scores import score
from stagewise.metrics.cost import Adapters, Runs
from stagewise.metrics.decision_rules import ARGMAX
from stagewise.metrics.prediction_table import Predictions
from stagewise.metrics.schema import Value, Values, Variant
from stagewise.metrics.scores import NO_PROBABILITIES, ScoreTable, score_over_runs, score_record
from stagewise.metrics.task_measures import TaskMeasures

Variants = dict[str, dict[str, Runs]]
"""Each variant of each arm after every stage, one list a run, by arm and label; one, by an empty label, of an arm
without a sweep."""


def variants_of_arms(config: Config) -> Variants:
    """List the steps of every variant of every arm in every run."""
    return {
        arm: {label: [steps_of_arm(config, arm, seed, fold, label) for fold, seed in config.runs] for label in variants}
        for arm, variants in config.arm_variants.items()
    }


def validation_scores(
    variants: Variants, validation: dict[tuple[str, str], Predictions], measures: TaskMeasures
) -> dict[str, dict[str, float]]:
    """Score each variant of each swept arm: the mean over runs of the mean over the tasks that the arm learnt.

    Parameters
    ----------
    variants
        Every variant of every arm.
    validation
        Answers to the validation items by lineage and task. Nothing else decides.
    measures
        Those of the tasks, the primary one among them.

    Returns
    -------
    Scores by arm and label; NaN where the measure needs probabilities and there are none.
    """
    return {
        arm: {
            label: float(np.mean([_score_run(run, validation, measures) for run in runs]))
            for label, runs in by_label.items()
        }
        for arm, by_label in variants.items()
        if len(by_label) > 1
    }


def _score_run(run: list[Step], validation: dict[tuple[str, str], Predictions], measures: TaskMeasures) -> float:
    """Mean over the tasks that the run's stages learnt of the score after the last stage."""
    learnt = dict.fromkeys(task for step in run for task in step.tasks)
    scores = []
    for task in learnt:
        measure = measures.own(task)
        value = score(validation[run[-1].answered_by[task], task], measure)
        scores.append(measure.oriented(value) if measures.is_mixed else value)
    return float(np.mean(scores))


def choose(scores: dict[str, dict[str, float]], measure: Measure) -> dict[str, str]:
    """Choose the best variant of each swept arm, the first of equals; labels by arm.

    Raises
    ------
    InputError
        If no variant of an arm has a score.
    """
    sign = 1 if measure.higher_is_better else -1
    choice = {}
    for arm, by_label in scores.items():
        scored = [label for label, value in by_label.items() if not np.isnan(value)]
        if not scored:
            raise InputError(
                f"arms.{arm} has a sweep, and no variant has a {measure.title} on validation to choose by, for want of "
                "label probabilities; choose another statistics.primary_measure"
            )
        choice[arm] = max(scored, key=lambda label: sign * by_label[label])
    return choice


def variant_records(
    variants: Variants,
    scores: dict[str, dict[str, float]],
    choice: dict[str, str],
    table: ScoreTable,
    split: str,
    adapters: Adapters,
) -> list[Variant]:
    """Record all that sweeps tried.

    Parameters
    ----------
    variants, scores, choice
        Every variant; of swept arms, the scores on validation and the chosen label.
    table
        Scores of all adapters.
    split
        The main split.
    adapters
        What every adapter took.
    """
    records, tasks = [], list(dict.fromkeys(task for _, task, _ in table.predictions))
    for arm, by_label in scores.items():
        for label, value in by_label.items():
            runs = variants[arm][label]
            cost = adapters.cost(runs)
            records.append(
                Variant(
                    arm=arm,
                    variant=label,
                    chosen=label == choice[arm],
                    validation=Value(reason=NO_PROBABILITIES) if np.isnan(value) else _value(value, len(runs)),
                    lineages=[run[-1].lineage for run in runs],
                    final={task: _final(table, runs, task, split) for task in tasks},
                    **{key: cost[key] for key in ("steps", "tokens", "extra_tokens", "seconds")},
                )
            )
    return records


def _value(value: float, runs: int) -> Value:
    return Value(value=value, runs=runs if runs > 1 else None)


def _final(table: ScoreTable, runs: Runs, task: str, split: str) -> Values:
    """Every measure after the last stage, with its interval."""
    lineages = [run[-1].answered_by[task] for run in runs]
    if len(lineages) == 1:
        return score_record(table, lineages[0], task, split).measures
    return score_over_runs(table, lineages, task, split, ARGMAX).measures
