"""Tests of what overlays take over from the default experiment."""

import pytest
import yaml

from stagewise.config.inheritance import describe_inheritance
from stagewise.config.load_config import load
from stagewise.errors import InputError
from tests.helpers.project_copy import ROOT

DEFAULT = ROOT / "config.yaml"

MINE = {
    "prompt": "prompts/dreaddit.txt",
    "label": "label",
    "labels": [{"value": "0", "word": "no"}, {"value": "1", "word": "yes"}],
    "fields": {"subreddit": "subreddit", "text": "text"},
    "source": "mine",
    "sources": {"mine": {"reader": {"format": "csv"}, "files": {"items": {"path": "mine.csv"}}}},
    "split": "random",
    "splits": {"random": {"rule": "random", "train": 0.8, "validation": 0.1, "test": 0.1}},
}
OWN = {"experiment": "mine", "tasks": {"mine": MINE}, "arms": {"one": {"stages": [{"task": "mine"}]}}}


@pytest.fixture
def write(tmp_path):
    def write(**values):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


def test_own_data_inherit_nothing_of_the_sample(write):
    config = load(DEFAULT, write(**OWN))
    assert config.limit.train is None
    assert list(config.active_arms) == ["one"]
    assert list(config.active_tasks) == ["mine"]
    assert config.lora.last_layers is None
    assert config.training.max_length != 256
    # What holds for any data is there: the model, the shipped tasks and the form of the prompts.
    assert config.model == load(DEFAULT).model
    assert config.prompting == load(DEFAULT).prompting
    assert "pubmedqa" in config.tasks


def test_a_stage_after_a_shipped_task_is_still_ones_own_data(write):
    arms = {"after": {"stages": [{"task": "pubmedqa"}, {"task": "mine"}]}}
    config = load(DEFAULT, write(**OWN | {"arms": arms}))
    assert list(config.active_tasks) == ["pubmedqa", "mine"]
    assert config.limit.train is None


def test_an_overlay_of_the_sample_inherits_all(write):
    path = write(seeds=[1], tasks={"pubmedqa": {"source": "original"}})
    assert load(DEFAULT, path).limit.train == load(DEFAULT).limit.train
    # A task that is a probe alone changes nothing of the arms.
    path = write(tasks={"mine": MINE}, probes={"tasks": ["mine"]})
    assert list(load(DEFAULT, path).active_arms) == list(load(DEFAULT).active_arms)


@pytest.mark.parametrize(("inherits", "train", "layers"), [("all", 128, 10), (["model", "models", "lora"], None, 10)])
def test_inherits_says_what_is_taken(write, inherits, train, layers):
    config = load(DEFAULT, write(**OWN, inherits=inherits))
    assert (config.limit.train, config.lora.last_layers) == (train, layers)


@pytest.mark.parametrize(
    ("inherits", "message"), [(["limits"], "inherits: 'limits' is not in config.yaml, which has"), ("some", "'all'")]
)
def test_unknown_parts_are_refused(write, inherits, message):
    with pytest.raises(InputError, match=message):
        load(DEFAULT, write(**OWN, inherits=inherits))


def test_an_overlay_on_another_file_is_merged_as_it_is(write, tmp_path):
    base = tmp_path / "base.yaml"
    base.write_text(DEFAULT.read_text())
    assert load(base, write(**OWN)).limit.train == 128


def test_what_is_inherited_is_said(write):
    inherited, left = describe_inheritance([DEFAULT, write(**OWN, limit={"test": 9})], ["dreaddit"])
    assert "model smollm2-135m-instruct" in inherited
    assert "tasks (pubmedqa, dreaddit)" in inherited
    assert "limit" not in inherited
    assert " lora," in left
    assert "experiment" not in left
    (inherited,) = describe_inheritance([DEFAULT, write(limit={"test": 9})], [])
    assert "limit.train 128" in inherited
    assert "limit.test" not in inherited
    assert describe_inheritance([DEFAULT], []) == []


def test_own_tasks_that_nobody_uses_are_named(write):
    lines = describe_inheritance([DEFAULT, write(**OWN)], ["pubmedqa", "mine"])
    assert lines[-1] == "tasks.mine is in no arm and no probe, so nothing is made of it"
    assert not any("pubmedqa is in no arm" in line for line in lines)
