"""The measures of a set of answers.

A measure is declared once, here. Scores, decision rules, comparisons, tables, pictures, ``metrics.json``, the schema of
``report_metrics.json``, validation during training and ``training.best_metric`` all iterate over `MEASURES`. What a
label counts for that no item has is said in `counts`.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from stagewise.answer_texts import last_number, normalized, normalized_tokens, tokens
from stagewise.counts import average_labels, confusion_counts, divide, label_f1, recalls, set_f1
from stagewise.task_kinds import LABEL_KINDS, TaskKind

MEASURES: dict[str, "Measure"] = {}
"""Every measure by name, in the order of the report."""

RESERVED = ("loss", "last")
"""Values of ``training.best_metric`` that are no measures."""

PRIMARY = "accuracy"
"""The measure that claims are about if `statistics.primary_measure` names no other."""

FIXED_LABELS: tuple[TaskKind, ...] = ("classification", "ordinal")
"""Kinds whose labels mean the same for every item; a letter of multiple choice does not."""

DEFAULTS: dict[TaskKind, str] = {"multi_label": "jaccard", "generation": "token_f1"}
"""The same of kinds that do not have it."""

TASK_SCORE = "task_score"
"""Name of the pseudo-measure that is each task's own measure, for experiments whose tasks have different ones."""


@dataclass(frozen=True)
class Measure:
    """A registered measure."""

    name: str
    title: str
    """Name as it is written inside a sentence."""
    range: tuple[float, float]
    higher_is_better: bool
    needs: Literal["confusion", "probabilities", "label_sets", "item_sets", "texts", "scores", "own"]
    """``scores`` for the measure of a probe, which is not registered: its function takes scores (..., items) and
    the items' weights. ``own`` for `TASK_SCORE`, which has no function."""
    test: Literal["sign-flip"] | None
    """Exact test of a paired difference; None if answers are exchanged in drawn patterns."""
    function: Callable[..., np.ndarray] | None
    kinds: tuple[TaskKind, ...] = LABEL_KINDS
    """Kinds of tasks that have it."""

    @property
    def is_accuracy(self) -> bool:
        """True for the share of right answers."""
        return self.test == "sign-flip"

    @property
    def is_item_mean(self) -> bool:
        """True if it is a mean over items, each with a value of its own."""
        return self.needs in ("probabilities", "item_sets", "texts")

    @property
    def is_share(self) -> bool:
        """True if values are shares, which are written in percent."""
        return self.range == (0, 1)

    def oriented(self, value):
        """Turn a value over, within the range, if lower ones are better; arrays too."""
        return value if self.higher_is_better else sum(self.range) - value

    @property
    def difference_range(self) -> tuple[float, float]:
        low, high = self.range
        return low - high, high - low


def measure(name: str, *, title: str, range, higher_is_better=True, needs="confusion", test=None, kinds=LABEL_KINDS):
    """Register a function as a measure.

    Parameters
    ----------
    name
        Key in every file.
    title
        Name inside a sentence; headings capitalize it.
    range
        Smallest and largest possible value, both finite: axes and intervals end there.
    higher_is_better
        Direction of an improvement.
    needs
        ``confusion``: the function takes counts by gold label and answer, shape (..., L, L + 1) for L labels, the last
        column being invalid answers, and returns shape (...). ``probabilities``: it takes probabilities of shape
        (items, L), whose rows add up to 1, and gold codes of shape (items,), and returns one value per item; the
        measure is their mean. ``label_sets``, for several labels an item: it takes counts of `label_set_counts`, shape
        (..., L, 3), and returns shape (...). ``item_sets``: it takes gold and answered sets, boolean, shape (items, L),
        and returns one value per item; an answer that is no set of labels has the worst value of the range. ``texts``:
        it takes a generated answer and the list of its references, and returns the item's value from 0 to 1; several
        references count as their best.
    test
        ``sign-flip`` if it is the share of right answers: a difference is then tested exactly (McNemar's test, for
        single answers). Others are tested by drawn exchanges of answers.
    kinds
        Kinds of tasks that have the measure.
    """

    if name in (*RESERVED, TASK_SCORE):
        raise ValueError(f"a measure cannot be called '{name}': that name has a meaning of its own already")
    if not all(map(math.isfinite, range)):
        raise ValueError(f"the measure '{name}' needs a finite range, not {range}")

    def register(function):
        if name in MEASURES:
            raise ValueError(f"the measure '{name}' is registered twice")
        MEASURES[name] = Measure(name, title, tuple(range), higher_is_better, needs, test, function, kinds)
        return function

    return register


def measures_of(kind: TaskKind) -> dict[str, Measure]:
    """List the measures that a kind of task has, by name."""
    return {name: entry for name, entry in MEASURES.items() if kind in entry.kinds}


