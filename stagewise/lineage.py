"""The lineage tree: which adapters an experiment has, where each lives, and which one answers for an arm.

The directory tree is the lineage. ``base`` is the untuned model, ``base/seed-0/pubmedqa`` the adapter
that learnt PubMedQA with seed 0, ``base/seed-0/pubmedqa/dreaddit`` its child, ``…/dreaddit/merged-blend-0.5`` one
that was made of the two without training. Arms that share a stage therefore share its adapter. With folds there is
a folder more: ``base/fold-3/seed-0/…``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from stagewise.config.experiment import Config
from stagewise.config.training import Arm, Stage, Training
from stagewise.errors import InputError
from stagewise.remedies.registry import Remedies

BASE = "base"

MERGED = "merged-"
"""Starts the folder of an adapter that is made of others without training."""


@dataclass
class Adapter:
    """One node of the lineage tree."""

    lineage: str
    parent: str | None
    """Lineage of the adapter whose folder this one is in; None where that is the base model."""
    tasks: list[str]
    """What its stage learns."""
    earlier: list[str]
    """What its ancestors learnt, oldest first, `tasks` left out."""
    seed: int
    fold: int | None
    stage: int
    """Stage number, from 1."""
    training: Training | None
    """None where it is made of others."""
    remedies: Remedies
    sources: list[str] = field(default_factory=list)
    """Lineages of the adapters it is made of without training, the newest last."""
    arms: list[str] = field(default_factory=list)
    """Arms that pass through this adapter."""

    @property
    def task(self) -> str:
        """The tasks' names in one."""
        return " + ".join(self.tasks)

    @property
    def parents(self) -> list[str]:
        """Every adapter that it is made from."""
        return self.sources or ([self.parent] if self.parent else [])

    @property
    def known(self) -> list[str]:
        """Every task of its lineage, oldest first."""
        return [*self.earlier, *self.tasks]

    @property
    def data(self) -> str:
        return data_folder(self.fold)

    def _settings(self):
        return self.tasks, self.training, self.remedies, self.sources


@dataclass(frozen=True)
class Step:
    """An arm after one stage."""

    stage: int
    """0 is the untuned base model."""
    tasks: list[str]
    """What the stage learnt."""
    lineage: str
    """The adapter it left."""
    answers: dict[str, str]
    """Lineage that answers each task of the experiment: one for all of them, or each task's own."""


def data_folder(fold: int | None) -> str:
    """Folder of the splits below the results folder."""
    return "data" if fold is None else f"data/fold-{fold}"


def data_folders(config: Config) -> list[str]:
    """Every folder of splits, the first run's first."""
    return list(dict.fromkeys(data_folder(fold) for fold, _ in config.runs))


def run_folder(fold: int | None, seed: int) -> str:
    """What every lineage of one run begins with."""
    return f"{BASE}/seed-{seed}" if fold is None else f"{BASE}/fold-{fold}/seed-{seed}"


def lineage_tree(config: Config) -> dict[str, Adapter]:
    """Every adapter of the experiment by lineage, parents before children.

    Raises
    ------
    InputError
        Where two arms give one lineage different settings.
    """
    tree: dict[str, Adapter] = {}
    for fold, seed in config.runs:
        for name, arm in config.active_arms.items():
            _grow(tree, config, name, arm, seed, fold)
    return tree


