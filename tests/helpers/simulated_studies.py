"""Studies of right and wrong answers whose truth is known, without an experiment on disk."""

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from stagewise.lineage import BASE, lineage_tree, steps_of_arm
from stagewise.metrics.arms import ArmScores
from stagewise.metrics.bootstrap import Bootstrap
from stagewise.metrics.crossed import Runs
from stagewise.metrics.decision_rules import DecisionRules
from stagewise.metrics.prediction_table import Predictions
from stagewise.metrics.schema import MAJORITY
from stagewise.metrics.scores import ScoreTable
from tests.helpers import fake_results as made

MAJORITY_SHARE = 0.5
SAME_ITEMS = 0.81
"""Correlation of an item's difficulty between two trainings: they disagree on about one item in five."""


def draw_right(rng, accuracies, runs: int, items: int, noise: float = 0.0) -> np.ndarray:
    """Draw right answers of arms, shape (arms, runs, items): an item's difficulty, a training's luck, and chance.

    `accuracies` are those over all items and trainings; `noise` is the standard deviation of a training's accuracy.
    """
    arms = len(accuracies)
    levels = np.asarray(accuracies)[:, None] + noise * rng.standard_normal((arms, runs))
    hard = np.sqrt(SAME_ITEMS) * rng.standard_normal(items)
    chance = np.sqrt(1 - SAME_ITEMS) * rng.standard_normal((arms, runs, items))
    return hard + chance < ndtri(np.clip(levels, 0.01, 0.99))[..., None]


def study(
    right: Callable[[str, str], np.ndarray],
    arms: dict,
    seeds=(0,),
    groups: np.ndarray | None = None,
    runs: Runs | None = None,
    samples: int = 400,
) -> ArmScores:
    """Score the arms of a made-up configuration whose adapters answer as `right` says.

    Parameters
    ----------
    right
        Called with each lineage and task; returns True for each right answer, shape (items,). The majority class is
        right on the first half of the items.
    arms, seeds
        As the configuration has them.
    groups
        Group of each item, shape (items,).
    runs
        How the runs depend on each other.
    samples
        Number of resamples.
    """
    settings = made.config(arms=arms, seeds=list(seeds))
    tasks, lineages = list(settings.active_tasks), [BASE, *lineage_tree(settings)]
    predictions = {}
    for task in tasks:
        for lineage in lineages:
            answers = np.asarray(right(lineage, task))
            gold = (np.arange(len(answers)) >= MAJORITY_SHARE * len(answers)).astype(int)
            given = np.where(answers, gold, 1 - gold)
            predictions[lineage, task, "test"] = Predictions(["no", "yes"], gold, given, groups=groups)
        predictions[MAJORITY, task, "test"] = Predictions(["no", "yes"], gold, np.zeros_like(gold), groups=groups)
    bootstrap = Bootstrap(samples, 0, 0.95, tasks, runs)
    table = ScoreTable(predictions, DecisionRules(predictions, {}, {}), bootstrap)
    steps = {arm: [steps_of_arm(settings, arm, seed) for seed in seeds] for arm in settings.active_arms}
    return ArmScores(steps, tasks, "test", lineages, table)


def simulated(accuracies, items: int, noise: float, seed: int, runs: int = 3) -> dict:
    """Draw arguments of `study`: arms of two stages, ``sequential`` and ``arm-1`` on, over several seeds.

    Every adapter of stage 1 is right on 85 % of either task's items, the untuned model on half, and each arm's last
    adapter on a share of `accuracies`; `noise` as in `draw_right`.
    """
    names = ["sequential", *(f"arm-{n}" for n in range(1, len(accuracies)))]
    first, second = {"task": "pubmedqa"}, {"task": "dreaddit"}
    arms = {name: {"stages": [first, second | ({} if name == names[0] else {"name": name})]} for name in names}
    rng = np.random.default_rng(seed)
    drawn = {task: draw_right(rng, [0.5, 0.85, *accuracies], runs, items, noise) for task in ("pubmedqa", "dreaddit")}
    folders = ["base", "pubmedqa", "dreaddit", *names[1:]]

    def right(lineage, task):
        path = lineage.split("/")
        return drawn[task][folders.index(path[-1]), int(path[1].removeprefix("seed-")) if path[1:] else 0]

    return {"right": right, "arms": arms, "seeds": range(runs)}
