"""Figures of an exported card, of tasks that are not answered with one label of a list."""

import pytest

from stagewise.config.yaml_files import merge
from stagewise.pipeline.export_report import Reported, describe_answering, evaluation_results, score_table
from stagewise.recipe import Recipe
from stagewise.training.model_card import tags
from tests.helpers import fake_results, kinds_of_tasks

SIZES = {"train": 30, "validation": 20, "test": 20}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """The report on the adapter that has learnt single labels, sets of labels, and texts at last."""
    folder = tmp_path_factory.mktemp("mixed")
    overlay = merge(kinds_of_tasks.MIXED, {"statistics": {"bootstrap_samples": 100}})
    _, metrics = fake_results.experiment(folder, sizes=SIZES, **overlay)
    return Reported(metrics, Recipe.read(folder / "base/seed-0/pubmedqa/topics/notes/recipe.json"))


def test_a_card_says_that_sets_and_texts_are_generated(mixed):
    assert describe_answering(mixed) == (
        "by likelihood within the task's labels; sets of labels and texts by greedy generation"
    )


def test_a_card_calls_a_majority_class_only_what_is_one(mixed):
    assert "| most frequent answer |" in score_table(mixed).splitlines()[0]
    names = {result.dataset_name: set(result.metric_args) for result in evaluation_results(mixed)}
    assert "majority class" in names["grades"] and "majority class" not in names["notes"]
    assert "most frequent answer" in names["notes"]


def test_a_card_is_tagged_with_the_kinds_that_its_stage_learnt(mixed):
    assert tags(mixed.recipe) == ["lora", "text-generation", "sequential-fine-tuning", "stagewise"]
    both = mixed.recipe.model_copy(update={"learns": ["pubmedqa", "topics"]})
    assert tags(both)[1:-2] == ["text-classification"]
