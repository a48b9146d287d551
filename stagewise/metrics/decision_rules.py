"""Decision rules: what is added to each label's log-probability before the largest one is the answer.

Log-probabilities are renormalized over the task's labels first, so that they are log p(label | input, one of the
labels). Nothing here needs the model again.
"""

from dataclasses import dataclass

import numpy as np

from stagewise.metrics import intervals
from stagewise.metrics.prediction_table import Answers
from stagewise.metrics.read_results import Run
from stagewise.metrics.schema import RULES, Omitted

ARGMAX, PRIOR, BATCH, CONTEXTUAL = RULES

TAUS = np.arange(61) / 20
"""Strengths of the prior adjustment that are tried: 0 to 3 in steps of 0.05."""

LEAST = -700.0
"""Log-probabilities below this count as this: their differences stay finite."""


@dataclass(frozen=True)
class Decided:
    """Answers by one rule."""

    answer: np.ndarray
    """Codes in label order, shape (items,)."""
    bias: np.ndarray
    """What was added to each label's log-probability, shape (labels,)."""
    tau: float | None = None


def normalized(logprobs: np.ndarray) -> np.ndarray:
    """Log-probabilities renormalized over the labels, shape (items, labels), none below `LEAST`."""
    from scipy.special import log_softmax

    return np.maximum(log_softmax(logprobs, axis=-1), LEAST)


def log_priors(labels: list[str], words: list[str]) -> np.ndarray:
    """Log share of each label, shape (labels,); one that never occurs counts as half an item."""
    counts = np.maximum([labels.count(word) for word in words], 0.5)
    return np.log(counts / counts.sum())


def prior_adjusted(logs: np.ndarray, gold: np.ndarray, priors: np.ndarray) -> tuple[float, np.ndarray]:
    """Tau and bias of logit adjustment, -tau times the log priors (Menon et al. 2021, arXiv:2007.07314, eq. 9).

    Parameters
    ----------
    logs, gold
        Renormalized log-probabilities, shape (items, labels), and gold codes of the validation items; tau maximizes
        their macro-F1, the smallest of `TAUS` where several do.
    priors
        Log shares of the labels in training, shape (labels,).
    """
    labels = logs.shape[1]
    scores = []
    for tau in TAUS:
        answer = (logs - tau * priors).argmax(1)
        table = np.bincount(gold * (labels + 1) + answer, minlength=labels * (labels + 1))
        scores.append(intervals.class_f1(table.reshape(labels, labels + 1)).mean())
    # Equal scores may differ in their last digit.
    best = int(np.argmax(np.array(scores) >= max(scores) - 1e-12))
    return float(TAUS[best]), -TAUS[best] * priors


def average_removed(logs: np.ndarray) -> np.ndarray:
    """Minus the log of the mean probability of each label, shape (inputs, labels) to (labels).

    Over the items of a batch that is batch calibration (Zhou et al. 2023, arXiv:2309.17249), which divides
    p(label | input) by its mean over the batch; over inputs without content it is contextual calibration (Zhao et al.
    2021, arXiv:2102.09690), which divides by the mean over those.
    """
    return -np.log(np.maximum(np.exp(logs).mean(0), np.exp(LEAST)))


class Decider:
    """Answers of every lineage by every rule that its files allow, each worked out once."""

    def __init__(self, run: Run):
        self.run, self._known, self._fitted = run, {}, {}

    def decide(self, lineage: str, task: str, split: str) -> dict[str, Decided]:
        """Answers by rule; without log-probabilities there is only ``argmax``, the answers as they were given."""
        key = lineage, task, split
        if key not in self._known:
            self._known[key] = self._decide(*key)
        return self._known[key]

    def rules(self, lineages: list[str], task: str, split: str) -> list[str]:
        """Rules that all of these lineages have answers by."""
        return [rule for rule in RULES if all(rule in self.decide(each, task, split) for each in lineages)]

    def _decide(self, lineage: str, task: str, split: str) -> dict[str, Decided]:
        answers = self.run.answers[lineage, task, split]
        none = np.zeros(len(answers.words))
        found = {ARGMAX: Decided(answers.answer, none)}
        if answers.logprobs is None:
            return found
        logs = normalized(answers.logprobs)
        # On the items that tau was chosen by, the rule would flatter itself.
        if split != "validation" and (fitted := self._tau(lineage, task)):
            tau, bias = fitted
            found[PRIOR] = Decided((logs + bias).argmax(1), bias, tau)
        bias = average_removed(logs)
        found[BATCH] = Decided((logs + bias).argmax(1), bias)
        if (lineage, task) in self.run.content_free:
            bias = average_removed(normalized(self.run.content_free[lineage, task]))
            found[CONTEXTUAL] = Decided((logs + bias).argmax(1), bias)
        return found

    def _tau(self, lineage: str, task: str) -> tuple[float, np.ndarray] | None:
        if (lineage, task) not in self._fitted:
            known: Answers | None = self.run.answers.get((lineage, task, "validation"))
            fitted = None
            if known is not None and known.logprobs is not None:
                labels = [item["label"] for item in self.run.items_of(lineage, task, "train")]
                priors = log_priors(labels, known.words)
                fitted = prior_adjusted(normalized(known.logprobs), known.gold, priors)
            self._fitted[lineage, task] = fitted
        return self._fitted[lineage, task]

    def omitted(self) -> list[Omitted]:
        """What no rule could be applied to, and why."""
        splits, found = self.run.config.evaluation.splits, []
        for task in self.run.config.active_tasks:
            answers = {key[0]: value for key, value in self.run.answers.items() if key[1] == task}
            if any(each.logprobs is None for each in answers.values()):
                reason = "some answers are without log-probabilities (they were generated)"
                found.append(Omitted(what=f"decision rules and discrimination on {task}", reason=reason))
            elif without := [each for each in answers if (each, task) not in self.run.content_free]:
                reason = f"{len(without)} of {len(answers)} predictions have no answers to inputs without content"
                found.append(Omitted(what=f"the decision rule {CONTEXTUAL} on {task}", reason=reason))
        fitted = f"the decision rule {PRIOR} and the fitted log loss"
        if "validation" not in splits:
            reason = "they are fitted on validation, which evaluation.splits leaves out"
            found.append(Omitted(what=fitted, reason=reason))
        else:
            reason = "they are fitted on these items, which would flatter them"
            found.append(Omitted(what=f"{fitted} on validation", reason=reason))
        return found
