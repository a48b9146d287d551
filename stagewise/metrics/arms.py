"""Arms as wholes over their runs: the matrix measures, and each task after the last stage."""

from itertools import product

import numpy as np

from stagewise.lineage import Step, steps_of_arm
from stagewise.metrics import transfer
from stagewise.metrics.decision_rules import Decider
from stagewise.metrics.read_results import Run
from stagewise.metrics.resampling import MEASURES, Draws, Scorer
from stagewise.metrics.schema import ArmSummary, ArmTask, Omitted, Spread
from stagewise.metrics.spread import no_spread, spread


class Arms:
    """What the statistics of arms share: who answers what in which run, and the scores of all of it."""

    def __init__(self, run: Run, decider: Decider, score: Scorer, draws: Draws):
        self.run, self.decider, self.score, self.tasks = run, decider, score, list(run.config.active_tasks)
        self.shares = draws.runs(len(run.config.runs))
        self.steps: dict[str, list[list[Step]]] = {
            arm: [steps_of_arm(run.config, arm, seed, fold) for fold, seed in run.config.runs]
            for arm in run.config.active_arms
        }
        self.learnt = {arm: transfer.Learnt.of(steps[0], self.tasks) for arm, steps in self.steps.items()}
        self._known: dict = {}

    @property
    def splits(self) -> list[str]:
        """Splits of which every run answered the same items: others are no ground for a mean over runs."""
        return [split for split in self.run.config.evaluation.splits if self._same_items(split)]

    def _same_items(self, split: str) -> bool:
        summaries = self.run.summaries.values()
        checksums = {tuple(s["tasks"][task]["splits"][split]["sha256"] for task in self.tasks) for s in summaries}
        return len(checksums) == 1

    def omitted(self) -> list[Omitted]:
        """Splits that the statistics of arms leave out."""
        reason = "its items differ from fold to fold, so runs cannot be paired"
        left = [split for split in self.run.config.evaluation.splits if split not in self.splits]
        return [Omitted(what=f"statistics of arms on {split}", reason=reason) for split in left]

    def rules(self, split: str) -> list[str]:
        """Rules that every lineage has answers by on every task."""
        found = [self.decider.rules(self.run.lineages, task, split) for task in self.tasks]
        return [rule for rule in found[0] if all(rule in other for other in found)]

    def cases(self) -> list[tuple[str, str, str]]:
        """Every split, rule and measure."""
        return [
            (split, rule, measure) for split in self.splits for rule, measure in product(self.rules(split), MEASURES)
        ]

    def scores(self, arm: str, split: str, rule: str, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """Scores after every stage, shape (runs, stages + 1, tasks); resampled, (runs, samples, stages + 1, tasks)."""
        key = arm, split, rule, measure
        if key not in self._known:
            cells = [
                [[self.score(step.answered_by[task], task, split, rule) for task in self.tasks] for step in steps]
                for steps in self.steps[arm]
            ]
            values = np.array([[[cell.value[measure] for cell in row] for row in run] for run in cells])
            draws = np.array([[[cell.draws[measure] for cell in row] for row in run] for run in cells])
            self._known[key] = values, np.moveaxis(draws, -1, 1)
        return self._known[key]

    def spread(self, values: np.ndarray, draws: np.ndarray, least: float = -1) -> Spread:
        """As `spread.spread`, for this experiment's runs and confidence."""
        return spread(values, draws, self.shares, self.run.config.statistics.confidence, least)

    def summaries(self) -> list[ArmSummary]:
        """The matrix measures of every arm."""
        return [
            ArmSummary(
                arm=arm,
                rule=rule,
                measure=measure,
                split=split,
                **{name: self._summary(name, arm, split, rule, measure) for name in transfer.REASONS},
            )
            for arm in self.steps
            for split, rule, measure in self.cases()
        ]

    def _summary(self, name: str, *case: str) -> Spread:
        (values, draws), learnt = self.scores(*case), self.learnt[case[0]]
        statistic = getattr(transfer, name)
        if statistic(values, learnt) is None:
            return no_spread(transfer.REASONS[name], len(values))
        least = 0 if name == "average" else -1
        return self.spread(statistic(values, learnt), statistic(draws, learnt), least)

    def task_records(self) -> list[ArmTask]:
        """Every task of every arm after its last stage."""
        return [
            self._task(number, task, arm, split, rule, measure)
            for arm in self.steps
            for split, rule, measure in self.cases()
            for number, task in enumerate(self.tasks)
        ]

    def _task(self, number: int, task: str, arm: str, split: str, rule: str, measure: str) -> ArmTask:
        values, draws = (each[..., number] for each in self.scores(arm, split, rule, measure))
        stage, runs = self.learnt[arm].last.get(number), len(values)
        earlier = number in self.learnt[arm].earlier
        learnt, change = no_spread("no stage of the arm learns this task", runs), None
        if stage is not None:
            learnt = self.spread(values[:, stage], draws[..., stage], 0)
        if earlier:
            change = self.spread(values[:, -1] - values[:, stage], draws[..., -1] - draws[..., stage])
        return ArmTask(
            arm=arm,
            rule=rule,
            measure=measure,
            split=split,
            task=task,
            learnt_stage=stage,
            earlier=earlier,
            final=self.spread(values[:, -1], draws[..., -1], 0),
            learnt=learnt,
            change=change or no_spread("no later stage could have changed it", runs),
        )
