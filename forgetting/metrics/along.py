"""Walking along the arms: which adapter answers a task when, and where an earlier task can have been forgotten."""

from collections.abc import Iterator
from dataclasses import dataclass

from forgetting import plan
from forgetting.config import Config


@dataclass(frozen=True)
class Earlier:
    """An earlier task of an arm in one run, after a later stage that did not learn it."""

    arm: str
    fold: int | None
    seed: int
    task: str
    learnt: plan.Step
    """The stage that learnt it last."""
    later: plan.Step
    last: bool
    """The later stage is the arm's last one."""

    @property
    def before(self) -> str:
        """Lineage that answers the task once it is learnt."""
        return self.learnt.answers[self.task]

    @property
    def after(self) -> str:
        """Lineage that answers it after the later stage."""
        return self.later.answers[self.task]


def earlier_tasks(config: Config) -> Iterator[Earlier]:
    """Each earlier task of each arm and run after every later stage.

    A stage that learns the task anew is no place to look for forgetting it, so it only starts a new count.
    """
    for arm in config.active_arms:
        for fold, seed in config.runs:
            learnt: dict[str, plan.Step] = {}
            _, *steps = plan.steps_of_arm(config, arm, seed, fold)
            for step in steps:
                for task, before in learnt.items():
                    if task not in step.tasks:
                        yield Earlier(arm, fold, seed, task, before, step, step is steps[-1])
                learnt |= dict.fromkeys(step.tasks, step)
