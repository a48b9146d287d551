"""Every measure of every set of answers with its resamples, by decision rule; and the records of them."""

from dataclasses import dataclass

import numpy as np

from stagewise.counts import confusion_counts, divide, label_f1, precisions, recalls, set_f1
from stagewise.measures import MEASURES, TASK_SCORE, Measure, measures_of
from stagewise.metrics.answer_scores import count_answers, score_items
from stagewise.metrics.bootstrap import Bootstrap, Resampled
from stagewise.metrics.decision_rules import ARGMAX, Decision, DecisionRules, Refits, normalize
from stagewise.metrics.prediction_table import Key, Predictions
from stagewise.metrics.schema import LabelScore, Score, Value
from stagewise.task_kinds import LABEL_KINDS

NO_PROBABILITIES = "no label probabilities"

NO_LABEL = "no item has this label"

LABEL_UNUSED = "no item has this label, and none is answered with it"

NOT_DEFINED = "not defined on these items"


@dataclass(frozen=True)
class LabelCounts:
    """Scores of single labels, each of shape (labels,)."""

    support: np.ndarray
    """Items that have the label."""
    predicted: np.ndarray
    """Items answered with it."""
    precision: np.ndarray
    recall: Resampled
    """NaN for a label without items."""
    f1: Resampled
    """NaN for a label without items and answers."""


@dataclass(frozen=True)
class ResampledScores:
    """Scores of one set of answers."""

    gold: np.ndarray
    measures: dict[str, Resampled]
    """By name; NaN if the measure needs probabilities and there are none."""
    labels: LabelCounts | None = None
    """None of generated texts."""
    tau: Resampled | None = None
    """Of a decision rule that has one."""


def resample_scores(
    answers: Predictions, weights: np.ndarray, decision: Decision | None = None, refits: Refits | None = None
) -> ResampledScores:
    """Compute every measure on the items and on every resample.

    Parameters
    ----------
    answers
        The answers as they were given.
    weights
        Weights of the items, shape (samples, items), as `bootstrap.draw_weights` gives them.
    decision
        The decision rule by which labels are answered instead; None for the answers as they are.
    refits
        The decision rule fitted on every resample, whose answers and probabilities count there; None for a rule that
        is the same on all.
    """
    if answers.kind not in LABEL_KINDS:
        return _resample_generated(answers, weights)
    gold, labels = answers.gold, len(answers.labels)
    given = answers.answer if decision is None else decision.answer
    counts = confusion_counts(gold, given, labels)
    drawn = confusion_counts(gold, given if refits is None else refits.answers(), labels, weights)
    measures = {}
    for name, measure in measures_of(answers.kind).items():
        if measure.needs == "confusion":
            measures[name] = Resampled(measure.function(counts), measure.function(drawn))
        elif answers.logprobs is None:
            measures[name] = Resampled(np.nan, np.full(len(weights), np.nan))
        else:
            logs = normalize(answers.logprobs)
            probabilities = np.exp(logs if decision is None else normalize(logs + decision.bias))
            by_item = measure.function(probabilities, gold)
            drawn_items = by_item if refits is None else refits.by_item(measure.function, gold)
            measures[name] = Resampled(by_item.mean(), average_items(drawn_items, weights))
    by_label = (Resampled(score(counts), score(drawn)) for score in (recalls, label_f1))
    labels_counted = LabelCounts(counts.sum(-1), counts.sum(0)[:-1], precisions(counts), *by_label)
    return ResampledScores(gold, measures, labels_counted, tau=refits and refits.tau)


def _resample_generated(answers: Predictions, weights: np.ndarray) -> ResampledScores:
    """The same of sets of labels and of texts, which no decision rule answers."""
    has_labels, measures = answers.kind == "multi_label", {}
    counts, drawn = (count_answers(answers, each) if has_labels else None for each in (None, weights))
    for name, measure in measures_of(answers.kind).items():
        if measure.is_item_mean:
            by_item = score_items(answers, measure)
            measures[name] = Resampled(by_item.mean(), average_items(by_item, weights))
        else:
            measures[name] = Resampled(measure.function(counts), measure.function(drawn))
    if not has_labels:
        return ResampledScores(answers.gold, measures)
    both, predicted, support = np.moveaxis(counts, -1, 0)
    recall = (divide(table[..., 0], table[..., 2], np.nan) for table in (counts, drawn))
    scores = Resampled(*recall), Resampled(set_f1(counts), set_f1(drawn))
    return ResampledScores(answers.gold, measures, LabelCounts(support, predicted, divide(both, predicted, 0), *scores))


