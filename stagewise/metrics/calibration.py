"""Confusion counts, calibration and label mass of a set of answers."""

import numpy as np

from stagewise.counts import confusion_counts
from stagewise.metrics.prediction_table import Predictions
from stagewise.metrics.schema import INVALID, AnswerRecord, CalibrationBin, Confusion, Value
from stagewise.metrics.scores import NO_PROBABILITIES
from stagewise.task_kinds import LABEL_KINDS

RENORMALIZED = "the probabilities add up to 1 by construction"


def answer_record(
    predictions: Predictions,
    bins: int,
    lineage: str,
    task: str,
    split: str,
    shortened: int | None = None,
    control_tokens: int | None = None,
) -> AnswerRecord:
    """Record one model's or baseline's answers; `bins` is the number of calibration bins.

    ECE judges the label with the highest probability (the first of equals), whatever the answer was: the
    probabilities are what is calibrated.
    """
    common = {"lineage": lineage, "task": task, "split": split, "items": len(predictions)}
    common |= {"shortened": shortened, "control_tokens": control_tokens, "invalid": int((~predictions.is_valid).sum())}
    if predictions.kind not in LABEL_KINDS:
        return AnswerRecord(**common, calibration=[])
    reliability = _reliability(predictions, bins)
    ece = sum(
        entry.items / len(predictions) * abs(entry.right / entry.items - entry.confidence) for entry in reliability
    )
    missing = Value(reason=NO_PROBABILITIES) if predictions.logprobs is None else None
    return AnswerRecord(
        **common,
        confusion=confusion(predictions),
        ece=missing or Value(value=float(ece)),
        calibration=reliability,
        label_mass=missing or _label_mass(predictions),
    )


def confusion(predictions: Predictions) -> Confusion:
    """Count by gold label and answer, with a last column for invalid answers if there are any."""
    labels = predictions.labels
    counts = confusion_counts(predictions.gold, predictions.answer, len(labels)).astype(int)
    extra = [INVALID] if counts[:, -1].any() else []
    return Confusion(rows=labels, columns=[*labels, *extra], counts=counts[:, : len(labels) + len(extra)].tolist())


def _label_mass(predictions: Predictions) -> Value:
    if predictions.renormalized:
        return Value(reason=RENORMALIZED)
    return Value(value=float(np.exp(predictions.logprobs).sum(1).mean()))


def _reliability(predictions: Predictions, bins: int) -> list[CalibrationBin]:
    if predictions.logprobs is None:
        return []
    from scipy.special import softmax

    return calibration_bins(softmax(predictions.logprobs, axis=1), predictions.gold, bins)


def calibration_bins(probabilities: np.ndarray, gold: np.ndarray, bins: int) -> list[CalibrationBin]:
    """Compute the non-empty bins of the reliability diagram.

    Bins are equal-width and closed above: ((m - 1) / M, m / M] (Guo et al. 2017, arXiv:1706.04599, equations 2 to 4).

    Parameters
    ----------
    probabilities
        Shape (items, labels), each row adding up to 1.
    gold
        Gold label codes, shape (items,).
    bins
        Number of equal-width bins M.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == gold
    edges = np.linspace(0, 1, bins + 1)
    bin_of_item = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    return [
        CalibrationBin(
            bin=int(m),
            items=int((bin_of_item == m).sum()),
            confidence=float(confidence[bin_of_item == m].mean()),
            right=int(right[bin_of_item == m].sum()),
        )
        for m in np.unique(bin_of_item)
    ]
