"""Properties of the tree of adapters, on drawn arms."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagewise.errors import InputError
from stagewise.lineage import BASE, data_folder, lineage_tree, run_folder, steps_of_arm
from stagewise.metrics.earlier_tasks import walk_earlier_tasks
from tests.helpers import fake_results as made
from tests.helpers import properties  # noqa: F401
from tests.helpers.tiny_data import task_settings

TASKS = (["pubmedqa"], ["dreaddit"], ["pubmedqa", "dreaddit"])
REMEDIES = ({}, {"rehearsal": {"share": 0.1}}, {"blend": {"alpha": 0.5}})


@st.composite
def experiments(draw):
    """A configuration with two arms, which share the stages that they have in common from the first on."""
    arms = {}
    for arm in ("sequential", "other"):
        chosen = draw(st.lists(st.tuples(st.sampled_from(TASKS), st.sampled_from(REMEDIES)), min_size=1, max_size=3))
        stages = []
        for number, (tasks, remedies) in enumerate(chosen, 1):
            remedies = remedies if number > 1 else {}
            name = "-".join([f"s{number}", *tasks, *remedies])
            stages.append({"task": tasks, "name": name, "remedies": remedies})
        arms[arm] = {"stages": stages}
    return made.config(arms=arms, seeds=draw(st.lists(st.integers(0, 9), min_size=1, max_size=2, unique=True)))


@settings(max_examples=12)
@given(config=experiments())
def test_the_tree_is_the_path_of_the_stages(config):
    tree, seen = lineage_tree(config), set()
    for lineage, adapter in tree.items():
        assert lineage == adapter.lineage and lineage not in seen
        assert set(adapter.parents) <= seen, "parents stand before their children"
        assert lineage.startswith(f"{adapter.parent or run_folder(BASE, adapter.fold, adapter.seed)}/")
        assert not set(adapter.tasks) & set(adapter.earlier)
        assert adapter.data == data_folder(adapter.fold) and adapter.arms
        seen.add(lineage)
    for arm, declared in config.active_arms.items():
        for fold, seed in config.runs:
            first, *steps = steps_of_arm(config, arm, seed, fold)
            assert (first.stage, first.lineage) == (0, BASE)
            assert [step.stage for step in steps] == list(range(1, len(declared.stages) + 1))
            for step, stage in zip(steps, declared.stages, strict=True):
                assert arm in tree[step.lineage].arms and step.tasks == stage.tasks
                assert step.answered_by == dict.fromkeys(config.active_tasks, step.lineage)
                assert set(tree[step.lineage].learnt_tasks) == {
                    t for s in declared.stages[: step.stage] for t in s.tasks
                }


@settings(max_examples=12)
@given(config=experiments())
def test_an_earlier_task_is_one_that_a_later_stage_did_not_learn(config):
    expected = []
    for arm, declared in config.active_arms.items():
        for _, seed in config.runs:
            for later, stage in enumerate(declared.stages, 1):
                before = list(enumerate(declared.stages[: later - 1], 1))
                for task in {task for _, earlier in before for task in earlier.tasks} - set(stage.tasks):
                    learnt = max(number for number, earlier in before if task in earlier.tasks)
                    expected.append((arm, seed, task, learnt, later, later == len(declared.stages)))
    found = [(e.arm, e.seed, e.task, e.learnt.stage, e.later.stage, e.last) for e in walk_earlier_tasks(config)]
    assert sorted(found) == sorted(expected)


def test_a_merge_follows_the_training_with_all_other_remedies_and_shares_it():
    """Arms that differ in their merge alone train nothing twice: only the merged adapters are their own."""
    trained_with = {"rehearsal": {"share": 0.1}, "balanced": {}}
    merges = {"one": {"weights": [0.3, 0.3]}, "other": {"weights": [1, 1]}, "dare": {"method": "dare_ties_svd"}}
    arms = {
        arm: {"stages": [{"task": "pubmedqa"}, {"task": "dreaddit", "remedies": trained_with | {"merge": merge}}]}
        for arm, merge in merges.items()
    }
    tree = lineage_tree(made.config(arms=arms))
    first, second, *merged = (adapter for adapter in tree.values() if set(adapter.arms) & set(arms))
    assert (second.training is not None, list(second.remedies.chosen)) == (True, ["balanced", "rehearsal"])
    assert second.arms == list(arms) and len(merged) == len(arms)
    for adapter, merge in zip(merged, merges.values(), strict=True):
        assert (adapter.training, adapter.sources) == (None, [first.lineage, second.lineage])
        assert {n: r.model_dump(exclude_defaults=True) for n, r in adapter.remedies.chosen.items()} == {"merge": merge}


DORA = {"dora": True}


@pytest.mark.parametrize(
    ("stages", "lora", "says"),
    [
        ([{}, {"remedies": {"anchor": {}}}], DORA, r"stages\[1\].remedies.anchor works on the factors of plain LoRA"),
        ([{}, {"remedies": {"orthogonal": {}}}], DORA, "remedies.orthogonal works on the factors"),
        ([{"remedies": {"minor": {}}}], DORA, r"stages\[0\].remedies.minor works on the factors"),
        ([{}, {"remedies": {"merge": {}}}], DORA, "remedies.merge merges plain LoRA"),
        ([{"lora": DORA}, {"remedies": {"anchor": {}}}], {}, "remedies.anchor works on the factors"),
        ([{}, {"lora": {"r": 8, "dora": False}}], DORA, "trains a plain LoRA beside its parent's DoRA"),
        ([{"lora": DORA}, {"lora": {"r": 8}}], {}, "trains a plain LoRA beside its parent's DoRA"),
        ([{}, {"lora": DORA}, {"remedies": {"gpm": {}}}], {}, r"stages\[2\].remedies.gpm works on the factors"),
    ],
)
def test_dora_where_plain_lora_is_needed_is_refused(stages, lora, says):
    with pytest.raises(InputError, match=says):
        lineage_tree(arm(stages, lora))


@pytest.mark.parametrize(
    ("stages", "lora"),
    [
        ([{}, {"remedies": {"anchor": {"of": "factors"}}}], DORA),
        ([{}, {"remedies": {"ewc": {}}}, {"remedies": {"blend": {"alpha": 1}}}], DORA),
        ([{}, {"lora": {"r": 8}}], DORA),
        ([{}, {"lora": DORA}], {}),
        ([{}, {"remedies": {"anchor": {}}}, {"lora": DORA}], {}),
        ([{}, {"remedies": {"anchor": {}}}], {"rslora": True}),
    ],
)
def test_dora_goes_with_what_needs_no_factors(stages, lora):
    tree = lineage_tree(arm(stages, lora))
    assert [adapter.new_lora for adapter in tree.values() if adapter.training] == [
        number > 0 and bool(stage.get("lora")) for number, stage in enumerate(stages)
    ]


def arm(stages: list[dict], lora: dict):
    tasks = ("pubmedqa", "dreaddit", "pubmedqa")
    named = [
        {"task": task, "name": f"s{n}"} | stage for n, (stage, task) in enumerate(zip(stages, tasks, strict=False))
    ]
    return made.config(arms={"sequential": {"stages": named}}, lora=lora, seeds=[0])


@pytest.mark.parametrize(
    ("kinds", "remedy", "says"),
    [
        (
            ("generation", "classification"),
            "distill",
            r"stages\[1\].remedies.distill does not work on 'first', a",
        ),
        (("multi_label", "classification"), "self_replay", "remedies.self_replay does not work on 'first'"),
        (("multiple_choice", "classification"), "self_replay", "of kind 'multiple_choice'; take it out, or choose"),
        (("classification", "generation"), "balanced", "remedies.balanced does not work on 'second'"),
        (("classification", "generation"), "distill", None),
        (("classification", "generation"), "self_replay", None),
        (("multi_label", "generation"), "ewc", None),
        (("generation", "multi_label"), "rehearsal", None),
        (("generation", "ordinal"), "kl", None),
        (("generation", "multiple_choice"), "balanced", None),
        (("multiple_choice", "multi_label"), "distill", None),
    ],
)
def test_a_remedy_is_refused_beside_kinds_of_tasks_that_it_does_not_work_on(kinds, remedy, says):
    of_kind = {
        "generation": {"labels": []},
        "multiple_choice": {"labels": [], "options": {"columns": ["options"], "most": 4}},
    }
    tasks = {
        name: task_settings({"items": "i.csv"}, {"a": "yes", "b": "no"}, kind=kind) | of_kind.get(kind, {})
        for name, kind in zip(("first", "second"), kinds, strict=True)
    }
    stages = [{"task": "first"}, {"task": "second", "remedies": {remedy: {}}}]
    config = made.config(tasks=tasks, arms={"sequential": {"stages": stages}})
    if says is None:
        assert len(lineage_tree(config)) == 2
        return
    with pytest.raises(InputError, match=says):
        lineage_tree(config)
