"""What a shifted label prior does not move: how well labels are told apart, and the loss once a bias is fitted."""

from itertools import combinations

import numpy as np

from stagewise.metrics.classification import NO_PROBABILITIES, log_losses
from stagewise.metrics.decision_rules import normalized
from stagewise.metrics.intervals import estimate
from stagewise.metrics.read_results import Run
from stagewise.metrics.records import scorer
from stagewise.metrics.resampling import Draws
from stagewise.metrics.schema import AurocPair, Change, Discrimination, Estimate

ABSENT = "a label of the pair has no item"


def pair_aurocs(logs: np.ndarray, gold: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """AUROC of every pair of labels on their log-odds, items of the two labels alone (Hand & Till 2001).

    Hand and Till average one AUROC by each label's probability; on the log-odds of the pair both are the same number.
    It is the share of pairs of items, one of each label, whose log-odds are in the right order; equal ones count
    half.

    Parameters
    ----------
    logs
        Log-probabilities, shape (items, labels).
    gold
        Codes, shape (items,).
    weights
        How often each item counts, shape (samples, items); each once if not given.

    Returns
    -------
    Shape (samples, pairs), pairs in the order of `itertools.combinations`; NaN where a label has no item.
    """
    weights = np.ones((1, len(gold))) if weights is None else weights
    found = []
    for first, second in combinations(range(logs.shape[1]), 2):
        odds = logs[:, first] - logs[:, second]
        ours, theirs = (np.flatnonzero(gold == label) for label in (first, second))
        theirs = theirs[np.argsort(odds[theirs])]
        # Weight of the other label's items below each of ours, from running sums over those in order.
        running = np.concatenate([np.zeros((1, len(weights)), weights.dtype), weights.T[theirs].cumsum(0)])
        below, up_to = (np.searchsorted(odds[theirs], odds[ours], side) for side in ("left", "right"))
        in_order = np.einsum("is,is->s", weights.T[ours], running[below] + running[up_to]) / 2
        every = weights.T[ours].sum(0) * running[-1]
        found.append(np.divide(in_order, every, out=np.full(len(every), np.nan), where=every > 0))
    return np.stack(found, 1)


def fit_bias(logs: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """The bias of each label, the first fixed at 0, that minimizes the mean log loss; shape (labels,).

    The loss is convex in the bias. Bounds of 20 nats keep the optimum finite where the labels are told apart perfectly.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    labels = logs.shape[1]
    wanted = np.eye(labels)[gold]

    def loss(free):
        shifted = log_softmax(logs + np.concatenate([[0], free]), axis=1)
        return -(wanted * shifted).sum(1).mean(), (np.exp(shifted) - wanted).mean(0)[1:]

    found = minimize(loss, np.zeros(labels - 1), jac=True, method="L-BFGS-B", bounds=[(-20, 20)] * (labels - 1))
    return np.concatenate([[0], found.x])


class Discriminator:
    """Discrimination of every lineage, each computed once."""

    def __init__(self, run: Run, draws: Draws):
        self.run, self.draws, self._known, self._fitted = run, draws, {}, {}

    def aurocs(self, lineage: str, task: str, split: str) -> tuple[np.ndarray, np.ndarray] | None:
        """AUROC by pair, shape (pairs,), and on every resample, (samples, pairs); None without log-probabilities."""
        key = lineage, task, split
        if key not in self._known:
            answers, found = self.run.answers[key], None
            if answers.logprobs is not None:
                logs, weights = normalized(answers.logprobs), self.draws.weights(task, split, len(answers))
                found = pair_aurocs(logs, answers.gold)[0], pair_aurocs(logs, answers.gold, weights)
            self._known[key] = found
        return self._known[key]

    def change(self, before: str, after: str, task: str, split: str) -> Change | None:
        """Mean AUROC of one lineage and another on the same items; None where it cannot be computed."""
        first, second = self.aurocs(before, task, split), self.aurocs(after, task, split)
        if first is None or second is None or np.isnan(first[0]).any():
            return None
        (old, old_draws), (new, new_draws) = ((value.mean(), draws.mean(1)) for value, draws in (first, second))
        items, confidence = len(self.run.answers[after, task, split]), self.run.config.statistics.confidence
        difference = estimate(new - old, new_draws - old_draws, items, confidence)
        return Change(measure="auroc", before=float(old), after=float(new), difference=difference)

    def records(self) -> list[Discrimination]:
        """One record for every lineage, task and split with log-probabilities."""
        return [self._record(*key) for key in self.run.answers if self.aurocs(*key) is not None]

    def _record(self, lineage: str, task: str, split: str) -> Discrimination:
        answers, (values, draws) = self.run.answers[lineage, task, split], self.aurocs(lineage, task, split)
        items, confidence = len(answers), self.run.config.statistics.confidence
        pairs = combinations(answers.words, 2)
        bias, _ = self.bias(lineage, task, split)
        return Discrimination(
            **scorer(self.run, lineage),
            task=task,
            split=split,
            items=items,
            auroc=estimate(values.mean(), draws.mean(1), items, confidence, ABSENT),
            pairs=[
                AurocPair(first=first, second=second, auroc=estimate(value, drawn, items, confidence, ABSENT))
                for (first, second), value, drawn in zip(pairs, values, draws.T, strict=True)
            ],
            log_loss=self._loss(lineage, task, split, fitted=False),
            log_loss_fitted=self._loss(lineage, task, split, fitted=True),
            bias=None if bias is None else bias.tolist(),
        )

    def losses(self, lineage: str, task: str, split: str, fitted: bool) -> np.ndarray | None:
        """Log loss of every item, nats, shape (items,), with the fitted bias or without; None where it has none."""
        answers = self.run.answers[lineage, task, split]
        bias, _ = self.bias(lineage, task, split)
        if answers.logprobs is None or (fitted and bias is None):
            return None
        logs = normalized(answers.logprobs)
        return log_losses(np.exp(normalized(logs + bias) if fitted else logs), answers.gold)

    def loss_draws(self, losses: np.ndarray, task: str, split: str) -> np.ndarray:
        """Mean log loss on every resample of the items, shape (samples,)."""
        return self.draws.weights(task, split, len(losses)) @ losses / len(losses)

    def _loss(self, *key: str, fitted: bool) -> Estimate:
        losses, confidence = self.losses(*key, fitted), self.run.config.statistics.confidence
        if losses is None:
            return Estimate(value=None, reason=self.bias(*key)[1])
        return estimate(losses.mean(), self.loss_draws(losses, *key[1:]), len(losses), confidence)

    def bias(self, lineage: str, task: str, split: str) -> tuple[np.ndarray | None, str | None]:
        """The bias fitted on validation, shape (labels,), or None and why there is none for this split."""
        if split == "validation":
            return None, "the bias is fitted on these items"
        if (lineage, task) not in self._fitted:
            known = self.run.answers.get((lineage, task, "validation"))
            if known is None:
                self._fitted[lineage, task] = None, "the validation split was not scored"
            elif known.logprobs is None:
                self._fitted[lineage, task] = None, NO_PROBABILITIES
            elif len(set(known.gold.tolist())) < len(known.words):
                self._fitted[lineage, task] = None, "a label has no validation item to fit its bias on"
            else:
                self._fitted[lineage, task] = fit_bias(normalized(known.logprobs), known.gold), None
        return self._fitted[lineage, task]
