"""Stages taken from elsewhere, and probes: what the configuration accepts, and the adapters that it means."""

import copy

import pytest

from stagewise.config.load_config import check
from stagewise.config.yaml_files import read_yaml
from stagewise.errors import InputError
from stagewise.lineage import lineage_tree, steps_of_arm
from tests.helpers.project_copy import ROOT

DEFAULT = read_yaml(ROOT / "config.yaml")
COMMIT = "0123456789abcdef" * 2 + "01234567"
MINE, LATER = {"adapter": "runs/mine", "learnt": "pubmedqa"}, {"task": "dreaddit"}
MODELS = DEFAULT["models"] | {"tuned": {"path": "tuned"}, "longer": {"path": "longer"}}


def config(arms, **changes):
    return check(copy.deepcopy(DEFAULT) | {"arms": arms} | changes, [])


def one_arm(*stages, **changes):
    return config({"mine": {"stages": list(stages)}}, **changes)


def test_an_adapter_from_elsewhere_is_a_stage_without_training_and_a_parent():
    experiment = one_arm(MINE, LATER)
    adopted, trained = lineage_tree(experiment).values()
    assert (adopted.lineage, trained.lineage) == (
        "base/seed-0/adopted-mine",
        "base/seed-0/adopted-mine/dreaddit",
    )
    assert adopted.training is None and adopted.parents == [] and adopted.adopted.path == "runs/mine"
    assert trained.parents == [adopted.lineage] and trained.learnt_tasks == ["pubmedqa", "dreaddit"]
    assert trained.lora_of_parent and not adopted.lora_of_parent


def test_checkpoints_of_one_training_follow_each_other_and_are_made_from_none():
    stages = [{"adapter": f"run/checkpoint-{n}", "learnt": "pubmedqa"} for n in (10, 20, 30)]
    tree = lineage_tree(one_arm(*stages))
    assert list(tree)[-1] == "base/seed-0/adopted-checkpoint-10/adopted-checkpoint-20/adopted-checkpoint-30"
    assert all(not adapter.parents for adapter in tree.values())
    assert [adapter.stage for adapter in tree.values()] == [1, 2, 3]
    assert len({adapter.adopted.folder for adapter in tree.values()}) == 3


def test_a_stage_with_a_lora_of_its_own_does_not_take_the_shape_of_an_adopted_parent():
    *_, last = lineage_tree(one_arm(MINE, LATER | {"lora": {"r": 4}})).values()
    assert last.new_lora and not last.lora_of_parent


def test_seeds_and_folds_are_filled_in():
    stage = {"adapter": "runs/{seed}/mine", "learnt": "pubmedqa", "name": "mine"}
    tree = lineage_tree(one_arm(stage, seeds=[3, 5]))
    assert {adapter.adopted.path for adapter in tree.values()} == {"runs/3/mine", "runs/5/mine"}


def test_a_hub_adapter_is_named_by_repository_and_commit():
    (adapter,) = lineage_tree(one_arm({"adapter": f"owner/name@{COMMIT}"})).values()
    assert adapter.adopted.hub == ("owner/name", COMMIT) and adapter.adopted.path is None
    assert adapter.lineage == "base/seed-0/adopted-name" and adapter.learnt_tasks == []


