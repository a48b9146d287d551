"""Scores of one set of answers: accuracy, F1, confusion, calibration."""

import numpy as np

from stagewise.metrics import intervals
from stagewise.metrics.prediction_table import Answers
from stagewise.metrics.schema import INVALID, CalibrationBin, ClassScore, Confusion, Estimate, Measure

NO_PROBABILITIES = "no label probabilities"


def confusion(answers: Answers) -> Confusion:
    """Counts by gold label and answer, with a last column for invalid answers where there are any."""
    from sklearn.metrics import confusion_matrix

    labels = len(answers.words)
    counts = confusion_matrix(answers.gold, answers.answer, labels=list(range(labels + 1)))[:labels]
    extra = [INVALID] if counts[:, labels].any() else []
    return Confusion(
        rows=answers.words, columns=[*answers.words, *extra], counts=counts[:, : labels + len(extra)].tolist()
    )


def label_scores(answers: Answers, weights: np.ndarray, confidence: float) -> dict:
    """Accuracy, macro-F1 and per-class scores with intervals, as keys of a `Score` record.

    Parameters
    ----------
    answers
        At least one item.
    weights, confidence
        Bootstrap resamples and coverage (see `intervals`).
    """
    from sklearn.metrics import precision_recall_fscore_support

    labels, n = len(answers.words), len(answers)
    table = intervals.tables(answers.gold, answers.answer, weights, labels)
    class_f1 = intervals.class_f1(table)

    def estimate(value, resampled) -> Estimate:
        return intervals.estimate(value, resampled, n, confidence)

    precision, recall, f1, support = precision_recall_fscore_support(
        answers.gold, answers.answer, labels=list(range(labels)), zero_division=0
    )
    predicted = np.bincount(answers.answer, minlength=labels + 1)
    return {
        "items": n,
        "accuracy": estimate(answers.right.mean(), intervals.accuracy(table)),
        "accuracy_wilson": intervals.wilson(int(answers.right.sum()), n, confidence),
        "macro_f1": estimate(f1.mean(), class_f1.mean(-1)),
        "classes": [
            ClassScore(
                label=word,
                support=int(support[i]),
                predicted=int(predicted[i]),
                predicted_share=float(predicted[i] / n),
                precision=float(precision[i]),
                recall=float(recall[i]),
                f1=estimate(f1[i], class_f1[:, i]),
            )
            for i, word in enumerate(answers.words)
        ],
        "confusion": confusion(answers),
        "invalid": int(predicted[labels]),
    }


def probability_scores(answers: Answers, bins: int) -> dict:
    """ECE, log loss and label mass, as keys of a `Score` record; null with a reason without probabilities.

    ECE judges the label with the highest probability (the first of equals), whatever the answer was: the
    probabilities are what is calibrated. Bins are equal-width and closed above: ((m - 1) / M, m / M]
    (Guo et al. 2017, arXiv:1706.04599, equations 2 to 4).
    """
    if answers.logprobs is None:
        missing = Measure(value=None, reason=NO_PROBABILITIES)
        return {"ece": missing, "calibration": [], "log_loss": missing, "label_mass": missing}
    from scipy.special import softmax

    probabilities = softmax(answers.logprobs, axis=1)
    reliability = calibration(probabilities, answers.gold, bins)
    n = len(answers)
    ece = sum(b.items / n * abs(b.accuracy - b.confidence) for b in reliability)
    mass = (
        Measure(value=None, reason="the probabilities add up to 1 by construction")
        if answers.renormalized
        else Measure(value=float(np.exp(answers.logprobs).sum(1).mean()))
    )
    return {
        "ece": Measure(value=float(ece)),
        "calibration": reliability,
        "log_loss": Measure(value=log_loss(probabilities, answers.gold)),
        "label_mass": mass,
    }


def log_loss(probabilities: np.ndarray, gold: np.ndarray) -> float:
    """Mean negative log-probability of the gold label, nats; as scikit-learn's, none counts below 2.2e-16.

    `probabilities` has shape (items, labels), rows adding up to 1; `gold` holds codes, shape (items,).
    """
    return float(log_losses(probabilities, gold).mean())


def log_losses(probabilities: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """What `log_loss` is the mean of, shape (items,)."""
    own = probabilities[np.arange(len(gold)), gold]
    return -np.log(np.maximum(own, np.finfo(float).eps))


def calibration(probabilities: np.ndarray, gold: np.ndarray, bins: int) -> list[CalibrationBin]:
    """The non-empty bins of the reliability diagram.

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
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    return [
        CalibrationBin(
            low=float(edges[m]),
            high=float(edges[m + 1]),
            items=int((place == m).sum()),
            confidence=float(confidence[place == m].mean()),
            accuracy=float(right[place == m].mean()),
        )
        for m in np.unique(place)
    ]