def task_score(measures: list[Measure]) -> Measure:
    """The pseudo-measure that is each task's own one of `measures`, turned over where lower values are better.

    Of such a measure low + high - value counts, so that a mean over tasks has one direction.
    """
    low, high = (pick(measure.range[end] for measure in measures) for end, pick in enumerate((min, max)))
    exact = "sign-flip" if all(measure.is_accuracy for measure in measures) else None
    return Measure(TASK_SCORE, "task score", (low, high), True, "own", exact, None, ())


def own_measure(kind: TaskKind, primary: str) -> str:
    """Name the measure of a task that chooses none: the experiment's `primary` where the kind has it."""
    return primary if primary in measures_of(kind) else DEFAULTS.get(kind, PRIMARY)


SETS = {"range": (0, 1), "kinds": ("multi_label",)}
TEXTS = {"range": (0, 1), "kinds": ("generation",), "needs": "texts"}


@measure("accuracy", title="accuracy", range=(0, 1), test="sign-flip")
def accuracy(confusion):
    """Share of right answers; an invalid answer is a wrong one."""
    return np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum((-2, -1))


@measure("macro_f1", title="macro-F1", range=(0, 1), kinds=FIXED_LABELS)
def macro_f1(confusion):
    """Mean F1 over the labels that some item has or that are answered, as scikit-learn's ``average="macro"``.

    It is the mean of F1 values, not F1 of the mean precision and recall, which is another measure (Opitz & Burst 2019,
    arXiv:1911.03347). Averaging over the declared labels would charge a model for labels that the
    items lack (scikit-learn/scikit-learn#23130); averaging over those that items have would let it answer the others
    for nothing. An invalid answer belongs to no label.
    """
    return average_labels(label_f1(confusion))


@measure("balanced_accuracy", title="balanced accuracy", range=(0, 1), kinds=FIXED_LABELS)
def balanced_accuracy(confusion):
    """Mean recall (Brodersen et al. 2010, doi:10.1109/ICPR.2010.764) over the labels that some item has."""
    return average_labels(recalls(confusion))


@measure("mcc", title="Matthews correlation", range=(-1, 1), kinds=FIXED_LABELS)
def mcc(confusion):
    """Matthews' correlation coefficient for several labels (Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006).

    Invalid answers are a label of their own that no item has. It is 0 if all items have one label or all answers are
    one label, as in scikit-learn.
    """
    items, right = confusion.sum((-2, -1)), np.trace(confusion, axis1=-2, axis2=-1)
    gold, answered = confusion.sum(-1), confusion.sum(-2)
    covariance = right * items - (gold * answered[..., :-1]).sum(-1)
    variances = (items**2 - (gold**2).sum(-1)) * (items**2 - (answered**2).sum(-1))
    return divide(covariance, np.sqrt(variances), 0)


@measure("brier", title="Brier score", range=(0, 2), higher_is_better=False, needs="probabilities")
def brier(probabilities, gold):
    """Sum over labels of the squared distance of the probabilities from the gold label (Brier 1950, eq. 2,
    doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2)."""
    distances = np.array(probabilities)
    distances[np.arange(len(gold)), gold] -= 1
    return np.einsum("il,il->i", distances, distances)


@measure("quadratic_kappa", title="quadratic kappa", range=(-1, 1), kinds=("ordinal",))
def quadratic_kappa(confusion):
    """Weighted kappa with squared distances of ranks (Cohen 1968, doi:10.1037/h0026256).

    One minus the squared distance of the answers over that of answers drawn by chance with the same frequencies. An
    invalid answer counts as the label farthest from the gold one, the lowest of two. It is 0 if all items and all
    answers have one label.
    """
    labels = confusion.shape[-2]
    ranks = np.arange(labels)
    counts = np.array(confusion[..., :-1], dtype=float)
    counts[..., ranks, np.where(2 * ranks >= labels - 1, 0, labels - 1)] += confusion[..., -1]
    distances = (ranks[:, None] - ranks) ** 2
    by_chance = counts.sum(-1)[..., None] * counts.sum(-2)[..., None, :] / counts.sum((-2, -1))[..., None, None]
    observed, expected = ((distances * table).sum((-2, -1)) for table in (counts, by_chance))
    return 1 - divide(observed, expected, 1)


@measure("rank_error", title="rank error", range=(0, 1), higher_is_better=False, kinds=("ordinal",))
def rank_error(confusion):
    """Mean absolute distance of the ranks of answer and gold label over the largest one, L - 1 for L labels
    (macroaveraged by label in Baccianella, Esuli & Sebastiani 2009, doi:10.1109/ISDA.2009.230; here over items).

    An invalid answer counts as the largest distance.
    """
    labels = confusion.shape[-2]
    distances = np.abs(np.subtract.outer(np.arange(labels), np.arange(labels + 1))) / (labels - 1)
    distances[:, -1] = 1
    return (distances * confusion).sum((-2, -1)) / confusion.sum((-2, -1))


