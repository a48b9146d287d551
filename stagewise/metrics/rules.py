"""Decision rules side by side: what each makes of every adapter, and of what was forgotten."""

import numpy as np

from stagewise.lineage import walk_earlier_tasks
from stagewise.metrics.decision_rules import Decider
from stagewise.metrics.intervals import estimate
from stagewise.metrics.paired import changes
from stagewise.metrics.read_results import Run
from stagewise.metrics.records import scorer
from stagewise.metrics.resampling import MEASURES, Scorer
from stagewise.metrics.schema import Decision, Flips, Recall, RuleChange

ABSENT = "no item has this label"


def decisions(run: Run, decider: Decider, score: Scorer) -> list[Decision]:
    """Every lineage on every task and split by every rule; none without log-probabilities, which leave no choice."""
    return [
        _decision(run, decider, score, *key, rule)
        for key, answers in run.answers.items()
        if answers.logprobs is not None
        for rule in decider.decide(*key)
    ]


def _decision(run: Run, decider: Decider, score: Scorer, lineage: str, task: str, split: str, rule: str) -> Decision:
    confidence, items = run.config.statistics.confidence, len(run.answers[lineage, task, split])
    decided, found = decider.decide(lineage, task, split)[rule], score(lineage, task, split, rule)
    columns = zip(run.words(task), found.recall, found.recall_draws.T, found.share, strict=True)
    return Decision(
        **scorer(run, lineage),
        task=task,
        split=split,
        items=items,
        rule=rule,
        tau=decided.tau,
        # Adding 0 turns a negative zero into a plain one.
        bias=(decided.bias + 0.0).tolist(),
        **{name: estimate(found.value[name], found.draws[name], items, confidence) for name in MEASURES},
        recalls=[
            Recall(label=word, recall=estimate(value, draws, items, confidence, ABSENT), predicted_share=share)
            for word, value, draws, share in columns
        ],
    )


def rule_changes(run: Run, decider: Decider, score: Scorer) -> list[RuleChange]:
    """What `Forgetting` compares, by every rule that both lineages have."""
    return [
        RuleChange(
            arm=place.arm,
            seed=place.seed,
            fold=place.fold,
            task=place.task,
            split=split,
            rule=rule,
            before_lineage=place.before,
            before_stage=place.learnt.stage,
            after_lineage=place.after,
            after_stage=place.later.stage,
            changes=changes(
                score(place.before, place.task, split, rule),
                score(place.after, place.task, split, rule),
                run.config.statistics.confidence,
            ),
        )
        for place in walk_earlier_tasks(run.config)
        for split in run.config.evaluation.splits
        if run.answers[place.after, place.task, split].logprobs is not None
        for rule in decider.rules([place.before, place.after], place.task, split)
    ]


def flips(run: Run) -> list[Flips]:
    """Items that each arm lost and gained between learning an earlier task and its last stage, on the test split.

    Where test was not scored, it is the first split that was.
    """
    splits = run.config.evaluation.splits
    split, found = "test" if "test" in splits else splits[0], []
    for place in walk_earlier_tasks(run.config):
        if not place.last:
            continue
        before, after = (run.answers[lineage, place.task, split].right for lineage in (place.before, place.after))
        ids = np.array([item["id"] for item in run.items_of(place.after, place.task, split)])
        found.append(
            Flips(
                arm=place.arm,
                seed=place.seed,
                fold=place.fold,
                task=place.task,
                split=split,
                before_lineage=place.before,
                after_lineage=place.after,
                lost=ids[before & ~after].tolist(),
                gained=ids[~before & after].tolist(),
            )
        )
    return found