def test_a_tuned_model_stands_in_an_arm_of_models_alone():
    experiment = one_arm({"model": "tuned", "learnt": "pubmedqa"}, {"model": "longer"}, models=MODELS)
    first, second = lineage_tree(experiment).values()
    assert (first.tuned_model, second.tuned_model) == ("tuned", "longer")
    assert list(experiment.used_models) == [experiment.model, "tuned", "longer"]
    assert second.lineage == "base/seed-0/tuned-tuned/tuned-longer" and second.learnt_tasks == ["pubmedqa"]


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ([{}], r"a stage has one of 'task', 'adapter' and 'model' \(none given\)"),
        ([MINE | LATER], r"\(task and adapter given\)"),
        ([LATER | {"learnt": "pubmedqa"}], "'learnt' goes with 'adapter' or 'model'"),
        ([MINE | {"training": {"epochs": 1}}], "'training' does not go with 'adapter'"),
        ([MINE | {"lora": {"r": 4}}], "'lora' does not go with 'adapter'"),
        ([LATER, MINE | {"remedies": {"rehearsal": {}}}], "'remedies.rehearsal' does not go with 'adapter'"),
        ([MINE, MINE | {"sweep": {"remedies.blend.alpha": [0.1, 0.5]}}], "'sweep' does not go with 'adapter'"),
        ([{"adapter": "owner/name@.."}], "a revision is a commit"),
        ([{"adapter": "runs/{task}"}], "braces may only hold {seed} and {fold}"),
        ([{"adapter": "~/mine"}], "'~' is not replaced"),
        ([MINE | {"learnt": "copa"}], "names the task 'copa', which tasks does not declare"),
        ([{"model": "other"}], "'other' is not one of models"),
        ([{"model": "smollm2-135m-instruct"}], "is the base model itself"),
        ([{"model": "tuned"}, LATER], "every stage is one"),
        ([LATER, {"model": "tuned"}], "every stage is one"),
        ([LATER | {"name": "adopted-x"}], "'adopted-x' is a reserved word"),
    ],
)
def test_what_does_not_go_together_is_refused(stages, says):
    with pytest.raises(InputError, match=says):
        one_arm(*stages, models=MODELS)


def test_an_order_fills_in_what_was_learnt_elsewhere():
    orders = {"medical": ["pubmedqa", "dreaddit"]}
    experiment = one_arm({"adapter": "runs/mine", "learnt": 1}, {"task": 2}, orders=orders)
    _, first, second = steps_of_arm(experiment, "mine-medical", 0)
    assert (first.tasks, second.tasks) == (["pubmedqa"], ["dreaddit"])


def test_a_probed_task_is_active_and_an_unused_one_is_named():
    assert one_arm(LATER).unused_tasks == ["pubmedqa"]
    experiment = one_arm(LATER, probes={"tasks": ["pubmedqa"]})
    assert list(experiment.active_tasks) == ["pubmedqa", "dreaddit"] and experiment.learnt_tasks == ["dreaddit"]
    assert experiment.unused_tasks == []
    assert "pubmedqa" in experiment.scoring_settings().tasks


def test_short_forms_of_probes():
    probes = one_arm(LATER, probes={"harness": ["arc_easy"], "texts": {"prose": "text.txt", "none": None}}).probes
    assert probes.harness.tasks == ["arc_easy"] and probes.active_texts["prose"].path == "text.txt"
    assert probes.item_scored == ["arc_easy", "prose"]


@pytest.mark.parametrize(
    ("probes", "says"),
    [
        ({"tasks": ["copa"]}, "probes.tasks names the task 'copa', which tasks does not declare"),
        ({"tasks": ["pubmedqa", "pubmedqa"]}, "a task is given twice"),
        ({"harness": []}, "at least 1 item"),
        ({"harness": ["arc", "arc"]}, "a task is given twice"),
        ({"harness": ["prose"], "texts": {"prose": "a.txt"}}, "two probes are called 'prose'"),
        ({"texts": {"dreaddit": "a.txt"}}, "'dreaddit' is a task, too"),
        ({"texts": {"prose": {"url": "https://example.org/a.txt"}}}, "a text with a 'url' needs its 'sha256'"),
        ({"texts": {"prose": {}}}, "give exactly one of 'path' and 'url'"),
    ],
)
def test_probes_that_cannot_be_are_refused(probes, says):
    with pytest.raises(InputError, match=says):
        one_arm(LATER, probes=probes)


@pytest.mark.parametrize("remedy", [{"rehearsal": {}}, {"ewc": {"strength": 1.0}}, {"self_replay": {}}])
def test_a_remedy_of_earlier_tasks_needs_to_know_what_was_learnt_elsewhere(remedy):
    unknown, later = {"adapter": "runs/mine"}, LATER | {"remedies": remedy}
    with pytest.raises(InputError, match="names none that it learnt; name them there with 'learnt'"):
        lineage_tree(one_arm(unknown, later))
    assert len(lineage_tree(one_arm(MINE, later))) == 2
    assert len(lineage_tree(one_arm(unknown, LATER | {"remedies": {"anchor": {"strength": 0.1}}}))) == 2
