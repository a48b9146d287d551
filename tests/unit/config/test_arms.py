"""Sweeps, orders of tasks and LoRA settings of stages: the arms and adapters that they mean."""

import copy

import pytest

from stagewise.config.arms import Stage
from stagewise.config.base import validate
from stagewise.config.identity import facts
from stagewise.config.load_config import check
from stagewise.config.yaml_files import merge, read_yaml
from stagewise.errors import InputError
from stagewise.lineage import lineage_tree, steps_of_arm, untuned_lineages
from tests.helpers.project_copy import ROOT

DEFAULT = read_yaml(ROOT / "config.yaml")
FIRST, SECOND = {"task": "pubmedqa"}, {"task": "dreaddit"}
SWEPT = SECOND | {"sweep": {"remedies.anchor.strength": [0.01, 0.1], "training.learning_rate": [1e-4, 2e-3]}}
ORDERS = {"medical": ["pubmedqa", "dreaddit"], "stress": ["dreaddit", "pubmedqa"]}


def config(arms, **changes):
    return check(copy.deepcopy(DEFAULT) | {"arms": arms} | changes, [])


def stage(**values) -> Stage:
    return validate(Stage, {"task": "dreaddit"} | values, "stage")


def test_a_sweep_gives_every_combination_a_stage_and_a_folder_of_its_own():
    variants = stage(remedies={"rehearsal": {}}, sweep=SWEPT["sweep"]).variants
    assert list(variants) == [
        f"strength={strength}, learning_rate={rate}" for strength in ("0.01", "0.1") for rate in ("0.0001", "0.002")
    ]
    first = variants["strength=0.01, learning_rate=0.0001"]
    assert (first.remedies.anchor.strength, first.training.learning_rate, first.sweep) == (0.01, 1e-4, {})
    assert first.remedies.rehearsal.share == 0.1  # what is not swept stays
    # What a remedy's label says is not said again; a name of the user's keeps everything.
    assert first.folder == "dreaddit+anchor-0.01+rehearsal-10_learning_rate-0.0001"
    named = stage(name="mine", sweep=SWEPT["sweep"]).variants
    assert [variant.folder for variant in named.values()][0] == "mine_strength-0.01_learning_rate-0.0001"
    folders = [variant.folder for swept in (variants, named) for variant in swept.values()]
    assert len(set(folders)) == 8


def test_values_are_written_as_yaml_writes_them_and_keys_that_end_alike_in_full():
    sweep = {"lora.last_layers": [None, 4], "training.group_by_length": [True, False]}
    assert list(stage(sweep=sweep).variants) == [
        f"last_layers={layers}, group_by_length={flag}" for layers in ("null", "4") for flag in ("true", "false")
    ]
    both = {"remedies.anchor.strength": [1, 2], "remedies.ewc.strength": [1, 2]}
    assert "remedies.anchor.strength=1, remedies.ewc.strength=2" in stage(sweep=both).variants


def test_limits_of_a_training_are_swept_and_set_by_stage():
    sweep = {"training.max_steps": [None, 20], "training.early_stopping.patience": [1, 2]}
    swept = FIRST | {"sweep": sweep, "training": {"early_stopping": {"patience": 9, "min_delta": 0.1}}}
    variants = list(stage(**swept).variants.values())
    assert [variant.training.max_steps for variant in variants] == [None, None, 20, 20]
    assert [variant.training.early_stopping.patience for variant in variants] == [1, 2, 1, 2]
    assert {variant.training.early_stopping.min_delta for variant in variants} == {0.1}
    usual = {"early_stopping": {"patience": 3, "min_delta": 0.5}}
    settings = config({"a": {"stages": [FIRST | {"training": {"early_stopping": {"patience": 1}}}]}}, training=usual)
    (adapter,) = lineage_tree(settings).values()
    assert adapter.training.early_stopping.model_dump() == {"patience": 1, "min_delta": 0.5}


