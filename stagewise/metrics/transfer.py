"""Measures of continual learning over the stage × task matrix, as their papers define them.

Each takes ``scores`` of shape (..., stages + 1, tasks), stage 0 the untuned model, and `Learnt`, and gives shape
(...); None if there is no such task, with the reason in `REASONS`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stagewise.lineage import Step

REASONS = {
    "average": "the arm learns no task",
    "backward_transfer": "no task is followed by a stage that does not learn it",
    "forgetting": "no task is followed by a stage that does not learn it",
    "forward_transfer": "no task is first learnt after another stage",
    "probe_change": "the arm learns every task that is a probe",
}


@dataclass(frozen=True)
class Learnt:
    """Stages at which an arm learns each task (columns by number)."""

    first: dict[int, int]
    """The stage that learnt it first, from 1."""
    last: dict[int, int]
    """The stage that learnt it last."""
    stages: int
    probes: tuple[int, ...] = ()
    """Tasks that are probes and that no stage learns."""

    @classmethod
    def of(cls, steps: list[Step], tasks: list[str], probes: Iterable[str] = ()) -> "Learnt":
        """Read it from the steps of one run; `probes` are the tasks that are probes of arms that do not learn them."""
        stages = {tasks.index(task): [s.stage for s in steps if task in s.tasks] for s in steps for task in s.tasks}
        first, last = ({task: pick(numbers) for task, numbers in stages.items()} for pick in (min, max))
        unlearnt = tuple(tasks.index(task) for task in probes if tasks.index(task) not in last)
        return cls(first, last, steps[-1].stage, unlearnt)

    def tasks_of(self, statistic: str) -> list[int]:
        """Tasks that a statistic of `REASONS` is a mean over."""
        return {
            "average": list(self.last),
            "forward_transfer": self.later,
            "probe_change": list(self.probes),
        }.get(statistic, self.earlier)

    @property
    def later(self) -> list[int]:
        """Tasks that were first learnt after another stage."""
        return [task for task, stage in self.first.items() if stage > 1]

    @property
    def earlier(self) -> list[int]:
        """Tasks that a later stage did not learn."""
        return [task for task, stage in self.last.items() if stage < self.stages]


def average(scores: np.ndarray, learnt: Learnt) -> np.ndarray | None:
    """Mean score after the last stage over the tasks learnt (Lopez-Paz & Ranzato 2017, arXiv:1706.08840, eq. 2)."""
    return _mean([scores[..., learnt.stages, task] for task in learnt.last])


def backward_transfer(scores: np.ndarray, learnt: Learnt) -> np.ndarray | None:
    """Mean over earlier tasks of the last score minus the one after learning (Lopez-Paz & Ranzato 2017, eq. 3)."""
    return _mean([scores[..., learnt.stages, t] - scores[..., learnt.last[t], t] for t in learnt.earlier])


def forgetting(scores: np.ndarray, learnt: Learnt) -> np.ndarray | None:
    """Mean over earlier tasks of the best score after stages 1 to K - 1 minus the last, of K stages (Chaudhry et al.
    2018, arXiv:1801.10112, eq. 3)."""
    return _mean([scores[..., 1 : learnt.stages, t].max(-1) - scores[..., learnt.stages, t] for t in learnt.earlier])


def forward_transfer(scores: np.ndarray, learnt: Learnt) -> np.ndarray | None:
    """Mean over tasks first learnt after stage 1 of the score just before minus the untuned model's (Lopez-Paz &
    Ranzato 2017, eq. 4)."""
    return _mean([scores[..., learnt.first[t] - 1, t] - scores[..., 0, t] for t in learnt.later])


def probe_change(scores: np.ndarray, learnt: Learnt) -> np.ndarray | None:
    """Mean over the probes among the tasks of the last score minus the untuned model's.

    As forward transfer (Lopez-Paz & Ranzato 2017, eq. 4) it compares tasks that were not trained on with the untuned
    model. Theirs are tasks that the arm learns later, each just before that; probes are never learnt, and count once
    every stage is done.
    """
    return _mean([scores[..., learnt.stages, task] - scores[..., 0, task] for task in learnt.probes])


def _mean(parts: list[np.ndarray]) -> np.ndarray | None:
    return np.mean(parts, axis=0) if parts else None
