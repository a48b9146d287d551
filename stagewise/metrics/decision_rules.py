"""Decision rules: what is added to each label's log-probability before the largest one is the answer.

Log-probabilities are renormalized over the task's labels first, so that they are log p(label | input, one of the
labels). Nothing here needs the model again.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stagewise.measures import MEASURES, Measure
from stagewise.metrics.bootstrap import Bootstrap, Resampled
from stagewise.metrics.prediction_table import Key, Predictions
from stagewise.metrics.schema import RULES, Omitted

ARGMAX, PRIOR, BATCH, CONTEXTUAL = RULES

TAUS = np.arange(61) / 20
"""Strengths of the prior adjustment that are tried: 0 to 3 in steps of 0.05."""

FLOOR = -700.0
"""Log-probabilities below this count as this: their differences stay finite."""

BLOCK = 2**16
"""Numbers that are worked on at a time where every resample has answers of its own: what fits a processor's cache."""


@dataclass(frozen=True)
class Decision:
    """Answers by one rule."""

    answer: np.ndarray
    """Codes in label order, shape (items,)."""
    bias: np.ndarray
    """Added to each label's log-probability, shape (labels,)."""
    tau: float | None = None


@dataclass(frozen=True)
class Refits:
    """A decision rule that was fitted anew on every resample, and the items it answers."""

    logs: np.ndarray
    """Renormalized log-probabilities of the answered items, shape (items, labels)."""
    biases: np.ndarray
    """Every bias that some resample has, shape (fits, labels)."""
    fit: np.ndarray
    """Number of each resample's bias, shape (samples,)."""
    tau: Resampled | None = None
    """Of `prior-adjusted`."""

    def answers(self) -> np.ndarray:
        """Answers of every resample's rule, shape (samples, items)."""
        logs, lowest, highest = self.logs, self.biases.min(0), self.biases.max(0)
        answers = np.repeat((logs + lowest).argmax(1)[None], len(self.biases), 0)
        # Most items have one label that is the answer whatever the fit.
        rivals = logs + highest >= (logs + lowest).max(1, keepdims=True)
        undecided = np.flatnonzero(rivals.sum(1) > 1)
        for part in _blocks(len(self.biases), undecided.size * logs.shape[1]):
            answers[part, undecided] = (logs[undecided] + self.biases[part, None]).argmax(-1)
        return answers[self.fit]

    def by_item(self, function: Callable, gold: np.ndarray) -> np.ndarray:
        """Apply a measure's function to the probabilities of every resample's rule, shape (samples, items).

        `function` takes probabilities of shape (n, labels) and n gold codes, and returns n values; `gold` holds the
        items' codes.
        """
        probabilities, factors, scale = self._shifted()
        values, labels = np.empty(scale.shape), probabilities.shape[1]
        for part in _blocks(len(factors), probabilities.size):
            shifted = np.empty((*scale[part].shape, labels))
            for label in range(labels):
                shifted[..., label] = probabilities[:, label] * factors[part, label, None] * scale[part]
            by_row = function(shifted.reshape(-1, labels), np.tile(gold, len(shifted)))
            values[part] = by_row.reshape(len(shifted), -1)
        return values[self.fit]

    def of_gold(self, gold: np.ndarray) -> np.ndarray:
        """Probability that every resample's rule gives to each item's gold label, shape (samples, items)."""
        probabilities, factors, scale = self._shifted()
        return (factors[:, gold] * probabilities[np.arange(len(gold)), gold] * scale)[self.fit]

    def _shifted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Three factors: by item and label, by fit and label, and, so that rows add up to 1, by fit and item."""
        # None above 1, so that no product is too large.
        probabilities, factors = np.exp(self.logs), np.exp(self.biases - self.biases.max(1, keepdims=True))
        return probabilities, factors, 1 / (factors @ probabilities.T)


def _blocks(fits: int, size: int) -> list[slice]:
    """Slices of the fits whose working memory, `size` numbers per fit, is about `BLOCK` numbers."""
    step = max(BLOCK // max(size, 1), 1)
    return [slice(start, start + step) for start in range(0, fits, step)]


def normalize(logprobs: np.ndarray) -> np.ndarray:
    """Renormalize log-probabilities over the labels, shape (items, labels), none below `FLOOR`."""
    from scipy.special import log_softmax

    return np.maximum(log_softmax(logprobs, axis=-1), FLOOR)


def log_priors(items: list[str], labels: list[str]) -> np.ndarray:
    """Log share of each label among `items`, shape (labels,); a label that never occurs counts as half an item."""
    counts = np.maximum([items.count(label) for label in labels], 0.5)
    return np.log(counts / counts.sum())


def fit_prior_adjustment(
    logs: np.ndarray, gold: np.ndarray, priors: np.ndarray, measure: Measure
) -> tuple[float, np.ndarray]:
    """Fit tau and bias of logit adjustment, -tau times the log priors (Menon et al. 2021, arXiv:2007.07314, eq. 9).

    Parameters
    ----------
    logs, gold
        Renormalized log-probabilities, shape (items, labels), and gold codes of the validation items.
    priors
        Log shares of the labels in training, shape (labels,).
    measure
        The measure whose best value on these items chooses tau, the smallest of `TAUS` if several have it.
    """
    (best,) = choose_taus(logs, gold, priors, np.ones((1, len(gold))), measure)
    return float(TAUS[best]), -TAUS[best] * priors


def choose_taus(
    logs: np.ndarray, gold: np.ndarray, priors: np.ndarray, weights: np.ndarray, measure: Measure
) -> np.ndarray:
    """Choose tau on every resample of the validation items; numbers in `TAUS`, shape (samples,).

    As `fit_prior_adjustment`, with weights of the items, shape (samples, items).
    """
    by_tau = _item_means if measure.needs == "probabilities" or measure.is_accuracy else _confusion_scores
    scores = by_tau(logs, gold, priors, weights, measure) * (1 if measure.higher_is_better else -1)
    scores = np.where(np.isnan(scores), -np.inf, scores)
    # Equal scores may differ in their last digit.
    return np.argmax(scores >= np.max(scores, 0) - 1e-12, 0)


def _item_means(logs, gold, priors, weights, measure: Measure) -> np.ndarray:
    """Score every tau on every resample, shape (taus, samples), by a measure that is a mean over items."""
    by_item = np.empty((len(TAUS), len(gold)))
    for number, tau in enumerate(TAUS):
        adjusted = logs - tau * priors
        if measure.needs == "probabilities":
            by_item[number] = measure.function(np.exp(normalize(adjusted)), gold)
        else:
            by_item[number] = adjusted.argmax(1) == gold
    return by_item @ weights.T / weights.sum(1)


def _confusion_scores(logs, gold, priors, weights, measure: Measure) -> np.ndarray:
    """Score every tau on every resample, shape (taus, samples), by a measure of the confusion counts.

    From one tau to the next few answers change, so that counts are moved by those alone.
    """
    shape = logs.shape[1], logs.shape[1] + 1
    counts = np.zeros((shape[0] * shape[1], len(weights)))
    scores, before = np.empty((len(TAUS), len(weights))), None
    for number, tau in enumerate(TAUS):
        cells = gold * shape[1] + (logs - tau * priors).argmax(1)
        changed = np.arange(len(gold)) if before is None else np.flatnonzero(cells != before)
        if changed.size:
            moves = [(1, cells)] if before is None else [(1, cells), (-1, before)]
            for sign, of_items in moves:
                filled, position = np.unique(of_items[changed], return_inverse=True)
                one_hot = np.equal.outer(np.arange(len(filled)), position).astype(weights.dtype)
                counts[filled] += sign * (one_hot @ weights.T[changed])
            scores[number] = measure.function(np.moveaxis(counts.reshape(*shape, -1), -1, 0))
        else:
            scores[number] = scores[number - 1]
        before = cells
    return scores


def remove_average(logs: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return minus the log of each label's mean probability, shape (inputs, labels) to (labels).

    Over the items of a batch that is batch calibration (Zhou et al. 2023, arXiv:2309.17249), which divides
    p(label | input) by its mean over the batch; over inputs without content it is contextual calibration (Zhao et al.
    2021, arXiv:2102.09690), which divides by the mean over those. With weights of the inputs, shape (samples, inputs),
    the result has shape (samples, labels). Nothing is added to a label that no input can be answered with, such as an
    option that none has: it could win where it does not exist.
    """
    probabilities = np.exp(logs)
    mean = probabilities.mean(0) if weights is None else weights @ probabilities / weights.sum(1, keepdims=True)
    return np.where(mean > np.exp(FLOOR + 1), -np.log(np.maximum(mean, np.exp(FLOOR))), 0.0)