def test_limits_that_nobody_sets_are_no_facts():
    """Otherwise every result of the version before would be made from other settings."""
    values = facts(config({"a": {"stages": [FIRST]}}))
    stage_values = values["arms"]["a"]["stages"][0]["training"]
    for group in (values["training"], stage_values):
        assert not {"max_steps", "early_stopping"} & set(group) and "warmup_ratio" in group
    assert "max_length" not in values["tasks"]["pubmedqa"]
    set_by_stage = facts(config({"a": {"stages": [FIRST | {"training": {"max_steps": 9}}]}}))
    assert set_by_stage["arms"]["a"]["stages"][0]["training"]["max_steps"] == 9


@pytest.mark.parametrize(
    ("training", "of_stage", "says"),
    [
        (
            {"early_stopping": {"patience": 1}, "best_metric": "last"},
            {},
            "'training': early_stopping goes by best_metric",
        ),
        (
            {"early_stopping": {"patience": 1}},
            {"best_metric": "last"},
            r"arms.a.stages\[0\].training: early_stopping goes by best_metric, which is 'last'",
        ),
        ({"early_stopping": {}}, {}, "'training.early_stopping.patience'"),
        ({"max_steps": 0}, {}, "'training.max_steps': input should be greater than or equal to 1"),
    ],
)
def test_limits_that_do_nothing_are_refused(training, of_stage, says):
    with pytest.raises(InputError, match=says):
        config({"a": {"stages": [FIRST | {"training": of_stage}]}}, training=training)


def test_a_stages_max_length_that_its_task_does_not_read_is_refused():
    arms = {"a": {"stages": [FIRST | {"training": {"max_length": 99}}]}}
    assert config(arms)
    with pytest.raises(InputError, match=r"stages\[0\].training.max_length has no effect, tasks.pubmedqa.max_length"):
        config(arms, tasks=merge(DEFAULT["tasks"], {"pubmedqa": {"max_length": 200}}))


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        ({"learning_rate": [1, 2]}, "'learning_rate' is no setting of a stage; write training.KEY"),
        ({"remedies.anchor": [1, 2]}, "'remedies.anchor' is no setting of a stage"),
        ({"training.epocs": [1, 2]}, r"epocs=1: 'training.epocs' is not a setting; did you mean 'epochs'\?"),
        ({"remedies.ancor.strength": [1, 2]}, "did you mean 'anchor'"),
        (
            {"remedies.anchor.strength": [1, -1]},
            "strength=-1: 'remedies.anchor.strength': input should be greater than 0",
        ),
        ({"training.epochs": [1]}, "at least 2"),
        ({"training.epochs": [1, 2, 1]}, "'training.epochs' has a value twice"),
        ({"lora.r": ["4", 8]}, "r=4: 'lora.r': write a whole number in plain decimals, without quotes"),
    ],
)
def test_an_impossible_sweep_is_one_sentence(sweep, says):
    with pytest.raises(InputError, match=says) as error:
        stage(sweep=sweep)
    assert "\n" not in str(error.value)


def test_a_sweep_needs_validation_to_choose_and_test_to_judge():
    arms = {"a": {"stages": [FIRST, SWEPT]}}
    with pytest.raises(InputError, match=r"arms.a has a sweep.*evaluation.splits needs both"):
        config(arms, evaluation={"splits": ["test"]})


def test_variants_share_their_stages_and_the_chosen_one_takes_the_arms_place():
    arms = {"plain": {"stages": [FIRST, SECOND]}, "swept": {"stages": [FIRST, SWEPT]}}
    settings = config(arms)
    tree = lineage_tree(settings)
    assert len(tree) == 1 + 1 + 4
    assert tree["base/seed-0/pubmedqa"].arms == ["plain", "swept"]
    chosen = settings.with_choice({"swept": "strength=0.1, learning_rate=0.0001"})
    folder = "base/seed-0/pubmedqa/dreaddit+anchor-0.1_learning_rate-0.0001"
    assert [step.lineage for step in steps_of_arm(chosen, "swept", 0)][-1] == folder
    assert list(lineage_tree(chosen)) == ["base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit", folder]
    assert lineage_tree(chosen)[folder] == tree[folder]  # the choice changes no adapter
    third = "strength=0.1, learning_rate=0.0001"
    assert steps_of_arm(settings, "swept", 0, variant=third) == steps_of_arm(chosen, "swept", 0)
    assert steps_of_arm(settings, "swept", 0)[-1].lineage.endswith("anchor-0.01_learning_rate-0.0001")