def _grow(tree: dict[str, Adapter], config: Config, name: str, arm: Arm, seed: int, fold: int | None) -> list[Step]:
    """Add an arm's adapters to `tree`; returns its steps."""
    start = run_folder(fold, seed)
    parent, found = None, []
    steps = [Step(0, [], BASE, dict.fromkeys(config.active_tasks, BASE))]
    for number, stage in enumerate(arm.stages):
        where = f"arms.{name}.stages[{number}]"
        if arm.adapters == "per_task":
            parent = None
        _check_parent(tree, config, where, stage, parent)
        own = tree[parent] if parent else None
        earlier = [task for task in (own.known if own else []) if task not in stage.tasks]
        training = config.stage_training(stage, first=parent is None)
        node = Adapter(
            f"{parent or start}/{stage.folder}",
            parent,
            stage.tasks,
            earlier,
            seed,
            fold,
            number + 1 if arm.adapters == "one" else 1,
            training,
            Remedies.of(stage.remedies.in_training),
        )
        _add(tree, node, name, where)
        found.append(node.lineage)
        parent = node.lineage
        if merge := stage.remedies.afterwards:
            kind, remedy = merge
            sources = found[:] if arm.adapters == "per_task" else [p for p in (node.parent, node.lineage) if p]
            if len(sources) < 2:
                raise InputError(f"config: {where}.remedies.{kind} needs an earlier stage to merge with")
            done = list(dict.fromkeys(task for source in sources for task in tree[source].known))
            merged = Adapter(
                f"{node.lineage}/{MERGED}{remedy.label}",
                node.lineage,
                stage.tasks,
                [task for task in done if task not in stage.tasks],
                seed,
                fold,
                node.stage,
                None,
                Remedies.of({kind: remedy}),
                sources,
            )
            _add(tree, merged, name, where)
            parent = merged.lineage
        answers = dict(steps[-1].answers)
        if arm.adapters == "one":
            answers = dict.fromkeys(config.active_tasks, parent)
        else:
            answers |= dict.fromkeys(tree[parent].known if stage.remedies.afterwards else stage.tasks, parent)
        steps.append(Step(number + 1, stage.tasks, parent, answers))
    return steps


def _check_parent(tree, config: Config, where: str, stage: Stage, parent: str | None) -> None:
    for kind, remedy in stage.remedies.in_training.items():
        if remedy.needs_parent and parent is None:
            raise InputError(
                f"config: {where}.remedies.{kind} needs an earlier stage, and this one starts from the base model"
            )
    if parent is None or config.stage_training(stage, first=False).optimizer_state != "parent":
        return
    before = tree[parent].training
    if before is None or before.best_metric != "last":
        raise InputError(
            f"config: {where} resumes its parent's last checkpoint (optimizer_state 'parent'), so the parent needs "
            "best_metric 'last' and a training of its own"
        )


def _add(tree: dict[str, Adapter], node: Adapter, arm: str, where: str) -> None:
    known = tree.setdefault(node.lineage, node)
    if known._settings() != node._settings():
        raise InputError(
            f"config: {where} and arm '{known.arms[0]}' share the folder '{node.lineage}' but differ in their "
            "settings; give one of the stages a 'name'"
        )
    if arm in known.arms:
        raise InputError(f"config: {where} repeats the folder '{node.lineage}'; give it a 'name'")
    known.arms.append(arm)


def steps_of_arm(config: Config, arm: str, seed: int, fold: int | None = None) -> list[Step]:
    """An arm after every stage in one run, the base model first."""
    return _grow({}, config, arm, config.active_arms[arm], seed, fold)


@dataclass(frozen=True)
class EarlierTask:
    """An earlier task of an arm in one run, after a later stage that did not learn it."""

    arm: str
    fold: int | None
    seed: int
    task: str
    learnt: Step
    """The stage that learnt it last."""
    later: Step
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


def walk_earlier_tasks(config: Config) -> Iterator[EarlierTask]:
    """Each earlier task of each arm and run after every later stage.

    A stage that learns the task anew is no place to look for forgetting it, so it only starts a new count.
    """
    for arm in config.active_arms:
        for fold, seed in config.runs:
            learnt: dict[str, Step] = {}
            _, *steps = steps_of_arm(config, arm, seed, fold)
            for step in steps:
                for task, before in learnt.items():
                    if task not in step.tasks:
                        yield EarlierTask(arm, fold, seed, task, before, step, step is steps[-1])
                learnt |= dict.fromkeys(step.tasks, step)
