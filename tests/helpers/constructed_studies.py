"""Studies of constructed right and wrong answers, without an experiment on disk (`benchmarks.claims` draws them)."""

from collections.abc import Callable

import numpy as np

from stagewise.lineage import BASE, lineage_tree, steps_of_arm
from stagewise.metrics.arms import ArmScores
from stagewise.metrics.bootstrap import Bootstrap
from stagewise.metrics.decision_rules import DecisionRules
from stagewise.metrics.prediction_table import Predictions
from stagewise.metrics.schema import MAJORITY
from stagewise.metrics.scores import ScoreTable
from tests.helpers import fake_results as made


def study(right: Callable[[str, str], np.ndarray], arms: dict, seeds=(0,), groups: np.ndarray | None = None):
    """Score the arms of a made-up configuration (`ArmScores`) whose adapters answer as `right` says.

    Parameters
    ----------
    right
        Called with each lineage and task; returns True for each right answer, shape (items,). The majority class is
        right on the first half of the items.
    arms, seeds
        As the configuration has them.
    groups
        Group of each item, shape (items,).
    """
    settings = made.config(arms=arms, seeds=list(seeds))
    tasks, lineages = list(settings.active_tasks), [BASE, *lineage_tree(settings)]
    predictions = {}
    for task in tasks:
        for lineage in lineages:
            answers = np.asarray(right(lineage, task))
            gold = (np.arange(len(answers)) >= len(answers) / 2).astype(int)
            given = np.where(answers, gold, 1 - gold)
            predictions[lineage, task, "test"] = Predictions(["no", "yes"], gold, given, groups=groups)
        predictions[MAJORITY, task, "test"] = Predictions(["no", "yes"], gold, np.zeros_like(gold), groups=groups)
    bootstrap = Bootstrap(400, 0, 0.95, tasks)
    table = ScoreTable(predictions, DecisionRules(predictions, {}, {}), bootstrap)
    steps = {arm: [steps_of_arm(settings, arm, seed) for seed in seeds] for arm in settings.active_arms}
    return ArmScores(steps, tasks, "test", lineages, table)