def test_settings_of_a_merge_need_no_further_training():
    blended = SECOND | {"name": "second", "sweep": {"remedies.blend.alpha": [0.25, 0.75]}}
    plain = SECOND | {"name": "second"}
    tree = lineage_tree(config({"plain": {"stages": [FIRST, plain]}, "blend": {"stages": [FIRST, blended]}}))
    second = "base/seed-0/pubmedqa/second"
    assert list(tree) == ["base/seed-0/pubmedqa", second, *(f"{second}/merged-blend-{a}" for a in ("0.25", "0.75"))]


def test_two_swept_stages_give_every_pair():
    lower = FIRST | {"sweep": {"training.learning_rate": [1e-3, 1e-4]}}
    settings = config({"a": {"stages": [lower, SECOND | {"sweep": {"training.epochs": [1, 2]}}]}})
    assert list(settings.arm_variants["a"])[1] == "stage 1 learning_rate=0.001, stage 2 epochs=2"
    assert len(lineage_tree(settings)) == 2 + 4


def test_an_arm_of_positions_stands_there_once_for_each_order():
    arms = {
        "sequential": {"stages": [{"task": 1}, {"task": 2}]},
        "rehearsal": {"stages": [{"task": 1}, {"task": 2, "remedies": {"rehearsal": {}}}]},
        "multitask": {"stages": [{"task": ["pubmedqa", "dreaddit"]}]},
        "own": {"stages": [{"task": 2}], "reference": "multitask"},
    }
    settings = config(arms, orders=ORDERS)
    names = ["sequential-medical", "sequential-stress", "rehearsal-medical", "rehearsal-stress"]
    assert list(settings.active_arms) == [*names, "multitask", "own-medical", "own-stress"]
    assert settings.active_arms["rehearsal-stress"].stages[1].task == "pubmedqa"
    assert settings.reference == "sequential-medical"
    references = {arm: settings.reference_of(arm) for arm in settings.active_arms}
    assert references == {
        **{name: f"sequential-{name.rpartition('-')[2]}" for name in names},
        "multitask": "sequential-medical",
        **dict.fromkeys(("own-medical", "own-stress"), "multitask"),
    }
    chosen = settings.with_choice({})
    assert references == {arm: chosen.reference_of(arm) for arm in chosen.active_arms}
    assert lineage_tree(chosen) == lineage_tree(settings)


@pytest.mark.parametrize(
    ("orders", "says"),
    [
        ({}, "arms.sequential names tasks by their position, and there are no orders"),
        ({"a": ["pubmedqa"]}, "arms.sequential names the task at position 2, and orders.a has 1"),
        ({"a": ["pubmedqa", "news"]}, "orders.a names the task 'news', which tasks does not declare"),
        ({"a": ["pubmedqa", "pubmedqa"]}, "orders.a: a task is given twice"),
        ({"b": ["pubmedqa", "dreaddit"]}, "two arms are called 'sequential-b'"),
    ],
)
def test_orders_that_do_not_fit_are_refused(orders, says):
    arms = {"sequential": {"stages": [{"task": 1}, {"task": 2}]}, "sequential-b": {"stages": [FIRST]}}
    with pytest.raises(InputError, match=says):
        config(arms, orders=orders)


def test_a_reference_that_is_no_arm_is_refused():
    with pytest.raises(InputError, match=r"arms.a.reference 'b' is not one of the arms \(a\)"):
        config({"a": {"stages": [FIRST], "reference": "b"}})


