"""Comparisons that claims are about, by arms, references and the primary outcome."""

from itertools import product

from stagewise.lineage import BASE, steps_of_arm
from stagewise.measures import MEASURES
from stagewise.metrics.comparisons import list_comparisons, references_of
from stagewise.metrics.prediction_table import AnswerFormat
from stagewise.metrics.schema import MAJORITY, TFIDF
from stagewise.metrics.task_measures import TaskMeasures
from tests.helpers import fake_results as made

TASKS = ["pubmedqa", "dreaddit"]
FIRST, SECOND = "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
BOTH = [made.FIRST, made.SECOND]
PAIR = {"sequential": {"stages": BOTH}, "other": {"stages": [made.FIRST, made.SECOND | {"name": "other"}]}}


def comparisons(arms, seeds=(0,), primary="accuracy", answered=None, outcome="tasks", measures=None, **more):
    settings = made.config(arms=arms, seeds=list(seeds), **more).with_choice({})
    steps = {arm: [steps_of_arm(settings, arm, seed) for seed in seeds] for arm in settings.active_arms}
    if answered is None:
        answered = [(name, task) for name in (BASE, MAJORITY, TFIDF) for task in TASKS]
    of_tasks = TaskMeasures.alike(TASKS, AnswerFormat([], own=primary))
    return list_comparisons(steps, TASKS, references_of(settings), of_tasks, answered, outcome, measures or {})


def test_adapters_that_arms_share_are_compared_once():
    listed = comparisons(made.ARMS)
    assert len({c.key for c in listed}) == len(listed)
    learnt = [c for c in listed if (c.kind, c.task, c.lineages) == ("learnt", "pubmedqa", [FIRST])]
    assert {c.against: c.arms for c in learnt} == dict.fromkeys(
        (MAJORITY, BASE, TFIDF), ["sequential", "isolated", "rehearsal-10", "blend-0.5"]
    )


def test_nothing_is_compared_with_itself():
    listed = comparisons(made.ARMS | {"twin": {"stages": BOTH}})
    assert all(c.lineages != c.against_lineages for c in listed)
    by_arm = {(c.kind, arm, c.task) for c in listed for arm in c.arms}
    # Its adapter is the reference's own, and who keeps an adapter for each task answers as before.
    assert not [key for key in by_arm if key[:2] == ("arms", "twin")]
    assert ("kept", "isolated", "pubmedqa") not in by_arm and ("retained", "isolated", "pubmedqa") not in by_arm
    assert ("arms", "isolated", "pubmedqa") in by_arm and ("kept", "twin", "pubmedqa") in by_arm
    assert {key for key in by_arm if key[1] == "multitask"} == set(product(("learnt", "arms"), ["multitask"], TASKS))


def test_each_order_of_tasks_has_its_earlier_tasks():
    again = made.FIRST | {"name": "again"}
    arms = {"reverse": {"stages": BOTH[::-1]}, "again": {"stages": [*BOTH, again]}}
    listed = comparisons({"sequential": {"stages": BOTH}} | arms)
    kept = {(c.task, *c.lineages): c.against_lineages for c in listed if c.kind == "kept"}
    assert kept == {
        ("pubmedqa", SECOND): [FIRST],
        ("dreaddit", "base/seed-0/dreaddit/pubmedqa"): ["base/seed-0/dreaddit"],
        # A task that is learnt again is an earlier one no more.
        ("dreaddit", f"{SECOND}/again"): [SECOND],
    }
    assert {(c.task, c.against) for c in listed if c.kind == "retained"} == set(product(TASKS, (MAJORITY, BASE)))


def test_every_run_stands_in_its_order_and_baselines_stand_once_a_run():
    listed = comparisons(PAIR, seeds=(1, 0))
    (kept,) = [c for c in listed if c.kind == "kept" and c.arms == ["sequential"]]
    assert kept.lineages == ["base/seed-1/pubmedqa/dreaddit", "base/seed-0/pubmedqa/dreaddit"]
    assert kept.against_lineages == ["base/seed-1/pubmedqa", "base/seed-0/pubmedqa"]
    assert {tuple(c.against_lineages) for c in listed if c.against == MAJORITY} == {(MAJORITY, MAJORITY)}


def test_only_what_answered_is_compared_with():
    listed = comparisons(PAIR, answered=[(BASE, "pubmedqa")])
    assert {(c.against, c.task) for c in listed if c.kind in ("learnt", "retained")} == {(BASE, "pubmedqa")}


def test_the_majority_class_is_compared_by_accuracy_and_all_else_by_the_primary_measure():
    names = {(c.against == MAJORITY, c.measure.name) for c in comparisons(made.ARMS, primary="macro_f1")}
    assert names == {(True, "accuracy"), (False, "macro_f1")}


