"""Configuration: every bad one is refused in a sentence that names the file and the key."""

import copy

import pytest
import yaml

from stagewise.config.load_config import check, load
from stagewise.config.yaml_files import read_yaml
from stagewise.errors import InputError
from stagewise.lineage import lineage_tree, steps_of_arm
from tests.helpers.project_copy import ROOT

GOOD = read_yaml(ROOT / "config.yaml")
GOOD["arms"] = {"sequential": GOOD["arms"]["sequential"]}


def changed(path: str, value):
    """The default configuration with one key set (or, for ``...``, removed)."""
    values = copy.deepcopy(GOOD)
    *parents, last = path.split("/")
    inner = values
    for part in parents:
        inner = inner[int(part)] if isinstance(inner, list) else inner.setdefault(part, {})
    if value is ...:
        del inner[last]
    else:
        inner[int(last) if isinstance(inner, list) else last] = value
    return values


BAD = {
    "unknown key": ("sead", [1], "'sead' is not a setting; did you mean 'seeds'?"),
    "unknown nested key": ("training/epoch", 3, "did you mean 'epochs'?"),
    "unknown key in a task": ("tasks/pubmedqa/lables", [], "did you mean 'labels'?"),
    "unknown key in a union": ("tasks/dreaddit/splits/official/sead", 1, "did you mean 'seed'?"),
    "wrong type": ("training/epochs", "many", "'training.epochs'"),
    "negative learning rate": ("training/learning_rate", -1, "greater than 0"),
    "zero evaluation interval": ("training/eval_every", 0, "eval_every"),
    "unknown choice": ("training/loss_on", "answers", "'answer' or 'text'"),
    "unknown quantization": ("quantization", "int4", "quantization"),
    "unquoted yes": ("tasks/pubmedqa/labels/0/value", True, "put it in quotes"),
    "label twice": ("tasks/pubmedqa/labels/1/word", "Yes", "given twice"),
    "one label": ("tasks/pubmedqa/labels", [{"value": "a", "word": "a"}], "at least 2"),
    "unknown source": ("tasks/pubmedqa/source", "orginal", "not one of its sources"),
    "unknown split": ("tasks/pubmedqa/split", "offical", "not one of its splits"),
    "split without its file": ("tasks/dreaddit/splits/official/train", "all", "needs a file 'all'"),
    "url without checksum": (
        "tasks/pubmedqa/sources/sample/files/items",
        {"url": "https://example.org/a.json"},
        "needs the 'sha256'",
    ),
    "path and url": (
        "tasks/pubmedqa/sources/sample/files/items",
        {"path": "a", "url": "b", "sha256": "0" * 64},
        "exactly one of 'path' and 'url'",
    ),
    "short checksum": ("tasks/pubmedqa/sources/original/files/items/sha256", "abc", "sha256"),
    "shares above one": (
        "tasks/pubmedqa/splits/sample",
        {"rule": "random", "train": 0.8, "validation": 0.2, "test": 0.2},
        "above 1",
    ),
    "shorten names no field": ("tasks/pubmedqa/shorten", "contexts", "not one of the fields"),
    "unknown model": ("model", "gpt", "not one of models"),
    "short revision": ("models/llama-3.2-1b-instruct/revision", "main", "revision"),
    "two model origins": ("models/llama-3.2-1b-instruct/path", "there", "exactly one of"),
    "unknown task in a stage": ("arms/sequential/stages/1/task", "dreadit", "names the task 'dreadit'"),
    "no stages": ("arms/sequential/stages", [], "at least 1"),
    "reserved stage name": ("arms/sequential/stages/0/name", "adapter", "reserved"),
    "first stage resumes": ("arms/sequential/stages/0/training", {"optimizer_state": "parent"}, "no parent to resume"),
    "seed twice": ("seeds", [1, 1], "given twice"),
    "all arms taken out": ("arms/sequential", None, "arms is empty"),
    "limit too small": ("limit", {"train": 1}, "limit.train"),
    "unknown evaluation split": ("evaluation/splits", ["dev"], "evaluation.splits"),
    "missing model": ("model", ..., "'model' is required but missing"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_configuration_is_refused_in_one_sentence(tmp_path, case):
    path, value, says = BAD[case]
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(changed(path, value)), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load(file)
    message = str(caught.value)
    assert message.startswith(str(file)) and says in message and "\n" not in message


def test_the_error_names_the_file_that_holds_the_key(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("training: {epocs: 2}\n")
    with pytest.raises(InputError, match=r"^.*overlay\.yaml: 'training\.epocs'"):
        load(ROOT / "config.yaml", overlay)
    with pytest.raises(InputError, match=r"^--config: 'training\.epocs'"):
        check(changed("training/epocs", 2), [ROOT / "config.yaml"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seeds: [1]\nseeds: [2]\n", "line 2: the key 'seeds' is given twice"),
        ("training: {epochs: 1, epochs: 2}\n", "'epochs' is given twice"),
        ("a: [1\n", "not valid YAML"),
        ("- 1\n", "a mapping of settings, not list"),
    ],
)
def test_yaml_that_would_lose_a_setting_is_refused(tmp_path, text, says):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=says):
        read_yaml(file)


@pytest.mark.parametrize("overlay", sorted(path.name for path in (ROOT / "experiments").glob("*.yaml")))
def test_every_experiment_is_valid(overlay):
    config = load(ROOT / "config.yaml", ROOT / "experiments" / overlay)
    assert lineage_tree(config)
    assert config.results != GOOD["results"]  # an experiment never overwrites another's results


def test_arms_share_the_adapters_of_their_common_stages():
    values = changed("arms/three", {"stages": [{"task": "pubmedqa"}, {"task": "dreaddit", "name": "again"}]})
    values["seeds"] = [0, 1]
    tree = lineage_tree(check(values, []))
    assert len(tree) == 6
    assert tree["base/seed-1/pubmedqa"].arms == ["sequential", "three"]
    assert tree["base/seed-1/pubmedqa/again"].parent == "base/seed-1/pubmedqa"
    steps = steps_of_arm(check(values, []), "three", 1)
    assert [step.lineage for step in steps] == [
        "base",
        "base/seed-1/pubmedqa",
        "base/seed-1/pubmedqa/again",
    ]


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        (
            [{"task": "pubmedqa", "training": {"epochs": 1}}],
            "differ in their settings; give one of the stages a 'name'",
        ),
        (
            [{"task": "pubmedqa"}, {"task": "dreaddit", "name": "x", "training": {"optimizer_state": "parent"}}],
            "best_metric 'last'",
        ),
    ],
)
def test_arms_that_contradict_each_other_are_refused(stages, says):
    with pytest.raises(InputError, match=says):
        lineage_tree(check(changed("arms/other", {"stages": stages}), []))


def test_weights_for_another_number_of_adapters_are_refused_before_any_is_trained():
    remedies = {"merge": {"method": "dare_ties", "density": 0.5, "weights": [1, 1, 1]}}
    stages = [{"task": "pubmedqa"}, {"task": "dreaddit", "remedies": remedies}]
    says = r"arms.other.stages\[1\].remedies.merge: 'weights' has 3 numbers, and 2 adapters are merged"
    with pytest.raises(InputError, match=says):
        lineage_tree(check(changed("arms/other", {"stages": stages}), []))


def test_only_what_a_step_needs_reaches_it():
    config = check(GOOD, [])
    other = check(changed("training/learning_rate", 1.0), [])
    assert config.data_settings() == other.data_settings()
    assert config.scoring_settings() == other.scoring_settings()
    unused = check(changed("tasks/pubmedqa/sources/original/licence", "another"), [])
    assert config.data_settings() == unused.data_settings()