@pytest.mark.parametrize(
    ("lora", "is_new", "last_layers"),
    [({}, False, 10), ({"dropout": 0.1}, False, 10), ({"r": 4}, True, 10), ({"last_layers": 12}, True, 12)]
    + [({"dora": True}, True, 10), ({"rslora": False}, True, 10)],
)
def test_a_later_stage_with_settings_of_lora_has_a_branch_of_its_own(lora, is_new, last_layers):
    tree = lineage_tree(config({"a": {"stages": [FIRST | {"lora": {"r": 8}}, SECOND | {"lora": lora}]}}))
    first, second = tree.values()
    assert (first.lora.r, first.new_lora) == (8, False)
    assert (second.new_lora, second.last_layers) == (is_new, last_layers)
    assert second.lora.r == lora.get("r", 16)


def test_kinds_of_lora_are_swept():
    arms = {"a": {"stages": [FIRST | {"sweep": {"lora.dora": [False, True], "lora.rslora": [False, True]}}]}}
    splits = {"splits": ["validation", "test"]}
    adapters = lineage_tree(config(arms, evaluation=splits)).values()
    assert [(adapter.lora.dora, adapter.lora.rslora) for adapter in adapters][:4] == [
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    ]


STAGES = [FIRST, SECOND]
OTHER = {"models": DEFAULT["models"] | {"other": {"path": "other"}}}


def lineages(arms, **changes):
    return list(lineage_tree(config(arms, **changes)))


def test_arms_with_other_lora_settings_have_adapters_of_their_own_from_the_first_stage_on():
    arms = {
        "plain": {"stages": STAGES},
        "usual": {"lora": {"r": 16}, "stages": STAGES},  # as the experiment's
        "r4": {"lora": {"r": 4, "alpha": 8}, "stages": STAGES},
        "again": {"lora": {"alpha": 8, "r": 4}, "stages": STAGES},
        "narrow": {"lora": {"target_modules": ["q_proj", "v_proj"]}, "stages": STAGES},
    }
    tree = lineage_tree(config(arms, lora={"r": 16, "alpha": 32}))
    first, r4, narrow = (f"base/seed-0/pubmedqa{end}" for end in ("", "_r-4_alpha-8", "_target_modules-q_proj+v_proj"))
    assert list(tree) == [lineage for first in (first, r4, narrow) for lineage in (first, f"{first}/dreaddit")]
    assert tree[first].arms == ["plain", "usual"] and tree[r4].arms == tree[f"{r4}/dreaddit"].arms == ["r4", "again"]
    assert [tree[name].lora.r for name in (first, r4, f"{r4}/dreaddit")] == [16, 4, 4]
    # An ordinary first stage, which the later one trains further.
    assert not any(adapter.new_lora for adapter in tree.values())
    assert tree[f"{r4}/dreaddit"].parent == r4 and tree[r4].parent is None


def test_an_arm_without_settings_of_its_own_has_none_among_its_facts():
    """Otherwise every result of the version before would be made from other settings."""
    assert not {"model", "lora"} & set(facts(config({"a": {"stages": STAGES}}))["arms"]["a"])
    assert facts(config({"a": {"lora": {"r": 4}, "stages": STAGES}}))["arms"]["a"]["lora"]["r"] == 4


def test_a_stages_own_lora_settings_go_before_those_of_its_arm():
    own = FIRST | {"lora": {"r": 8}}
    arms = {"staged": {"stages": [own]}, "both": {"lora": {"r": 4}, "stages": [own]}}
    ((name, adapter),) = lineage_tree(config(arms)).items()
    assert (name, adapter.lora.r, adapter.arms) == ("base/seed-0/pubmedqa", 8, ["staged", "both"])
    # What the first stage does not take is named where it is taken.
    assert lineages({"a": arms["both"] | {"stages": [own, SECOND]}})[-1] == "base/seed-0/pubmedqa/dreaddit_r-4"
    branch = SECOND | {"lora": {"alpha": 99}}
    *_, last = lineage_tree(config({"a": {"lora": {"r": 4}, "stages": [FIRST, branch]}})).values()
    assert last.new_lora and (last.lora.r, last.lora.alpha) == (4, 99)


