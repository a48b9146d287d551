"""Comparisons along arms: the stage × task matrix, what each stage taught, what was forgotten."""

from forgetting import plan
from forgetting.metrics.answers import Answers
from forgetting.metrics.paired import changes, claim_difference, claim_forgetting, pairs
from forgetting.metrics.run import Run
from forgetting.metrics.schema import BASELINES, MAJORITY, Change, Estimate, Forgetting, Learning, MatrixCell, Score

DIFFERENT_ITEMS = "different items before and after"


class Comparer:
    """Pairwise comparisons of a run, each computed once however many arms share it."""

    def __init__(self, run: Run, answers: dict[tuple[str, str, str], Answers]):
        """`answers` by lineage or baseline, task and split."""
        self.run, self.answers, self._known = run, answers, {}

    def pair(self, before: str, after: str, task: str, split: str):
        """Changes and pair counts between two lineages or baselines on one split."""
        key = before, after, task, split
        if key not in self._known:
            statistics = self.run.config.statistics
            old, new = self.answers[before, task, split], self.answers[after, task, split]
            settings = statistics.bootstrap_samples, statistics.confidence, statistics.seed
            self._known[key] = changes(old, new, *settings), pairs(old, new)
        return self._known[key]

    def learning(self) -> list[Learning]:
        """Each adapter on the task it learnt, against the base model and every baseline there is."""
        records = []
        for lineage, adapter in self.run.adapters.items():
            for split in self.run.config.evaluation.splits:
                for against in (plan.BASE, *BASELINES):
                    if (against, adapter.task, split) not in self.answers:
                        continue
                    found, counts = self.pair(against, lineage, adapter.task, split)
                    words = ("better", "no measurable difference", "worse")
                    claim, reason = claim_difference(found[0].difference, counts, words)
                    records.append(
                        Learning(
                            lineage=lineage,
                            stage=adapter.depth,
                            seed=adapter.seed,
                            arms=adapter.arms,
                            task=adapter.task,
                            split=split,
                            against=against,
                            items=len(self.answers[lineage, adapter.task, split]),
                            changes=found,
                            pairs=counts,
                            claim=claim,
                            reason=reason,
                        )
                    )
        return records

    def forgetting(self) -> list[Forgetting]:
        """Each earlier task of each arm and seed, between the adapter that learnt it last and every later one.

        A stage that learns the task anew is no place to look for forgetting it, so it only starts a new count.
        """
        records = []
        for arm in self.run.config.active_arms:
            for seed in self.run.config.seeds:
                learnt: dict[str, str] = {}
                for lineage in plan.path_of_arm(self.run.config, arm, seed)[1:]:
                    now = self.run.adapters[lineage].task
                    for task, before in learnt.items():
                        if task != now:
                            records += self._forgetting(arm, seed, task, before, lineage)
                    learnt[now] = lineage
        return records

    def _forgetting(self, arm: str, seed: int, task: str, before: str, after: str) -> list[Forgetting]:
        first, second = self.run.adapters[before], self.run.adapters[after]
        records = []
        for split in self.run.config.evaluation.splits:
            found, counts = self.pair(before, after, task, split)
            over_majority = self.pair(MAJORITY, before, task, split)[0][0].difference
            claim, reason = claim_forgetting(found[0].difference, counts, over_majority, first.depth)
            n = len(self.answers[after, task, split])
            records.append(
                Forgetting(
                    arm=arm,
                    seed=seed,
                    comparison="paired",
                    comparable=True,
                    task=task,
                    before_lineage=before,
                    before_stage=first.depth,
                    before_split=split,
                    before_items=n,
                    after_lineage=after,
                    after_stage=second.depth,
                    after_task=second.task,
                    after_split=split,
                    after_items=n,
                    changes=found,
                    pairs=counts,
                    over_majority=over_majority,
                    over_base=self.pair(plan.BASE, before, task, split)[0][0].difference,
                    claim=claim,
                    reason=reason,
                )
            )
        return records


def published_forgetting(paired: list[Forgetting], scores: dict[tuple[str, str, str], Score]) -> list[Forgetting]:
    """The published comparison beside each paired one: test before, validation after. Nothing is claimed from it."""
    records = []
    for record in paired:
        before = scores.get((record.before_lineage, record.task, "test"))
        after = scores.get((record.after_lineage, record.task, "validation"))
        if record.before_split != "test" or before is None or after is None:
            continue
        found = []
        for name in ("accuracy", "macro_f1"):
            old, new = getattr(before, name).value, getattr(after, name).value
            difference = Estimate(value=new - old, reason=DIFFERENT_ITEMS)
            found.append(Change(measure=name, before=old, after=new, difference=difference))
        records.append(
            record.model_copy(
                update={
                    "comparison": "published",
                    "comparable": False,
                    "before_items": before.items,
                    "after_split": "validation",
                    "after_items": after.items,
                    "changes": found,
                    "pairs": None,
                    "claim": "not claimed",
                    "reason": "Different items stand before and after, so their difference is not forgetting.",
                }
            )
        )
    return records


def matrix(run: Run, scores: dict[tuple[str, str, str], Score]) -> list[MatrixCell]:
    """Every task's score after every stage of every arm and seed, the base model first."""
    cells = []
    for arm in run.config.active_arms:
        for seed in run.config.seeds:
            learnt: set[str] = set()
            for stage, lineage in enumerate(plan.path_of_arm(run.config, arm, seed)):
                own = run.adapters[lineage].task if stage else None
                learnt = learnt | {own} if own else learnt
                for task in run.config.active_tasks:
                    for split in run.config.evaluation.splits:
                        score = scores[lineage, task, split]
                        cells.append(
                            MatrixCell(
                                arm=arm,
                                seed=seed,
                                stage=stage,
                                stage_task=own,
                                lineage=lineage,
                                task=task,
                                split=split,
                                learnt=task in learnt,
                                items=score.items,
                                accuracy=score.accuracy.value,
                                macro_f1=score.macro_f1.value,
                            )
                        )
    return cells
