"""Probes with one score per item (harness tasks, texts), as the base models and every adapter answered them."""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stagewise.errors import InputError
from stagewise.lineage import BASE
from stagewise.measures import Measure
from stagewise.metrics.bootstrap import Bootstrap, Resampled
from stagewise.metrics.significance import flip_signs, sign_flip
from stagewise.provenance.receipts import read_receipt

AGAIN = "run the probe step again"
WORKFLOW = "run the workflow again"

COLUMNS = ("id", "score", "weight")

TITLES = {"acc": "accuracy", "acc_norm": "length-normalized accuracy"}
"""Names inside a sentence; any other is the measure's own without underscores."""


@dataclass(frozen=True)
class ItemScores:
    """A probe's items and the score of each by lineage. The probe's value is the weighted mean of the scores."""

    kind: str
    """``harness`` or ``text``."""
    group: str | None
    """Name of the group of harness tasks whose items these are; None for a single task and a text."""
    metric: str
    """The probe's own measure, such as ``acc`` or ``bits_per_byte``."""
    higher_is_better: bool
    checksum: str
    """SHA-256 of the items: equal ones mean the same items."""
    weights: np.ndarray
    """Weight of each item, shape (items,), positive."""
    scores: dict[str, np.ndarray]
    """Score of each item by lineage, shape (items,)."""

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def is_share(self) -> bool:
        """True if scores are taken for shares: all lie between 0 and 1, and higher is better."""
        return self.higher_is_better and all(((0 <= s) & (s <= 1)).all() for s in self.scores.values())

    @property
    def is_right_or_wrong(self) -> bool:
        """True if items count alike and each is right (1) or wrong (0)."""
        answers = self.is_share and all(np.isin(scores, (0, 1)).all() for scores in self.scores.values())
        return bool(answers and (self.weights == self.weights[0]).all())

    @property
    def measure(self) -> Measure:
        """The probe's measure, which is not among the registered ones."""
        return Measure(
            name=self.metric,
            title=TITLES.get(self.metric, self.metric.replace("_", " ")),
            range=(0, 1) if self.is_share else (-math.inf, math.inf),
            higher_is_better=self.higher_is_better,
            needs="scores",
            test="sign-flip" if self.is_right_or_wrong else None,
            function=lambda scores, weights: (scores @ weights) / weights.sum(-1),
        )

    def p_over_items(self, after: list[str], before: list[str], seed: int) -> tuple[str, float]:
        """Test over items that two sides of lineages, one a run each, can be exchanged; return the test and its p.

        Right and wrong answers are tested exactly, by all patterns of signs; other scores by drawn ones.
        """
        differences = sum(self.scores[a] - self.scores[b] for a, b in zip(after, before, strict=True))
        if self.is_right_or_wrong:
            return "sign-flip", sign_flip(differences.astype(int))
        return "exchange", flip_signs(self.weights * differences, seed)

    def agreement(self, after: list[str], before: list[str]) -> tuple[float, float, int]:
        """Mean accuracy of two sides, the share of items on which they disagree in a run, and the items."""
        ours, theirs = (np.array([self.scores[lineage] for lineage in side]) for side in (after, before))
        return float((ours.mean() + theirs.mean()) / 2), float((ours != theirs).mean()), len(self)


class ProbeTable:
    """Resampled values of every probe with one score per item, by lineage and probe."""

    def __init__(self, scores: dict[str, ItemScores], bootstrap: Bootstrap):
        """`scores` by probe."""
        self._items, self.bootstrap = scores, bootstrap
        self._values: dict[str, dict[str, Resampled]] = {}
        self.measures = {probe: items.measure for probe, items in scores.items()}
        """Measure of each probe."""

    def __contains__(self, probe: str) -> bool:
        return probe in self._items

    def __getitem__(self, probe: str) -> ItemScores:
        return self._items[probe]

    def __iter__(self):
        return iter(self._items)

    def __call__(self, lineage: str, probe: str) -> Resampled:
        """The probe's value and its resamples: a ratio of weighted sums on each."""
        if probe not in self._values:
            items = self._items[probe]
            # All lineages at once, so that the draws of a probe need not be kept.
            drawn = self.bootstrap.item_weights(probe, len(items)).astype(float) * items.weights
            scores = np.array(list(items.scores.values())).T
            values, draws = (items.weights @ scores) / items.weights.sum(), (drawn @ scores) / drawn.sum(1)[:, None]
            self._values[probe] = {
                name: Resampled(values[n], draws[:, n].copy()) for n, name in enumerate(items.scores)
            }
        return self._values[probe][lineage]


