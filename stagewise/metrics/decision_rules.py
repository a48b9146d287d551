"""Decision rules: what is added to each label's log-probability before the largest one is the answer.

Log-probabilities are renormalized over the task's labels first, so that they are log p(label | input, one of the
labels). Nothing here needs the model again.
"""

from dataclasses import dataclass

import numpy as np

from stagewise.measures import confusion_counts, macro_f1
from stagewise.metrics.prediction_table import Key, Predictions
from stagewise.metrics.schema import RULES, Omitted

ARGMAX, PRIOR, BATCH, CONTEXTUAL = RULES

TAUS = np.arange(61) / 20
"""Strengths of the prior adjustment that are tried: 0 to 3 in steps of 0.05."""

FLOOR = -700.0
"""Log-probabilities below this count as this: their differences stay finite."""


@dataclass(frozen=True)
class Decision:
    """Answers by one rule."""

    answer: np.ndarray
    """Codes in label order, shape (items,)."""
    bias: np.ndarray
    """Added to each label's log-probability, shape (labels,)."""
    tau: float | None = None


def normalize(logprobs: np.ndarray) -> np.ndarray:
    """Renormalize log-probabilities over the labels, shape (items, labels), none below `FLOOR`."""
    from scipy.special import log_softmax

    return np.maximum(log_softmax(logprobs, axis=-1), FLOOR)


def log_priors(items: list[str], labels: list[str]) -> np.ndarray:
    """Log share of each label among `items`, shape (labels,); a label that never occurs counts as half an item."""
    counts = np.maximum([items.count(label) for label in labels], 0.5)
    return np.log(counts / counts.sum())


def fit_prior_adjustment(logs: np.ndarray, gold: np.ndarray, priors: np.ndarray) -> tuple[float, np.ndarray]:
    """Fit tau and bias of logit adjustment, -tau times the log priors (Menon et al. 2021, arXiv:2007.07314, eq. 9).

    Parameters
    ----------
    logs, gold
        Renormalized log-probabilities, shape (items, labels), and gold codes of the validation items; tau maximizes
        their macro-F1, the smallest of `TAUS` if several do.
    priors
        Log shares of the labels in training, shape (labels,).
    """
    labels = logs.shape[1]
    scores = []
    for tau in TAUS:
        scores.append(macro_f1(confusion_counts(gold, (logs - tau * priors).argmax(1), labels)))
    # Equal scores may differ in their last digit.
    best = int(np.argmax(np.array(scores) >= max(scores) - 1e-12))
    return float(TAUS[best]), -TAUS[best] * priors


def remove_average(logs: np.ndarray) -> np.ndarray:
    """Return minus the log of each label's mean probability, shape (inputs, labels) to (labels).

    Over the items of a batch that is batch calibration (Zhou et al. 2023, arXiv:2309.17249), which divides
    p(label | input) by its mean over the batch; over inputs without content it is contextual calibration (Zhao et al.
    2021, arXiv:2102.09690), which divides by the mean over those.
    """
    return -np.log(np.maximum(np.exp(logs).mean(0), np.exp(FLOOR)))


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
                fitted = fit_prior_adjustment(normalize(validation.logprobs), validation.gold, self._priors[key])
            self._fitted[key] = fitted
        return self._fitted[key]

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
