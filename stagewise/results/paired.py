"""Paired changes between any two adapters of one experiment, as its metrics compute them."""

from itertools import chain, product

import pandas as pd

from stagewise.metrics.bootstrap import Bootstrap
from stagewise.metrics.decision_rules import DecisionRules
from stagewise.metrics.forgetting import PairedChanges
from stagewise.metrics.scores import ScoreTable
from stagewise.results import frames
from stagewise.results.answers import Answers


def paired_frame(answers: Answers, pairs: list[tuple[str, str]], split: str) -> pd.DataFrame:
    """Compare pairs of lineages, each minus its second, on every task whose items they share.

    Columns are those of `frames.change_frame`.

    Raises
    ------
    InputError
        If there is no such lineage or split, or its predictions are not at hand.
    """
    from threadpoolctl import threadpool_limits

    experiment = answers.metrics.experiment
    tasks = [record.task for record in answers.metrics.tasks]
    keys = [(name, task, split) for name in dict.fromkeys(chain(*pairs)) for task in tasks]
    predictions = {key: answers.read(*key) for key in keys}
    checksums = {key: answers.items_checksum(*key) for key in keys}
    bootstrap = Bootstrap(experiment.bootstrap_samples, experiment.bootstrap_seed, experiment.confidence, tasks)
    table = ScoreTable(predictions, DecisionRules(predictions, {}, {}), bootstrap, answers.measures.task_score)
    changes = PairedChanges(table, checksums)
    rows: list[dict] = []
    # As the metrics step: last digits depend on the number of threads.
    with threadpool_limits(limits=1):
        for (lineage, against), task in product(pairs, tasks):
            if change := changes(against, lineage, task, split):
                names = {"kind": "paired", "lineage": lineage, "against": against, "task": task, "split": split}
                rows += frames.measure_rows(change.measures, **names, **frames.pair_cells(change.pairs), rule="argmax")
    return frames.make_frame(frames.CHANGE, rows)