def read_item_scores(
    results: Path, predictions: dict[str, dict], probes: list[str], bases: dict[str, str]
) -> dict[str, ItemScores]:
    """Read the scores of every lineage by probe.

    Parameters
    ----------
    results
        The experiment's results folder.
    predictions
        Receipts of the predictions by lineage, the base models' first: scores must be of the same adapters.
    probes
        Names of the probes.
    bases
        Lineage of each lineage's untuned base model.

    Raises
    ------
    InputError
        If a file is missing or damaged, or lineages answered other items or were scored by another measure.
    """
    if not probes:
        return {}
    receipts = {name: read_receipt(results / name / "probes", "the scores of the probes") for name in predictions}
    for lineage, receipt in receipts.items():
        path = results / lineage / "probes" / "receipt.json"
        _check_receipt(path, receipt, receipts[bases[lineage]], receipts[BASE], probes)
        scored, answered = (side.get("inputs", {}).get("adapter") or {} for side in (receipt, predictions[lineage]))
        if any(scored[key] != answered[key] for key in ("recipe", "weights") if {key} <= set(scored) & set(answered)):
            raise InputError(f"{path}: these scores are of another adapter than the predictions; {WORKFLOW}")
    return {probe: _read_probe(results, probe, receipts) for probe in probes}


def _check_receipt(path: Path, receipt: dict, own: dict, base: dict, probes: list[str]) -> None:
    """Refuse scores of another model than `own`, of other items, or made in another way than those of `base`."""
    inputs = receipt.get("inputs", {})
    for key, what, untuned in (
        ("model", "of another base model", own),
        ("settings", "made with other settings", base),
        ("behaviour", "made by another version", base),
    ):
        if inputs.get(key) != untuned.get("inputs", {}).get(key):
            raise InputError(f"{path}: these scores are {what} than those of the untuned model; {WORKFLOW}")
    for probe in probes:
        facts = receipt.get("probes", {}).get(probe)
        if facts is None or f"{probe}.csv" not in receipt["files"]:
            raise InputError(f"{path}: does not vouch for the probe '{probe}'; {AGAIN}")
        wrong = [name for name, kinds in FACTS.items() if not isinstance(facts.get(name), kinds)]
        if wrong:
            raise InputError(f"{path}: '{wrong[0]}' of the probe '{probe}' is missing or no such value; {AGAIN}")
        for key in ("checksum", "measure", "higher_is_better"):
            if facts[key] != base["probes"][probe][key]:
                what = "other items" if key == "checksum" else f"another {key}"
                raise InputError(f"{path}: the probe '{probe}' has {what} than the untuned model's; {WORKFLOW}")


FACTS = {"measure": str, "higher_is_better": bool, "checksum": str, "kind": str}
"""Keys of each probe in a receipt, with their types."""


def _read_probe(results: Path, probe: str, receipts: dict[str, dict]) -> ItemScores:
    files = {lineage: results / lineage / "probes" / f"{probe}.csv" for lineage in receipts}
    rows = {lineage: _read_rows(path) for lineage, path in files.items()}
    ids, _, weights = rows[BASE]
    for lineage, (other_ids, _, other_weights) in rows.items():
        if other_ids != ids or not np.array_equal(other_weights, weights):
            raise InputError(f"{files[lineage]}: not the items, or not the weights, of {files[BASE]}; {AGAIN}")
    facts = receipts[BASE]["probes"][probe]
    return ItemScores(
        facts["kind"],
        facts.get("group"),
        facts["measure"],
        facts["higher_is_better"],
        facts["checksum"],
        weights,
        {lineage: scores for lineage, (_, scores, _) in rows.items()},
    )


def _read_rows(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids, scores and weights of a file's items."""
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable CSV file ({error}); {AGAIN}") from None
    if missing := [column for column in COLUMNS if column not in (reader.fieldnames or [])]:
        raise InputError(f"{path}: the column '{missing[0]}' is missing; {AGAIN}")
    if not rows:
        raise InputError(f"{path}: the probe has no items; give it some, or take it out of probes")
    ids = [row["id"] for row in rows]
    if len(set(ids)) < len(ids):
        raise InputError(f"{path}: two items have one id; {AGAIN}")
    scores, weights = (np.array([_number(path, row, key) for row in rows]) for key in ("score", "weight"))
    if (weights <= 0).any():
        raise InputError(
            f"{path}: the weight of the item '{ids[int((weights <= 0).argmax())]}' is not positive; {AGAIN}"
        )
    return ids, scores, weights


def _number(path: Path, row: dict, key: str) -> float:
    try:
        value = float(row[key])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path}: the {key} of the item '{row['id']}' is no finite number ('{row[key]}'); {AGAIN}")
    return value


def of_lineages(items: dict[str, ItemScores], lineages: Iterable[str]) -> dict[str, ItemScores]:
    """Leave out the scores of other lineages."""
    kept = set(lineages)
    return {
        probe: replace(each, scores={name: scores for name, scores in each.scores.items() if name in kept})
        for probe, each in items.items()
    }