def test_each_adapter_of_an_arm_with_one_a_task_is_called_after_its_settings():
    arm = {"adapters": "per_task", "lora": {"r": 4}, "stages": STAGES}
    assert lineages({"a": arm}) == ["base/seed-0/pubmedqa_r-4", "base/seed-0/dreaddit_r-4"]
    assert lineages({"a": {"lora": {"r": 4}, "stages": [FIRST, SECOND, FIRST]}})[-1].endswith("_r-4/dreaddit/pubmedqa")


def test_a_sweep_and_an_arm_with_the_same_settings_share_their_adapter():
    swept = {"stages": [FIRST | {"sweep": {"lora.r": [4, 8]}}]}
    tree = lineage_tree(config({"swept": swept, "r4": {"lora": {"r": 4}, "stages": [FIRST]}}))
    assert {name: adapter.arms for name, adapter in tree.items()} == {
        "base/seed-0/pubmedqa_r-4": ["swept", "r4"],
        "base/seed-0/pubmedqa_r-8": ["swept"],
    }


def test_an_arm_with_a_base_model_of_its_own_starts_from_it():
    arms = {"a": {"stages": STAGES}, "b": {"model": "other", "stages": STAGES}}
    settings = config(arms, seeds=[3], **OTHER)
    tree = lineage_tree(settings)
    assert list(tree)[2:] == ["base-other/seed-3/pubmedqa", "base-other/seed-3/pubmedqa/dreaddit"]
    assert untuned_lineages(settings) == {"base": settings.model, "base-other": "other"}
    assert list(settings.used_models) == [settings.model, "other"]
    steps = steps_of_arm(settings, "b", 3)
    assert (steps[0].lineage, {*steps[0].answered_by.values()}) == ("base-other", {"base-other"})
    assert [tree[step.lineage].base for step in steps[1:]] == ["base-other"] * 2
    # The experiment's model by name is its own.
    named = {"a": {"stages": STAGES}, "b": {"model": settings.model, "stages": STAGES}}
    assert lineages(named, **OTHER) == lineages({"a": {"stages": STAGES}})
    separate = {"adapters": "per_task", "model": "other", "stages": [FIRST]}
    *_, last = steps_of_arm(config({"a": {"stages": STAGES}, "b": separate}, **OTHER), "b", 0)
    assert last.answered_by == {"pubmedqa": "base-other/seed-0/pubmedqa", "dreaddit": "base-other"}


def test_a_fully_fine_tuned_model_is_a_stage_on_its_arms_base_model():
    models = {"models": OTHER["models"] | {"tuned": {"path": "tuned"}}}
    arms = {"a": {"stages": STAGES}, "b": {"model": "other", "stages": [{"model": "tuned", "learnt": "pubmedqa"}]}}
    settings = config(arms, **models)
    assert list(settings.used_models) == [settings.model, "other", "tuned"]
    assert list(settings.base_models) == [settings.model, "other"]
    *_, tuned = lineage_tree(settings).values()
    assert (tuned.lineage, tuned.base, tuned.tuned_model) == ("base-other/seed-0/tuned-tuned", "base-other", "tuned")


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        ({"model": "nowhere", "stages": STAGES}, "arms.b.model 'nowhere' is not one of models"),
        ({"model": "other", "stages": [{"model": "other"}]}, "model 'other' is the base model itself"),
        (
            {"lora": {"r": 4}, "stages": [{"adapter": "runs/mine"}, SECOND]},
            "'lora' has no effect: the arm goes on with",
        ),
        ({"lora": {"r": 4}, "stages": [{"model": "other"}]}, "'lora' has no effect"),
        ({"lora": {"rank": 4}, "stages": STAGES}, "arms.b.lora.rank"),
        ({"lora": {"target_modules": ["x" * 150]}, "stages": [FIRST | {"name": "n" * 50}]}, "a name of 216 characters"),
    ],
)
def test_settings_of_an_arm_that_cannot_be_are_refused(arm, says):
    with pytest.raises(InputError, match=says):
        config({"a": {"stages": STAGES}, "b": arm}, **OTHER)


def test_the_experiments_model_is_that_of_some_arm():
    with pytest.raises(InputError, match="is the base model of no arm"):
        config({"b": {"model": "other", "stages": STAGES}}, **OTHER)
