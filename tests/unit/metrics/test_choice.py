"""Choice among swept settings: by validation alone, and of what is chosen everything else."""

from dataclasses import replace

import numpy as np
import pytest

from stagewise.errors import InputError
from stagewise.lineage import Step
from stagewise.measures import MEASURES
from stagewise.metrics.build import build_metrics, flatten_metrics
from stagewise.metrics.choice import choose, score, validation_scores
from stagewise.metrics.prediction_table import AnswerFormat, Predictions
from stagewise.metrics.task_measures import TaskMeasures
from tests.helpers import fake_results as made
from tests.helpers.drawn_predictions import drawn
from tests.helpers.records import find
from tests.unit.metrics.conftest import FOLDS, SMALL

ACCURACY, BRIER = MEASURES["accuracy"], MEASURES["brier"]
OVERLAY = {"arms": made.SWEPT, "orders": made.ORDERS, "statistics": {"bootstrap_samples": 100}}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Two orders, two swept arms in each, one run: results and metrics."""
    return made.experiment(tmp_path_factory.mktemp("swept"), SMALL, **OVERLAY)


@pytest.fixture(scope="module")
def two_folds(tmp_path_factory):
    """One order, two folds, each with validation items of its own: results and metrics."""
    overlay = OVERLAY | {"orders": {"forward": made.ORDERS["forward"]}, **FOLDS}
    return made.experiment(tmp_path_factory.mktemp("folds"), SMALL, **overlay)


def chosen(metrics):
    return {v.arm: v.variant for v in metrics.variants if v.chosen}


def with_answers(results, split, change):
    """The results with other answers of some lineages on one split."""
    predictions = {key: change(key[0], p) if key[2] == split else p for key, p in results.predictions.items()}
    return replace(results, predictions=predictions)


def with_other_test_labels(results):
    """The results with another gold label of every test item."""
    items = dict(results.items)
    for key in [key for key in items if key[2] == "test"]:
        words = results.labels(key[1])
        items[key] = [item | {"label": words[words.index(item["label"]) - 1]} for item in items[key]]
    changed = with_answers(results, "test", lambda name, p: replace(p, gold=(p.gold - 1) % len(p.labels)))
    return replace(changed, items=items)


def test_what_the_test_items_say_changes_no_choice(swept):
    results, metrics = swept
    best = {lineage for v in metrics.variants if v.chosen for lineage in v.lineages}

    def worst(name, answers):
        return replace(answers, answer=(answers.gold + (name in best)) % len(answers.labels))

    for poisoned in map(build_metrics, (with_other_test_labels(results), with_answers(results, "test", worst))):
        assert chosen(poisoned) == chosen(metrics)
        assert [v.validation for v in poisoned.variants] == [v.validation for v in metrics.variants]
        assert [v.final for v in poisoned.variants] != [v.final for v in metrics.variants]


def test_what_validation_says_is_the_choice(swept):
    results, metrics = swept
    best = {lineage for v in metrics.variants if v.chosen for lineage in v.lineages}

    def wrong(name, answers):
        return replace(answers, answer=(answers.gold + 1) % len(answers.labels)) if name in best else answers

    changed = chosen(build_metrics(with_answers(results, "validation", wrong)))
    assert set(changed) == set(chosen(metrics)) == {v.arm for v in metrics.variants}
    assert all(changed[arm] != label for arm, label in chosen(metrics).items())


def test_all_else_is_about_the_chosen_settings(swept):
    results, metrics = swept
    unchosen = {name for v in metrics.variants if not v.chosen for name in v.lineages}
    assert len(unchosen) == 10 and unchosen < set(results.adapters)
    plain = metrics.model_dump_json(exclude={"variants"})
    assert not [name for name in unchosen if f'"{name}"' in plain]
    final = {s.arm: s.lineage for s in metrics.arms if s.stage == 2}
    for variant in metrics.variants:
        if variant.chosen:
            assert variant.lineages == [final[variant.arm]]
            for task, measures in variant.final.items():
                scores = find(metrics.scores, lineages=variant.lineages, task=task, split="test", rule="argmax")
                assert scores.measures == measures
    # As declared, with all that was to be tried.
    assert metrics.experiment.config["arms"]["anchor"]["stages"][1]["sweep"]
    assert set(flatten_metrics(metrics)) == set(final)


def test_the_mean_over_runs_of_the_mean_over_learnt_tasks_decides(two_folds):
    results, metrics = two_folds
    validation = {tuple(results.item_ids(name, "pubmedqa", "validation")) for name in results.adapters}
    assert len(validation) == 2
    for variant in metrics.variants:
        right = [
            results.predictions[lineage, task, "validation"].right.mean()
            for lineage in variant.lineages
            for task in ("pubmedqa", "dreaddit")
        ]
        assert variant.validation.value == pytest.approx(np.mean(right)) and variant.validation.runs == 2
        assert variant.final["pubmedqa"]["accuracy"].runs == 2
    for arm, label in chosen(metrics).items():
        values = {v.variant: v.validation.value for v in metrics.variants if v.arm == arm}
        assert label == max(values, key=values.get)


def test_costs_are_of_the_chosen_and_of_all_that_was_tried(swept):
    _, metrics = swept
    one = find(metrics.training, lineage="base/seed-0/pubmedqa")
    for arm, tried in (("sequential-forward", 3), ("anchor-reverse", 4), ("rehearsal-10-forward", 1)):
        cost = find(metrics.costs, arm=arm)
        assert (cost.tried, cost.trainings, cost.steps) == (tried, 2, 2 * one.steps)
        # The first stage is common to all that was tried.
        assert cost.tried_tokens == (1 + tried) * one.tokens and cost.tried_seconds == (1 + tried) * one.seconds
        assert (cost.steps_over_reference, cost.tokens_over_reference) == (1, 1)
    assert {(v.steps, v.tokens, v.extra_tokens) for v in metrics.variants} == {(2 * one.steps, 2 * one.tokens, 0)}


def test_only_what_an_arm_learnt_counts():
    """An arm that learns one of two tasks is chosen by that one, with the adapter that answers it in the end."""
    measures = TaskMeasures.alike("ab", AnswerFormat(["yes", "no"]))
    steps = [Step(0, [], "base", {}), Step(1, ["a"], "x", {"a": "x", "b": "base"})]
    gold, wrong = np.zeros(4, int), np.ones(4, int)
    right = Predictions(["yes", "no"], gold, gold)
    answers = {("x", "a"): right, ("base", "b"): replace(right, answer=wrong)}
    assert validation_scores({"arm": {"1": [steps], "2": [steps]}, "alone": {"": [steps]}}, answers, measures) == {
        "arm": {"1": 1, "2": 1}
    }


@pytest.mark.parametrize(
    ("measure", "values", "label"),
    [
        (ACCURACY, {"a": 0.5, "b": 0.7, "c": 0.7}, "b"),
        (BRIER, {"a": 0.5, "b": 0.7}, "a"),
        (BRIER, {"a": np.nan, "b": 0.7}, "b"),
    ],
)
def test_the_best_is_chosen_and_the_first_of_equals(measure, values, label):
    assert choose({"arm": values}, measure) == {"arm": label}


def test_without_any_value_nothing_can_be_chosen():
    with pytest.raises(InputError, match=r"arms\.anchor has a sweep.*statistics\.primary_measure"):
        choose({"anchor": {"a": np.nan, "b": np.nan}}, BRIER)


def test_plain_answers_are_scored():
    answers = drawn()
    assert score(answers, ACCURACY) == answers.right.mean()
    probabilities = np.exp(answers.logprobs) / np.exp(answers.logprobs).sum(1, keepdims=True)
    expected = ((probabilities - np.eye(3)[answers.gold]) ** 2).sum(1).mean()
    assert score(answers, BRIER) == pytest.approx(expected)
    assert np.isnan(score(replace(answers, logprobs=None), BRIER))
