"""The effect of every remedy over ten seeds lies within the bounds of its case (`tests/helpers/remedy_effects.py`)."""

from typing import Literal, get_args, get_origin

import pytest

from stagewise.remedies.registry import Remedies, builtin_remedies
from tests.helpers.remedy_effects import CASES, OTHER_KINDS, SEQUENTIAL, SLIGHT, Effect, EffectStudy, Run, t_interval


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_model) -> EffectStudy:
    return EffectStudy(tmp_path_factory.mktemp("effects"), tiny_model)


def test_every_remedy_has_a_case_and_each_of_its_kinds():
    """A kind is a value of a setting that names one of several, such as `merge.method`."""
    chosen = [item for case in CASES.values() for item in Remedies(**case.remedies).chosen.items()]
    assert {name for name, _ in chosen} == set(builtin_remedies())
    for name, remedy in chosen:
        for key, field in type(remedy).model_fields.items():
            if get_origin(field.annotation) is Literal:
                kinds = {getattr(settings, key) for other, settings in chosen if other == name}
                kinds |= {kind for other, setting, kind in OTHER_KINDS if (other, setting) == (name, key)}
                assert kinds == set(get_args(field.annotation)), f"{name}.{key}"


@pytest.mark.slow
def test_without_a_remedy_the_first_task_is_forgotten_and_the_second_learnt(study):
    learnt = [study.first(seed) for seed in study.seeds]
    forgotten = study.effect("sequential", SEQUENTIAL).runs
    assert min(run.kept for run in learnt) > 0.9
    assert t_interval([after.kept - before.kept for before, after in zip(learnt, forgotten, strict=True)]).high < -0.7
    assert min(run.learnt for run in forgotten) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_effect_is_within_its_bounds(study, name):
    case = CASES[name]
    effect = study.effect(name, case)
    intervals = {figure: effect.interval(figure) for figure in ("kept", "learnt", "both")}
    assert intervals["kept"].is_within(case.kept), intervals
    assert intervals["learnt"].is_within(case.learnt), intervals
    assert intervals["both"].low < SLIGHT if case.reason else intervals["both"].low > 0, intervals


def test_the_interval_is_students_of_the_paired_differences():
    from scipy.stats import ttest_rel

    kept, plain = (0.5, 0.9, 0.7), (0.1, 0.2, 0.4)
    runs, without = ([Run(value, 1 - value, 0.1) for value in values] for values in (kept, plain))
    interval = Effect(runs, without).interval("kept")
    expected = ttest_rel(kept, plain).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected))
    assert interval.mean == pytest.approx(1.4 / 3) and interval.is_within((-1, 2)) and not interval.is_within((0.4, 2))
    assert Effect(runs, without).interval("both").mean == pytest.approx(0)
