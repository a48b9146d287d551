"""Discrimination, which a shifted label prior does not move: pairwise AUROC, and log loss once a bias is fitted."""

from itertools import combinations

import numpy as np

from stagewise.counts import average_labels
from stagewise.measures import FIXED_LABELS
from stagewise.metrics.bootstrap import Bootstrap, Resampled
from stagewise.metrics.decision_rules import Refits, normalize
from stagewise.metrics.prediction_table import Key, Predictions
from stagewise.metrics.schema import AurocPair, Discrimination, Value
from stagewise.metrics.scores import NO_PROBABILITIES, average_items

MAX_LABELS = 20
"""Labels of which every pair is recorded; with 77 the pairs would be most of the file."""

NO_PAIR = "a label of the pair has no item"

ONE_LABEL = "all items have the same label"

LARGEST_BIAS = 20.0
"""Bound of a fitted bias in both directions, nats."""


def pair_aurocs(logs: np.ndarray, gold: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Compute AUROC of every pair of labels on their log-odds, items of the two labels alone (Hand & Till 2001).

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
    aurocs = []
    for first, second in combinations(range(logs.shape[1]), 2):
        # Equal log-odds may differ in their last digits, because log-probabilities were renormalized.
        odds = (logs[:, first] - logs[:, second]).round(9)
        ours, theirs = (np.flatnonzero(gold == label) for label in (first, second))
        theirs = theirs[np.argsort(odds[theirs])]
        # Weight of the other label's items below each of ours, from running sums over those in order.
        running = np.concatenate([np.zeros((1, len(weights)), weights.dtype), weights.T[theirs].cumsum(0)])
        below, up_to = (np.searchsorted(odds[theirs], odds[ours], side) for side in ("left", "right"))
        in_order = np.einsum("is,is->s", weights.T[ours], running[below] + running[up_to]) / 2
        pairs = weights.T[ours].sum(0) * running[-1]
        aurocs.append(np.divide(in_order, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0))
    return np.stack(aurocs, 1)


def fit_bias(logs: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Fit the bias of each label, the first fixed at 0, that minimizes the mean log loss; shape (labels,).

    The loss is convex in the bias. Bounds of `LARGEST_BIAS` keep the optimum finite if the labels are told apart
    perfectly.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    labels = logs.shape[1]
    target = np.eye(labels)[gold]

    def loss(free):
        shifted = log_softmax(logs + np.concatenate([[0], free]), axis=1)
        return -(target * shifted).sum(1).mean(), (np.exp(shifted) - target).mean(0)[1:]

    optimum = minimize(
        loss, np.zeros(labels - 1), jac=True, method="L-BFGS-B", bounds=[(-LARGEST_BIAS, LARGEST_BIAS)] * (labels - 1)
    )
    return np.concatenate([[0], optimum.x])


def refit_bias(logs: np.ndarray, gold: np.ndarray, bias: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fit the bias on every resample of the items by one Newton step from the fit to all; shape (samples, labels).

    Gradient and Hessian are those of the resample's own loss. One such step has the distribution of the fully refitted
    bias up to terms that are small beside its spread (Davidson & MacKinnon 1999, doi:10.1111/1468-2354.00026; Andrews
    2002, doi:10.1111/1468-0262.00271). A resample without some label, whose optimum is at the bound, falls short of it.

    Parameters
    ----------
    logs, gold
        Log-probabilities, shape (items, labels), and gold codes of the validation items.
    bias
        Fitted to all of them by `fit_bias`, shape (labels,).
    weights
        Weights of the items, shape (samples, items).
    """
    free = np.exp(normalize(logs + bias))[:, 1:]
    shares = weights / weights.sum(1, keepdims=True)
    gradients, means = shares @ (free - np.eye(logs.shape[1])[gold, 1:]), shares @ free
    # Where labels are told apart perfectly the loss is flat: a little curvature keeps the step finite.
    hessians = np.stack([-shares @ (free * label[:, None]) for label in free.T], 1)
    diagonal = np.arange(free.shape[1])
    hessians[:, diagonal, diagonal] += means + 1e-12
    biases = np.zeros((len(weights), logs.shape[1]))
    biases[:, 1:] = bias[1:] - np.linalg.solve(hessians, gradients[..., None])[..., 0]
    return biases.clip(-LARGEST_BIAS, LARGEST_BIAS)


def log_losses(probabilities: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Negative log-probability of each gold label, nats, shape (items,); as in scikit-learn, none counts below 2.2e-16.

    `probabilities` has shape (items, labels), rows adding up to 1; `gold` holds codes, shape (items,).
    """
    return _log_loss(probabilities[np.arange(len(gold)), gold])


def _log_loss(of_gold: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(of_gold, np.finfo(float).eps))


class DiscriminationTable:
    """Discrimination of every model and baseline with log-probabilities, each computed once."""

    def __init__(self, predictions: dict[Key, Predictions], bootstrap: Bootstrap):
        self._predictions, self._bootstrap = predictions, bootstrap
        self._aurocs: dict[Key, Resampled | None] = {}
        self._biases: dict[tuple[str, str], tuple[np.ndarray | None, str | None]] = {}

    def pair_aurocs(self, *key: str) -> Resampled | None:
        """AUROC by pair of labels, by lineage, task and split; None without log-probabilities or fixed labels."""
        if key not in self._aurocs:
            answers, aurocs = self._predictions[key], None
            if answers.logprobs is not None and answers.kind in FIXED_LABELS:
                logs, weights = normalize(answers.logprobs), self._bootstrap.weights(*key[1:], answers)
                aurocs = Resampled(pair_aurocs(logs, answers.gold)[0], pair_aurocs(logs, answers.gold, weights))
            self._aurocs[key] = aurocs
        return self._aurocs[key]

    def auroc(self, *key: str) -> Resampled | None:
        """Mean AUROC over the pairs of labels that items have; None without log-probabilities."""
        pairs = self.pair_aurocs(*key)
        return pairs and Resampled(average_labels(pairs.value), average_labels(pairs.draws))

    def change(self, before: str, after: str, task: str, split: str) -> Value | None:
        """Mean AUROC of one lineage minus another's on the same items; None if it cannot be computed."""
        first, second = self.auroc(before, task, split), self.auroc(after, task, split)
        if first is None or second is None or np.isnan(first.value):
            return None
        difference = Resampled(second.value - first.value, second.draws - first.draws)
        return self._bootstrap.value(difference, self._predictions[after, task, split].units)

    def log_loss(self, *key: str, fitted: bool) -> Resampled:
        """Mean log loss, nats, with the fitted bias or without; NaN if no bias was fitted.

        Resamples of the validation items, which the bias is refitted on, are independent of those of the split.
        """
        answers, (bias, _) = self._predictions[key], self.bias(*key)
        if fitted and bias is None:
            return Resampled(np.nan, np.full(self._bootstrap.samples, np.nan))
        logs = normalize(answers.logprobs)
        weights = self._bootstrap.weights(*key[1:], answers)
        losses = log_losses(np.exp(normalize(logs + bias) if fitted else logs), answers.gold)
        if not fitted:
            return Resampled(losses.mean(), average_items(losses, weights))
        refits = Refits(logs, self._refit(*key[:2], bias), np.arange(len(weights)))
        return Resampled(losses.mean(), average_items(_log_loss(refits.of_gold(answers.gold)), weights))

    def _refit(self, lineage: str, task: str, bias: np.ndarray) -> np.ndarray:
        validation = self._predictions[lineage, task, "validation"]
        weights = self._bootstrap.weights(task, "validation", validation)
        return refit_bias(normalize(validation.logprobs), validation.gold, bias, weights)

    def bias(self, lineage: str, task: str, split: str) -> tuple[np.ndarray | None, str | None]:
        """The bias fitted on validation, shape (labels,), or None and why there is none for this split."""
        if split == "validation":
            return None, "the bias is fitted on these items"
        if (lineage, task) not in self._biases:
            self._biases[lineage, task] = self._fit(self._predictions.get((lineage, task, "validation")))
        return self._biases[lineage, task]

    def _fit(self, validation: Predictions | None) -> tuple[np.ndarray | None, str | None]:
        if validation is None:
            return None, "the validation split was not scored"
        if validation.logprobs is None:
            return None, NO_PROBABILITIES
        if len(set(validation.gold.tolist())) < len(validation.labels):
            return None, "a label has no validation item to fit its bias on"
        return fit_bias(normalize(validation.logprobs), validation.gold), None

    def records(self, main_split: str, groups: list[list[str]]) -> list[Discrimination]:
        """Record every model and baseline, then groups of adapters over their runs, as in `scores.score_records`."""
        keys = [
            key
            for key, answers in self._predictions.items()
            if answers.logprobs is not None and answers.kind in FIXED_LABELS
        ]
        cases = [([lineage], task, split) for lineage, task, split in keys]
        tasks = dict.fromkeys(task for _, task, _ in keys)
        cases += [
            (lineages, task, main_split)
            for lineages in groups
            for task in tasks
            if all(self._predictions[lineage, task, main_split].logprobs is not None for lineage in lineages)
        ]
        return [self._record(*case) for case in cases]

    def _record(self, lineages: list[str], task: str, split: str) -> Discrimination:
        keys = [(lineage, task, split) for lineage in lineages]
        answers = self._predictions[keys[0]]
        units, few = answers.units, len(answers.labels) <= MAX_LABELS

        def over_runs(runs: list[Resampled], limits: tuple[float, float], reason: str | None) -> Value:
            return self._bootstrap.over_runs(runs, units, limits, reason or "").value

        biases = [self.bias(*key) for key in keys]
        reason = next((why for bias, why in biases if bias is None), None)
        losses = [[self.log_loss(*key, fitted=fitted) for key in keys] for fitted in (False, True)]
        single = len(lineages) == 1 and biases[0][0] is not None
        return Discrimination(
            lineages=lineages,
            task=task,
            split=split,
            auroc=over_runs([self.auroc(*key) for key in keys], (0, 1), ONE_LABEL),
            pairs=self._pairs(keys[0]) if len(lineages) == 1 and few else [],
            log_loss=over_runs(losses[0], (0, np.inf), None),
            log_loss_fitted=over_runs(losses[1], (0, np.inf), reason),
            bias=biases[0][0].tolist() if single else None,
        )

    def _pairs(self, key: Key) -> list[AurocPair]:
        answers, aurocs = self._predictions[key], self.pair_aurocs(*key)
        return [
            AurocPair(
                first=first,
                second=second,
                auroc=self._bootstrap.value(Resampled(aurocs.value[n], aurocs.draws[:, n]), answers.units, NO_PAIR),
            )
            for n, (first, second) in enumerate(combinations(answers.labels, 2))
        ]