def test_arms_are_compared_with_the_reference_of_their_order():
    listed = comparisons(made.SWEPT, orders=made.ORDERS)
    against = {arm: c.against for c in listed if c.kind == "arms" for arm in c.arms}
    assert against == {
        f"{arm}-{order}": f"sequential-{order}" for arm in ("anchor", "rehearsal-10") for order in made.ORDERS
    }


def test_an_arm_may_name_its_own_reference():
    arms = made.ARMS | {"blend-0.5": made.ARMS["blend-0.5"] | {"reference": "rehearsal-10"}}
    against = {arm: c.against for c in comparisons(arms) if c.kind == "arms" for arm in c.arms}
    assert against["blend-0.5"] == "rehearsal-10" and against["rehearsal-10"] == "sequential"
    # What it kept is not claimed, except of an arm that others are compared with.
    kept = {arm for c in comparisons(arms, outcome="average") if c.kind == "kept" for arm in c.arms}
    assert kept == {"sequential", "rehearsal-10"}


def test_the_average_is_one_comparison_an_arm_and_the_references_stages():
    listed = comparisons(made.ARMS, outcome="average")
    assert [(c.kind, c.task, c.against) for c in listed if c.kind != "arms"] == [
        ("learnt", "pubmedqa", MAJORITY),
        ("kept", "pubmedqa", "learnt"),
        ("learnt", "dreaddit", MAJORITY),
    ]
    averages = {arm: c for c in listed if c.kind == "arms" for arm in c.arms}
    assert list(averages) == ["isolated", "multitask", "rehearsal-10", "blend-0.5"]
    assert all((c.task, c.against, list(c.sides)) == (None, "sequential", TASKS) for c in averages.values())
    # Each task by the adapter that answers it.
    isolated = averages["isolated"]
    assert isolated.sides == {"pubmedqa": ([FIRST], [SECOND]), "dreaddit": (["base/seed-0/dreaddit"], [SECOND])}
    assert isolated.lineages == [FIRST, "base/seed-0/dreaddit"] and isolated.against_lineages == [SECOND]


def test_an_average_of_the_same_adapters_is_no_comparison():
    twin = comparisons(PAIR | {"twin": {"stages": BOTH}}, outcome="average")
    assert [c.arms for c in twin if c.kind == "arms"] == [["other"]]


ARC = {"probes": {"tasks": ["pubmedqa"], "harness": ["arc"]}}
MEASURES_OF_PROBES = {"pubmedqa": MEASURES["accuracy"], "arc": MEASURES["brier"]}


def test_probes_are_compared_with_the_untuned_model_and_arms_on_them():
    arms = PAIR | {"second": {"stages": [made.SECOND]}}
    listed = comparisons(arms, measures=MEASURES_OF_PROBES, **ARC)
    probes = {(c.task, *c.arms): (c.lineages, c.against_lineages, c.measure.name) for c in listed if c.kind == "probe"}
    assert probes == {
        ("arc", "sequential"): ([SECOND], [BASE], "brier"),
        ("arc", "other"): (["base/seed-0/pubmedqa/other"], [BASE], "brier"),
        ("arc", "second"): (["base/seed-0/dreaddit"], [BASE], "brier"),
        ("pubmedqa", "second"): (["base/seed-0/dreaddit"], [BASE], "accuracy"),
    }
    against = [(c.task, *c.arms, c.measure.name) for c in listed if c.kind == "arms"]
    assert {(task, *arms) for task, *arms, _ in against} == set(product([*TASKS, "arc"], ["other", "second"]))
    assert {name for task, *_, name in against if task == "arc"} == {"brier"}


def test_with_an_average_probes_are_claims_of_the_references_and_in_no_mean():
    listed = comparisons(PAIR, outcome="average", measures=MEASURES_OF_PROBES, **ARC)
    assert [(c.task, c.arms) for c in listed if c.kind == "probe"] == [("arc", ["sequential"])]
    assert [list(c.sides) for c in listed if c.kind == "arms"] == [TASKS]


def test_who_keeps_an_adapter_for_each_task_answers_probes_untuned():
    listed = [c for c in comparisons(made.ARMS, measures=MEASURES_OF_PROBES, **ARC) if c.task == "arc"]
    assert "isolated" not in [arm for c in listed if c.kind == "probe" for arm in c.arms]
    (isolated,) = [c for c in listed if c.arms == ["isolated"]]
    assert (isolated.kind, isolated.lineages, isolated.against_lineages) == ("arms", [BASE], [SECOND])
