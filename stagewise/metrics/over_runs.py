"""Every adapter over its runs: decision rules and discrimination of seeds and folds together."""

import numpy as np

from stagewise.lineage import run_folder
from stagewise.metrics.arms import Arms
from stagewise.metrics.discrimination import ABSENT as NO_PAIR
from stagewise.metrics.discrimination import Discriminator
from stagewise.metrics.read_results import Run
from stagewise.metrics.resampling import MEASURES
from stagewise.metrics.rules import ABSENT
from stagewise.metrics.schema import DecisionOverRuns, DiscriminationOverRuns, RecallOverRuns, Spread
from stagewise.metrics.spread import no_spread, spread


def adapters(run: Run) -> list[list[str]]:
    """Lineages that differ in seed and fold alone, in the order of the runs; none where there is only one run."""
    found: dict[str, list[str]] = {}
    for lineage, adapter in run.adapters.items():
        found.setdefault(lineage.removeprefix(run_folder(adapter.fold, adapter.seed)), []).append(lineage)
    return list(found.values()) if len(run.config.runs) > 1 else []


def _cases(arms: Arms):
    """Every adapter's lineages with every task and split of which each of them has log-probabilities."""
    for lineages in adapters(arms.run):
        for task in arms.tasks:
            for split in arms.splits:
                if all(arms.run.answers[lineage, task, split].logprobs is not None for lineage in lineages):
                    yield lineages, task, split


def _spread(arms: Arms, values, draws, reason: str, most: float = 1) -> Spread:
    """The spread of a measure from 0 to `most`, shape (runs,) and (runs, samples); NaN where it does not exist."""
    values, draws = np.array(values), np.array(draws)
    if np.isnan(values).any():
        return no_spread(reason, len(values))
    # A resample may lack a label.
    known = ~np.isnan(draws).any(0)
    confidence = arms.run.config.statistics.confidence
    return spread(values, draws[:, known], arms.shares[known], confidence, 0, most)


def decisions(arms: Arms) -> list[DecisionOverRuns]:
    """Every adapter on every task and split by every rule."""
    return [
        _decision(arms, lineages, task, split, rule)
        for lineages, task, split in _cases(arms)
        for rule in arms.decider.rules(lineages, task, split)
    ]


def _decision(arms: Arms, lineages: list[str], task: str, split: str, rule: str) -> DecisionOverRuns:
    found = [arms.score(lineage, task, split, rule) for lineage in lineages]
    return DecisionOverRuns(
        lineages=lineages,
        task=task,
        split=split,
        rule=rule,
        **{
            name: _spread(arms, [f.value[name] for f in found], [f.draws[name] for f in found], "") for name in MEASURES
        },
        recalls=[
            RecallOverRuns(
                label=word,
                recall=_spread(arms, [f.recall[n] for f in found], [f.recall_draws[:, n] for f in found], ABSENT),
            )
            for n, word in enumerate(arms.run.words(task))
        ],
    )


def discrimination(arms: Arms, discriminator: Discriminator) -> list[DiscriminationOverRuns]:
    """Every adapter on every task and split."""
    return [
        DiscriminationOverRuns(
            lineages=lineages,
            task=task,
            split=split,
            auroc=_auroc(arms, discriminator, lineages, task, split),
            log_loss=_loss(arms, discriminator, lineages, task, split, fitted=False),
            log_loss_fitted=_loss(arms, discriminator, lineages, task, split, fitted=True),
        )
        for lineages, task, split in _cases(arms)
    ]


def _auroc(arms: Arms, discriminator: Discriminator, lineages: list[str], task: str, split: str) -> Spread:
    pairs = [discriminator.aurocs(lineage, task, split) for lineage in lineages]
    return _spread(arms, [value.mean() for value, _ in pairs], [draws.mean(1) for _, draws in pairs], NO_PAIR)


def _loss(arms: Arms, discriminator: Discriminator, lineages: list[str], task: str, split: str, fitted: bool) -> Spread:
    losses = [discriminator.losses(lineage, task, split, fitted) for lineage in lineages]
    for lineage, known in zip(lineages, losses, strict=True):
        if known is None:
            return no_spread(discriminator.bias(lineage, task, split)[1], len(lineages))
    draws = [discriminator.loss_draws(known, task, split) for known in losses]
    return _spread(arms, [known.mean() for known in losses], draws, "", np.inf)
