"""Tasks that an arm learnt, after later stages that did not learn them."""

from collections.abc import Iterator
from dataclasses import dataclass

from stagewise.config.experiment import Config
from stagewise.lineage import Step, steps_of_arm


@dataclass(frozen=True)
class EarlierTask:
    """A task that an arm learnt in one run, after a later stage that did not learn it."""

    arm: str
    fold: int | None
    seed: int
    task: str
    learnt: Step
    """Step of the stage that learnt it last."""
    later: Step
    last: bool
    """True if the later stage is the arm's last one."""

    @property
    def before(self) -> str:
        """Lineage that answers the task right after the stage that learnt it."""
        return self.learnt.answered_by[self.task]

    @property
    def after(self) -> str:
        """Lineage that answers the task after the later stage."""
        return self.later.answered_by[self.task]


def walk_earlier_tasks(config: Config) -> Iterator[EarlierTask]:
    """Yield each earlier task of each arm and run after every later stage.

    A stage that learns the task again cannot show forgetting; later stages are then compared with that one.
    """
    for arm in config.active_arms:
        for fold, seed in config.runs:
            learnt: dict[str, Step] = {}
            _, *steps = steps_of_arm(config, arm, seed, fold)
            for step in steps:
                for task, learnt_at in learnt.items():
                    if task not in step.tasks:
                        yield EarlierTask(arm, fold, seed, task, learnt_at, step, last=step is steps[-1])
                learnt |= dict.fromkeys(step.tasks, step)