class DecisionRules:
    """Answers of every model by every rule that its files allow, each worked out once.

    Parameters
    ----------
    predictions
        Of models and baselines; a baseline has no rule but ``argmax``.
    priors
        Log shares of the labels in training by lineage and task: the models.
    content_free
        Log-probabilities after inputs without content by lineage and task, shape (inputs, labels).

    Tau is chosen by the task's own measure, which rules are judged by.
    """

    def __init__(
        self,
        predictions: dict[Key, Predictions],
        priors: dict[tuple[str, str], np.ndarray],
        content_free: dict[tuple[str, str], np.ndarray],
    ):
        self._predictions, self._priors, self._content_free = predictions, priors, content_free
        self._decisions: dict[Key, dict[str, Decision]] = {}
        self._fitted: dict[tuple[str, str], tuple[float, np.ndarray] | None] = {}

    def apply(self, lineage: str, task: str, split: str) -> dict[str, Decision]:
        """Answers by rule; without log-probabilities there is only ``argmax``, the answers as they were given."""
        key = lineage, task, split
        if key not in self._decisions:
            self._decisions[key] = self._apply(*key)
        return self._decisions[key]

    def of(self, lineage: str, task: str, split: str) -> list[str]:
        """Names of the rules that a model or baseline has answers by."""
        return list(self.apply(lineage, task, split))

    def shared(self, lineages: list[str], task: str, split: str) -> list[str]:
        """Names of the rules that all of these lineages have answers by."""
        return [rule for rule in RULES if all(rule in self.apply(name, task, split) for name in lineages)]

    def _apply(self, lineage: str, task: str, split: str) -> dict[str, Decision]:
        answers = self._predictions[lineage, task, split]
        decisions = {ARGMAX: Decision(answers.answer, np.zeros(len(answers.labels)))}
        if answers.logprobs is None or (lineage, task) not in self._priors:
            return decisions
        logs = normalize(answers.logprobs)
        # On the items that tau was chosen by, the rule would flatter itself.
        if split != "validation" and (fitted := self._fit(lineage, task)):
            tau, bias = fitted
            decisions[PRIOR] = Decision((logs + bias).argmax(1), bias, tau)
        bias = remove_average(logs)
        decisions[BATCH] = Decision((logs + bias).argmax(1), bias)
        if (lineage, task) in self._content_free:
            bias = remove_average(normalize(self._content_free[lineage, task]))
            decisions[CONTEXTUAL] = Decision((logs + bias).argmax(1), bias)
        return decisions

    def _fit(self, lineage: str, task: str) -> tuple[float, np.ndarray] | None:
        """Tau and bias fitted on validation; None if it has no log-probabilities."""
        key = lineage, task
        if key not in self._fitted:
            validation = self._predictions.get((lineage, task, "validation"))
            fitted = None
            if validation is not None and validation.logprobs is not None:
                measure = MEASURES[validation.own]
                fitted = fit_prior_adjustment(
                    normalize(validation.logprobs), validation.gold, self._priors[key], measure
                )
            self._fitted[key] = fitted
        return self._fitted[key]

    def refit(self, lineage: str, task: str, split: str, rule: str, bootstrap: Bootstrap) -> Refits | None:
        """Fit a rule anew on every resample of the items it is fitted on; None if it is fitted on none.

        ``prior-adjusted`` is fitted on validation, whose resamples are independent of the split's, and
        ``batch-calibrated`` on the split itself: its mean is that of the resampled batch.
        """
        if rule not in (PRIOR, BATCH):
            return None
        fitted_on = "validation" if rule == PRIOR else split
        answers, items = self._predictions[lineage, task, split], self._predictions[lineage, task, fitted_on]
        logs, weights = normalize(answers.logprobs), bootstrap.weights(task, fitted_on, items)
        if rule == BATCH:
            return Refits(logs, remove_average(logs, weights), np.arange(len(weights)))
        priors = self._priors[lineage, task]
        taus = TAUS[choose_taus(normalize(items.logprobs), items.gold, priors, weights, MEASURES[items.own])]
        tried, fit = np.unique(taus, return_inverse=True)
        return Refits(logs, -tried[:, None] * priors, fit, Resampled(self._fit(lineage, task)[0], taus))

    def omitted(self, tasks: list[str], splits: list[str]) -> list[Omitted]:
        """List what no rule could be applied to, and why."""
        entries = []
        for task in tasks:
            models = [lineage for lineage, name in self._priors if name == task]
            answers = [self._predictions[lineage, task, split] for lineage in models for split in splits]
            if any(entry.logprobs is None for entry in answers):
                reason = "some answers are without log-probabilities (they were generated)"
                entries.append(Omitted(what=f"decision rules and discrimination on {task}", reason=reason))
            elif without := [lineage for lineage in models if (lineage, task) not in self._content_free]:
                reason = f"{len(without)} of {len(models)} predictions have no answers to inputs without content"
                entries.append(Omitted(what=f"the decision rule {CONTEXTUAL} on {task}", reason=reason))
        fitted = f"the decision rule {PRIOR} and the fitted log loss"
        if "validation" not in splits:
            reason = "they are fitted on validation, which evaluation.splits leaves out"
            entries.append(Omitted(what=fitted, reason=reason))
        else:
            reason = "they are fitted on these items, which would flatter them"
            entries.append(Omitted(what=f"{fitted} on validation", reason=reason))
        return entries
