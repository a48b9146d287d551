"""What a configuration means: arms and lineages, and what each step needs. tests/hostile has what is refused."""

import copy

import pytest

from stagewise.config.load_config import check, load
from stagewise.config.yaml_files import read_yaml
from stagewise.errors import InputError
from stagewise.lineage import lineage_tree, steps_of_arm
from tests.helpers import fake_results, kinds_of_tasks
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


def test_the_error_names_the_file_that_holds_the_key(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("training: {epocs: 2}\n")
    with pytest.raises(InputError, match=r"^.*overlay\.yaml: 'training\.epocs'"):
        load(ROOT / "config.yaml", overlay)
    with pytest.raises(InputError, match=r"^--config: 'training\.epocs'"):
        check(changed("training/epocs", 2), [ROOT / "config.yaml"])


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
        (
            [{"task": "pubmedqa"}, {"task": "dreaddit", "training": {"optimizer_state": "parent"}, "lora": {"r": 2}}],
            "has no state of the LoRA that the stage trains beside its parent's",
        ),
        (
            [
                {"task": "pubmedqa"},
                {"task": "dreaddit", "training": {"optimizer_state": "parent"}, "remedies": {"orthogonal": {}}},
            ],
            "has no state of the LoRA that the stage trains beside its parent's",
        ),
        (
            [
                {"task": "pubmedqa", "name": "averaged", "remedies": {"ema": {}}},
                {"task": "dreaddit", "training": {"optimizer_state": "parent"}},
            ],
            "does not go with the remedy ema",
        ),
        (
            [
                {"task": "pubmedqa"},
                {"task": "dreaddit", "remedies": {"ema": {}}, "training": {"optimizer_state": "parent"}},
            ],
            "does not go with the remedy ema",
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


@pytest.mark.parametrize(
    ("overlay", "says"),
    [
        (
            {"statistics": {"primary_measure": "rouge_l"}},
            "'rouge_l' is a measure of none of the tasks; take one",
        ),
        ({"training": {"best_metric": "quadratic_kappa"}}, "is no measure of 'pubmedqa' that its training computes"),
        (kinds_of_tasks.MIXED | {"training": {"best_metric": "accuracy"}}, "'topics' .* take loss, last"),
    ],
)
def test_a_measure_that_no_answer_has_is_refused(overlay, says):
    with pytest.raises(InputError, match=says):
        fake_results.config(**overlay)
