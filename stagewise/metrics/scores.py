"""Every measure of every set of answers with its resamples, by decision rule; and the records of them."""

from dataclasses import dataclass

import numpy as np

from stagewise.counts import confusion_counts, label_f1, precisions, recalls
from stagewise.measures import MEASURES, Measure
from stagewise.metrics.bootstrap import Bootstrap, Resampled
from stagewise.metrics.decision_rules import ARGMAX, DecisionRules, Refits, normalize
from stagewise.metrics.prediction_table import Key, Predictions
from stagewise.metrics.schema import LabelScore, Score, Value

NO_PROBABILITIES = "no label probabilities"

NO_LABEL = "no item has this label"

LABEL_UNUSED = "no item has this label, and none is answered with it"

NOT_DEFINED = "not defined on these items"


@dataclass(frozen=True)
class ResampledScores:
    """Scores of one set of answers."""

    gold: np.ndarray
    confusion: np.ndarray
    """Shape (labels, labels + 1)."""
    measures: dict[str, Resampled]
    """By name; NaN if the measure needs probabilities and there are none."""
    recall: Resampled
    """By label; NaN for a label without items."""
    f1: Resampled
    """By label; NaN for a label without items and answers."""
    tau: Resampled | None = None
    """Of a decision rule that has one."""


def resample_scores(
    gold: np.ndarray,
    answer: np.ndarray,
    labels: int,
    weights: np.ndarray,
    probabilities: np.ndarray | None = None,
    refits: Refits | None = None,
) -> ResampledScores:
    """Compute every measure on the items and on every resample.

    Parameters
    ----------
    gold, answer
        Codes, shape (items,); the answer `labels` stands for an invalid one.
    labels
        Number of labels L.
    weights
        Weights of the items, shape (samples, items), as `bootstrap.draw_weights` gives them.
    probabilities
        Shape (items, L), rows adding up to 1; None if there are none.
    refits
        The decision rule fitted on every resample, whose answers and probabilities count there; None for a rule that
        is the same on all.
    """
    counts = confusion_counts(gold, answer, labels)
    drawn = confusion_counts(gold, answer if refits is None else refits.answers(), labels, weights)
    measures = {}
    for name, measure in MEASURES.items():
        if measure.needs == "confusion":
            measures[name] = Resampled(measure.function(counts), measure.function(drawn))
        elif probabilities is None:
            measures[name] = Resampled(np.nan, np.full(len(weights), np.nan))
        else:
            by_item = measure.function(probabilities, gold)
            drawn_items = by_item if refits is None else refits.by_item(measure.function, gold)
            measures[name] = Resampled(by_item.mean(), average_items(drawn_items, weights))
    by_label = (Resampled(score(counts), score(drawn)) for score in (recalls, label_f1))
    return ResampledScores(gold, counts, measures, *by_label, tau=refits and refits.tau)


