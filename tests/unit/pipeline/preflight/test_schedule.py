"""Steps of each stage."""

import pytest


@pytest.mark.parametrize(
    ("training", "verdict", "says"),
    [
        (
            {"batch_size": 24},
            "failure",
            "has one optimizer step, whose learning rate is 0 (training.warmup_ratio 0.03)",
        ),
        ({"warmup_ratio": 0.99}, "warning", "warms up over all of its 6 steps"),
        ({"eval_every": 7}, "warning", "has 6 steps and training.eval_every is 7, so it is evaluated at its end alone"),
        ({"eval_every": 7, "best_metric": "last"}, "warning", "so it is not evaluated"),
        ({"max_steps": 1}, "failure", "has one optimizer step"),
        (
            {"eval_every": 2, "early_stopping": {"patience": 2}},
            "warning",
            "has 6 steps and an evaluation every 2, so that training.early_stopping.patience 2 never ends it early",
        ),
        ({"epochs": 2, "early_stopping": {"patience": 1}}, "warning", "an evaluation every 6, so that"),
    ],
)
def test_steps_that_do_nothing_are_named(tiny_experiment, training, verdict, says):
    problems = tiny_experiment.problems(training=training)
    assert len(problems) == 2 and all(found == verdict for found, _ in problems)  # both stages
    assert says in problems[0][1] and "the stage colours (sequential)" in problems[0][1]


@pytest.mark.parametrize(
    "training",
    [
        {"batch_size": 24, "warmup_ratio": 0},
        {"batch_size": 24, "scheduler": "constant"},
        {"eval_every": 6},
        {"eval_every": 2, "early_stopping": {"patience": 1}},
    ],
)
def test_steps_that_train_pass(tiny_experiment, training):
    assert tiny_experiment.problems(training=training) == []


def test_a_resumed_count_that_leaves_no_step_fails(tiny_experiment):
    stages = [
        {"task": "colours", "training": {"best_metric": "last"}},
        {"task": "warmth", "training": {"optimizer_state": "parent"}},
    ]
    ((verdict, sentence),) = tiny_experiment.problems(arms={"sequential": {"stages": stages}})
    assert verdict == "failure" and "resumes its parent's count of 6 steps" in sentence and "and has 6" in sentence
    stages[1]["training"]["epochs"] = 2
    assert tiny_experiment.problems(arms={"sequential": {"stages": stages}}) == []


def test_steps_that_are_limited_or_may_be_fewer_are_said(tiny_experiment):
    stages = [{"task": "colours", "training": {"max_steps": 4}}, {"task": "warmth"}]
    early = {"epochs": 3, "early_stopping": {"patience": 1}}
    findings = tiny_experiment.findings(arms={"sequential": {"stages": stages}}, training=early)
    assert "colours at most 4, warmth at most 18" in [finding.found for finding in findings]
