"""The rules by which reports of schema 2 made their claims, to compare with: accuracy alone.

An arm ends better or worse than the reference if the interval over items and runs leaves 0 out and the test over items,
corrected by Holm over the arms of one task, is below the level. Whatever else was claimed (learnt, kept, retained) went
by the interval. Over several runs it was the percentile interval of resampled items and runs, expanded for few runs.
"""

import numpy as np
from scipy import stats

from stagewise.metrics.arms import ArmScores
from stagewise.metrics.schema import Claim
from stagewise.metrics.significance import holm, sign_flip


def earlier_claims(scores: ArmScores, claims: list[Claim], reference: str, confidence: float) -> list[str]:
    """A verdict for each of today's claims by the earlier rules, in order."""
    verdicts = [_by_interval(scores, claim, confidence) for claim in claims]
    for task in scores.tasks:
        numbers = [n for n, claim in enumerate(claims) if (claim.kind, claim.task) == ("arms", task)]
        corrected = holm([_p(scores, claims[n]) for n in numbers])
        for n, p in zip(numbers, corrected, strict=True):
            if p >= 1 - confidence:
                verdicts[n] = "not shown"
    return verdicts


def _p(scores: ArmScores, claim: Claim) -> float:
    ours, theirs = (
        [scores.scores.predictions[lineage, claim.task, scores.split] for lineage in lineages]
        for lineages in (claim.lineages, claim.against_lineages)
    )
    ungrouped = sum(a.right.astype(int) - b.right.astype(int) for a, b in zip(ours, theirs, strict=True))
    return sign_flip(ungrouped)


def _by_interval(scores: ArmScores, claim: Claim, confidence: float) -> str:
    values, draws = [], []
    for ours, theirs in zip(claim.lineages, claim.against_lineages, strict=True):
        one, other = (scores.scores(name, claim.task, scores.split).measures["accuracy"] for name in (ours, theirs))
        values.append(one.value - other.value)
        draws.append(one.draws - other.draws)
    values, draws, tail = np.array(values), np.array(draws), (1 - confidence) / 2
    both, runs = draws.mean(0), len(values)
    if runs > 1:
        wider = np.sqrt(runs / (runs - 1)) * stats.t.ppf(1 - tail, runs - 1) / stats.norm.ppf(1 - tail)
        shares = np.random.default_rng(runs).multinomial(runs, np.full(runs, 1 / runs), draws.shape[1]) / runs
        both = both + wider * (np.einsum("sr,rs->s", shares, draws) - both)
    if np.ptp(both) < 1e-12:
        return "not shown"
    low, high = np.quantile(both, [tail, 1 - tail])
    return "better" if low > 0 else "worse" if high < 0 else "not shown"