def average_items(by_item: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average over the items of every resample, shape (items,) or (samples, items) to (samples,)."""
    sums = weights @ by_item if by_item.ndim == 1 else np.einsum("si,si->s", weights, by_item)
    return sums / weights.sum(1)


class ScoreTable:
    """Resampled scores of every model and baseline by task, split and decision rule, each computed once.

    Parameters
    ----------
    predictions
        Of models and baselines.
    rules
        Their answers by every decision rule.
    bootstrap
        Resamples of the items.
    task_score
        The pseudo-measure of tasks that have different measures of their own; None if they share one.
    """

    def __init__(
        self,
        predictions: dict[Key, Predictions],
        rules: DecisionRules,
        bootstrap: Bootstrap,
        task_score: Measure | None = None,
    ):
        self.predictions, self.rules, self.bootstrap, self.task_score = predictions, rules, bootstrap, task_score
        self._scores: dict[tuple, ResampledScores] = {}

    def __call__(self, lineage: str, task: str, split: str, rule: str = ARGMAX) -> ResampledScores:
        key = lineage, task, split, rule
        if key not in self._scores:
            answers = self.predictions[lineage, task, split]
            refits = self.rules.refit(lineage, task, split, rule, self.bootstrap)
            decision = None if rule == ARGMAX else self.rules.apply(lineage, task, split)[rule]
            scores = resample_scores(answers, self.bootstrap.weights(task, split, answers), decision, refits)
            if self.task_score:
                measure, scored = MEASURES[answers.own], scores.measures[answers.own]
                scores.measures[TASK_SCORE] = Resampled(*map(measure.oriented, scored))
            self._scores[key] = scores
        return self._scores[key]

    def measure(self, name: str) -> Measure:
        """A measure of the scores."""
        return self.task_score if name == TASK_SCORE else MEASURES[name]

    def units(self, lineage: str, task: str, split: str) -> int:
        """Items, or groups of items, that are resampled."""
        return self.predictions[lineage, task, split].units


def missing_reason(name: str) -> str:
    """Say why a measure is NaN."""
    return NO_PROBABILITIES if name in MEASURES and MEASURES[name].needs == "probabilities" else NOT_DEFINED


def score_record(table: ScoreTable, lineage: str, task: str, split: str, rule: str = ARGMAX) -> Score:
    """Record one model or baseline under one decision rule."""
    scores, units = table(lineage, task, split, rule), table.units(lineage, task, split)
    decision = None if rule == ARGMAX else table.rules.apply(lineage, task, split)[rule]
    value = table.bootstrap.value
    return Score(
        lineages=[lineage],
        task=task,
        split=split,
        rule=rule,
        tau=scores.tau and value(scores.tau, units),
        # Adding 0 turns a negative zero into a plain one.
        bias=None if decision is None else (decision.bias + 0.0).tolist(),
        measures={name: value(scored, units, missing_reason(name)) for name, scored in scores.measures.items()},
        labels=_label_scores(table, scores.labels, table.predictions[lineage, task, split].labels, units, rule),
    )


def _label_scores(table: ScoreTable, counts: LabelCounts | None, labels: list[str], units: int, rule: str):
    if counts is None:
        return []
    value, is_plain = table.bootstrap.value, rule == ARGMAX
    return [
        LabelScore(
            label=label,
            support=int(counts.support[n]) if is_plain else None,
            predicted=int(counts.predicted[n]),
            precision=float(counts.precision[n]) if is_plain else None,
            recall=value(Resampled(counts.recall.value[n], counts.recall.draws[:, n]), units, NO_LABEL),
            f1=value(Resampled(counts.f1.value[n], counts.f1.draws[:, n]), units, LABEL_UNUSED) if is_plain else None,
        )
        for n, label in enumerate(labels)
    ]


def score_over_runs(table: ScoreTable, lineages: list[str], task: str, split: str, rule: str) -> Score:
    """Record adapters that differ in seed and fold alone, one a run, together."""
    runs = [table(lineage, task, split, rule) for lineage in lineages]
    answers = table.predictions[lineages[0], task, split]

    def recall(n: int) -> Value:
        by_run = [Resampled(run.labels.recall.value[n], run.labels.recall.draws[:, n]) for run in runs]
        return table.bootstrap.over_runs(by_run, answers.units, (0, 1), NO_LABEL).value

    measures = {}
    for name in runs[0].measures:
        by_run, limits = [run.measures[name] for run in runs], table.measure(name).range
        measures[name] = table.bootstrap.over_runs(by_run, answers.units, limits, missing_reason(name)).value
    return Score(
        lineages=lineages,
        task=task,
        split=split,
        rule=rule,
        measures=measures,
        labels=[LabelScore(label=label, recall=recall(n)) for n, label in enumerate(answers.labels)],
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
