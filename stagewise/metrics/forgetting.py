"""Comparisons along arms: the stage × task matrix, what each stage taught, what was forgotten."""

from itertools import product

from stagewise.lineage import BASE, EarlierTask, steps_of_arm, walk_earlier_tasks
from stagewise.metrics.discrimination import Discriminator
from stagewise.metrics.paired import changes, claim_difference, claim_forgetting, pairs
from stagewise.metrics.read_results import Run
from stagewise.metrics.resampling import Scorer
from stagewise.metrics.schema import BASELINES, MAJORITY, Change, Estimate, Forgetting, Learning, MatrixCell, Score

DIFFERENT_ITEMS = "different items before and after"


class Comparer:
    """Pairwise comparisons of a run, each computed once however many arms share it."""

    def __init__(self, run: Run, score: Scorer, discriminator: Discriminator):
        self.run, self.score, self.answers = run, score, score.answers
        self.auroc, self._known = discriminator.change, {}

    def pair(self, before: str, after: str, task: str, split: str):
        """Changes and pair counts between two lineages or baselines on one split."""
        key = before, after, task, split
        if key not in self._known:
            old, new = (self.score(each, task, split) for each in (before, after))
            found = changes(old, new, self.run.config.statistics.confidence)
            self._known[key] = found, pairs(self.answers[before, task, split], self.answers[after, task, split])
        return self._known[key]

    def difference(self, before: str, after: str, task: str, split: str) -> Estimate | None:
        """Accuracy of `after` minus that of `before`, paired; None where one is missing or answered other items."""
        if (before, task, split) not in self.answers or not self.run.same_items(before, after, task, split):
            return None
        return self.pair(before, after, task, split)[0][0].difference

    def learning(self) -> list[Learning]:
        """Each adapter on each task its stage learnt, against the base model and every baseline on the same items."""
        return [
            self._learning(lineage, task, split, against)
            for lineage, adapter in self.run.adapters.items()
            for task in adapter.tasks
            for split in self.run.config.evaluation.splits
            for against in (BASE, *BASELINES)
            if self.difference(against, lineage, task, split) is not None
        ]

    def _learning(self, lineage: str, task: str, split: str, against: str) -> Learning:
        adapter = self.run.adapters[lineage]
        found, counts = self.pair(against, lineage, task, split)
        claim, reason = claim_difference(found[0].difference, counts, ("better", "no measurable difference", "worse"))
        return Learning(
            lineage=lineage,
            stage=adapter.stage,
            seed=adapter.seed,
            fold=adapter.fold,
            arms=adapter.arms,
            task=task,
            split=split,
            against=against,
            items=len(self.answers[lineage, task, split]),
            changes=found,
            pairs=counts,
            claim=claim,
            reason=reason,
        )

    def forgetting(self) -> list[Forgetting]:
        """Each earlier task of each arm and run, between the adapter that learnt it last and every later one."""
        return [
            self._forgetting(place, split)
            for place in walk_earlier_tasks(self.run.config)
            for split in self.run.config.evaluation.splits
        ]

    def _forgetting(self, place: EarlierTask, split: str) -> Forgetting:
        task, before, after = place.task, place.before, place.after
        found, counts = self.pair(before, after, task, split)
        over_majority = self.difference(MAJORITY, before, task, split)
        claim, reason = claim_forgetting(found[0].difference, counts, over_majority, place.learnt.stage)
        over = [self.difference(against, after, task, split) for against in (MAJORITY, BASE)]
        items = len(self.answers[after, task, split])
        return Forgetting(
            arm=place.arm,
            seed=place.seed,
            fold=place.fold,
            comparison="paired",
            comparable=True,
            task=task,
            before_lineage=before,
            before_stage=place.learnt.stage,
            before_split=split,
            before_items=items,
            after_lineage=after,
            after_stage=place.later.stage,
            after_task=" + ".join(place.later.tasks),
            after_split=split,
            after_items=items,
            changes=found,
            pairs=counts,
            over_majority=over_majority,
            over_base=self.difference(BASE, before, task, split),
            retained="retained" if all(e and e.low is not None and e.low > 0 for e in over) else "not shown",
            retained_over_majority=over[0],
            retained_over_base=over[1],
            auroc=self.auroc(before, after, task, split),
            claim=claim,
            reason=reason,
        )


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
                    "retained": "not shown",
                    "retained_over_majority": None,
                    "retained_over_base": None,
                    "auroc": None,
                    "claim": "not claimed",
                    "reason": "Different items stand before and after, so their difference is not forgetting.",
                }
            )
        )
    return records


def matrix(run: Run, scores: dict[tuple[str, str, str], Score]) -> list[MatrixCell]:
    """Every task's score after every stage of every arm and run, the base model first."""
    cells = []
    for arm in run.config.active_arms:
        for fold, seed in run.config.runs:
            learnt: set[str] = set()
            for step in steps_of_arm(run.config, arm, seed, fold):
                learnt |= set(step.tasks)
                for (task, lineage), split in product(step.answered_by.items(), run.config.evaluation.splits):
                    score = scores[lineage, task, split]
                    cells.append(
                        MatrixCell(
                            arm=arm,
                            seed=seed,
                            fold=fold,
                            stage=step.stage,
                            stage_tasks=step.tasks,
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