@measure("subset_accuracy", **SETS, title="subset accuracy", needs="item_sets", test="sign-flip")
def subset_accuracy(gold, answered):
    """Share of items answered with exactly their labels (Tsoumakas & Katakis 2007, doi:10.4018/jdwm.2007070101)."""
    return (gold == answered).all(-1).astype(float)


@measure("jaccard", **SETS, title="Jaccard index", needs="item_sets")
def jaccard(gold, answered):
    """Labels that gold and answer share over those that either has, the mean over items (Godbole & Sarawagi 2004,
    doi:10.1007/978-3-540-24775-3_5); 1 for an item without labels that is answered with none."""
    return divide((gold & answered).sum(-1), (gold | answered).sum(-1), 1)


@measure("label_micro_f1", **SETS, title="micro-F1 of labels", needs="label_sets")
def label_micro_f1(counts):
    """F1 of all labels of all items together (Yang 1999, doi:10.1023/A:1009982220290); not defined where no item has a
    label and none is answered."""
    return set_f1(counts.sum(-2))


@measure("label_macro_f1", **SETS, title="macro-F1 of labels", needs="label_sets")
def label_macro_f1(counts):
    """Mean F1 over the labels that some item has or that are answered (Yang 1999), as `macro_f1`."""
    return average_labels(set_f1(counts))


@measure("exact_match", **TEXTS, title="exact match", test="sign-flip")
def exact_match(answer, references):
    """Answers that are a reference but for case, articles, punctuation and blanks (SQuAD: Rajpurkar et al. 2016,
    arXiv:1606.05250, section 6.1)."""
    return float(normalized(answer) in map(normalized, references))


@measure("numeric_match", **TEXTS, title="numeric match", test="sign-flip")
def numeric_match(answer, references):
    """Answers whose last number is the last number of a reference, as worked solutions are marked (GSM8K: Cobbe et al.
    2021, arXiv:2110.14168). A reference without a number is matched as by `exact_match`."""
    number = last_number(answer)
    wanted = {text: last_number(text) for text in references}
    return max(
        exact_match(answer, [text]) if value is None else float(value == number) for text, value in wanted.items()
    )


@measure("token_f1", **TEXTS, title="token F1")
def token_f1(answer, references):
    """Words that answer and reference share, as F1 (SQuAD: Rajpurkar et al. 2016, section 6.1), normalized as for
    `exact_match`."""
    return max(_token_f1(normalized_tokens(answer), normalized_tokens(text)) for text in references)


def _token_f1(answer: list[str], reference: list[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    return 2 * (Counter(answer) & Counter(reference)).total() / (len(answer) + len(reference))


@measure("rouge_l", **TEXTS, title="ROUGE-L")
def rouge_l(answer, references):
    """F1 by the longest common subsequence of words (Lin 2004, aclanthology.org/W04-1013); by `rouge_score`.

    Its own tokenizer keeps a to z and digits alone, so that a word with an umlaut would be cut; `answer_texts.tokens`
    takes its place. Words are not stemmed.
    """
    return max(float(_rouge_scorer().score(text, answer)["rougeL"].fmeasure) for text in references)


@cache
def _rouge_scorer():
    from rouge_score.rouge_scorer import RougeScorer

    class Tokenizer:
        tokenize = staticmethod(tokens)

    return RougeScorer(["rougeL"], tokenizer=Tokenizer())


LABEL_MEASURES = tuple(name for name, entry in MEASURES.items() if set(entry.kinds) & set(LABEL_KINDS))
"""Measures of answers with one label, which a training can compute of its validation items."""


def score_texts(answer: str, references: list[str]) -> dict[str, float]:
    """Every measure of one generated answer, by name."""
    return {name: entry.function(answer, references) for name, entry in measures_of("generation").items()}


def evaluate(gold, logprobs: np.ndarray, kind: TaskKind = "classification") -> dict[str, float]:
    """Every measure of the most probable labels; `logprobs` has shape (items, labels), `gold` holds codes."""
    gold, logprobs = np.asarray(gold, dtype=int), np.asarray(logprobs, dtype=float)
    confusion = confusion_counts(gold, logprobs.argmax(1), logprobs.shape[1])
    probabilities = np.exp(logprobs - logprobs.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    return {
        name: float(
            entry.function(confusion) if entry.needs == "confusion" else entry.function(probabilities, gold).mean()
        )
        for name, entry in measures_of(kind).items()
    }