def average_items(by_item: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average over the items of every resample, shape (items,) or (samples, items) to (samples,)."""
    sums = weights @ by_item if by_item.ndim == 1 else np.einsum("si,si->s", weights, by_item)
    return sums / weights.sum(1)


class ScoreTable:
    """Resampled scores of every model and baseline by task, split and decision rule, each computed once."""

    def __init__(self, predictions: dict[Key, Predictions], rules: DecisionRules, bootstrap: Bootstrap):
        self.predictions, self.rules, self.bootstrap = predictions, rules, bootstrap
        self._scores: dict[tuple, ResampledScores] = {}

    def __call__(self, lineage: str, task: str, split: str, rule: str = ARGMAX) -> ResampledScores:
        key = lineage, task, split, rule
        if key not in self._scores:
            answers = self.predictions[lineage, task, split]
            refits = self.rules.refit(lineage, task, split, rule, self.bootstrap)
            decision = None if rule == ARGMAX else self.rules.apply(lineage, task, split)[rule]
            probabilities = None
            if answers.logprobs is not None:
                logs = normalize(answers.logprobs)
                probabilities = np.exp(logs if decision is None else normalize(logs + decision.bias))
            self._scores[key] = resample_scores(
                answers.gold,
                answers.answer if decision is None else decision.answer,
                len(answers.labels),
                self.bootstrap.weights(task, split, answers),
                probabilities,
                refits,
            )
        return self._scores[key]

    def units(self, lineage: str, task: str, split: str) -> int:
        """Items, or groups of items, that are resampled."""
        return self.predictions[lineage, task, split].units


def missing_reason(measure: Measure) -> str:
    """Say why a measure is NaN."""
    return NO_PROBABILITIES if measure.needs == "probabilities" else NOT_DEFINED


def score_record(table: ScoreTable, lineage: str, task: str, split: str, rule: str = ARGMAX) -> Score:
    """Record one model or baseline under one decision rule."""
    scores, units = table(lineage, task, split, rule), table.units(lineage, task, split)
    decision = None if rule == ARGMAX else table.rules.apply(lineage, task, split)[rule]
    value = table.bootstrap.value
    precision = precisions(scores.confusion)
    labels = [
        LabelScore(
            label=label,
            support=int(scores.confusion[n].sum()) if rule == ARGMAX else None,
            predicted=int(scores.confusion[:, n].sum()),
            precision=float(precision[n]) if rule == ARGMAX else None,
            recall=value(Resampled(scores.recall.value[n], scores.recall.draws[:, n]), units, NO_LABEL),
            f1=_f1(table, scores, n, units) if rule == ARGMAX else None,
        )
        for n, label in enumerate(table.predictions[lineage, task, split].labels)
    ]
    return Score(
        lineages=[lineage],
        task=task,
        split=split,
        rule=rule,
        tau=scores.tau and value(scores.tau, units),
        # Adding 0 turns a negative zero into a plain one.
        bias=None if decision is None else (decision.bias + 0.0).tolist(),
        measures={
            name: value(scores.measures[name], units, missing_reason(measure)) for name, measure in MEASURES.items()
        },
        labels=labels,
    )


def _f1(table: ScoreTable, scores: ResampledScores, n: int, units: int) -> Value:
    return table.bootstrap.value(Resampled(scores.f1.value[n], scores.f1.draws[:, n]), units, LABEL_UNUSED)


def score_over_runs(table: ScoreTable, lineages: list[str], task: str, split: str, rule: str) -> Score:
    """Record adapters that differ in seed and fold alone, one a run, together."""
    runs = [table(lineage, task, split, rule) for lineage in lineages]
    units = table.units(lineages[0], task, split)

    def recall(n: int) -> Value:
        by_run = [Resampled(run.recall.value[n], run.recall.draws[:, n]) for run in runs]
        return table.bootstrap.over_runs(by_run, units, (0, 1), NO_LABEL).value

    measures = {}
    for name, measure in MEASURES.items():
        by_run = [run.measures[name] for run in runs]
        measures[name] = table.bootstrap.over_runs(by_run, units, measure.range, missing_reason(measure)).value
    labels = table.predictions[lineages[0], task, split].labels
    return Score(
        lineages=lineages,
        task=task,
        split=split,
        rule=rule,
        measures=measures,
        labels=[LabelScore(label=label, recall=recall(n)) for n, label in enumerate(labels)],
    )


def score_records(table: ScoreTable, main_split: str, groups: list[list[str]]) -> list[Score]:
    """Record every model and baseline, on the main split by every rule it has answers by, then groups over their runs.

    Parameters
    ----------
    table
        The scores.
    main_split
        The split that conclusions are about.
    groups
        Lineages that differ in seed and fold alone, one a run; empty for one run, and if runs have other items.
    """
    records = [
        score_record(table, lineage, task, split, rule)
        for lineage, task, split in table.predictions
        for rule in (table.rules.of(lineage, task, split) if split == main_split else [ARGMAX])
    ]
    tasks = dict.fromkeys(task for _, task, _ in table.predictions)
    return records + [
        score_over_runs(table, lineages, task, main_split, rule)
        for lineages in groups
        for task in tasks
        for rule in table.rules.shared(lineages, task, main_split)
    ]
