"""Trainings that end before their epochs do: by `max_steps`, and by early stopping, also after a kill."""

import json

import pytest

from stagewise.training.early_stopping import evaluations_without_improvement
from tests.helpers.toy_stage import Stage, acting_after_step, interrupt
from tests.helpers.toy_task import write_toy_split

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_split(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("values", "metric", "min_delta", "count"),
    [
        ([], "loss", 0, 0),
        ([3.0], "loss", 0, 0),
        ([3.0, 2.0, 1.0], "loss", 0, 0),
        ([3.0, 2.0, 2.0, 2.5], "loss", 0, 2),  # as good is no better
        ([3.0, 2.5], "loss", 0.5, 1),  # better by just so much is no better
        ([3.0, 2.8, 2.6, 2.4, 2.2], "loss", 0.5, 1),  # gains add up until they are enough
        ([3.0, 4.0, 5.0], "loss", 0, 2),
        ([0.3, 0.4, 0.5], "accuracy", 0, 0),
        ([0.3, 0.2, 0.3], "accuracy", 0, 2),
    ],
)
def test_evaluations_without_improvement_are_counted(values, metric, min_delta, count):
    key = f"eval_{metric}"
    history = [{"step": 0, key: 0.0 if metric == "loss" else 1.0}]  # before training: no weights to keep
    for step, value in enumerate(values, 1):
        history += [{"step": step, "loss": 9.0}, {"step": step, key: -value}, {"step": step, key: value}]
    assert evaluations_without_improvement(history, metric, min_delta) == count
    before = [{"step": step, key: 0.0} for step in range(1, 5)]
    moved = before + [entry | {"step": entry["step"] + 4} for entry in history if entry["step"]]
    assert evaluations_without_improvement(moved, metric, min_delta, after=4) == count


def test_max_steps_limits_the_epochs_and_their_schedule(tmp_path, tiny_model, data):
    rates = {"scheduler": "linear", "warmup_ratio": 0, "best_metric": "last"}
    stage = Stage(tmp_path, tiny_model, data, training=rates | {"max_steps": 5})
    assert stage.train("--log-steps", "1") == 0
    summary = stage.summary()
    assert (summary["steps"], summary["planned_steps"], summary["epochs"]) == (5, 5, 1.25)
    logged = [line.split(",") for line in stage.log() if ",learning_rate," in line]
    assert [float(line[-1]) for line in logged] == pytest.approx([1e-2 * (5 - step) / 5 for step in range(5)])

    more = Stage(tmp_path / "more", tiny_model, data, training=rates | {"max_steps": 99})
    none = Stage(tmp_path / "none", tiny_model, data, training=rates)
    assert more.train() == none.train() == 0
    assert more.summary()["steps"] == 8 and more.summary()["epochs"] == 2
    assert more.file(WEIGHTS).read_bytes() == none.file(WEIGHTS).read_bytes(), "a limit that is not met changes nothing"
    assert more.recipe.fingerprint != none.recipe.fingerprint


# By step of the whole training, of 16 steps; the best one is at step 4, and 4 evaluations follow until the end.
SCORES = {0: 0.9, 2: 0.2, 4: 0.6, 6: 0.5, 8: 0.6, 10: 0.8, 12: 0.1, 14: 0.1, 16: 0.1}
SETTINGS = {
    "training": {
        "epochs": 4,
        "eval_every": 2,
        "best_metric": "macro_f1",
        "early_stopping": {"patience": 2},
        "scheduler": "linear",
    },
    "lora": {"r": 4, "alpha": 8, "dropout": 0.1},
}


@pytest.fixture
def scores(monkeypatch):
    """Scripted validation scores by step."""
    from stagewise.training.trainer import StageTrainer

    by_step = dict(SCORES)
    monkeypatch.setattr(StageTrainer, "_evaluate_labels", lambda self, _: {"macro_f1": by_step[self.state.global_step]})
    return by_step


@pytest.fixture
def quiet(tmp_path, tiny_model, data, scores):
    """The adapter of a training that nothing disturbs."""
    stage = Stage(tmp_path / "quiet", tiny_model, data, **SETTINGS)
    assert stage.train("--log-steps", "5") == 0
    return stage


def content(stage: Stage) -> tuple:
    """All that a resumed training must leave as a quiet one does."""
    clock = ("seconds", "tokens_per_second", "peak_memory_bytes", "resumed_from_step")
    summary = {key: value for key, value in stage.summary().items() if key not in clock}
    return stage.file(WEIGHTS).read_bytes(), stage.log(), summary


def test_a_training_stops_when_it_no_longer_improves(quiet, tmp_path, tiny_model, data, capsys):
    summary = quiet.summary()
    assert (summary["steps"], summary["planned_steps"], summary["epochs"]) == (8, 16, 2)
    assert (summary["best_step"], summary["best_value"], summary["start_value"]) == (4, 0.6, 0.9)
    # The last step is logged, whatever the interval; its rate is that of a schedule over all 16 steps.
    last = [line.split(",") for line in quiet.log() if line.startswith("8,") and ",learning_rate," in line]
    assert float(last[0][-1]) == pytest.approx(1e-2 * (16 - 7) / 15, rel=0.02)  # one step of warm-up

    stage = Stage(
        tmp_path / "longer",
        tiny_model,
        data,
        **SETTINGS | {"training": SETTINGS["training"] | {"early_stopping": {"patience": 3}}},
    )
    assert stage.train() == 0
    assert (stage.summary()["steps"], stage.summary()["best_step"]) == (16, 10)
    assert "over after step" not in capsys.readouterr().err


def test_by_the_epoch_and_with_the_loss(tmp_path, tiny_model, data, monkeypatch, capsys):
    from stagewise.training.trainer import StageTrainer

    monkeypatch.setattr(StageTrainer, "_answer_loss", lambda self: float(self.state.global_step))
    settings = {"epochs": 6, "early_stopping": {"patience": 1, "min_delta": 0.5}}
    stage = Stage(tmp_path, tiny_model, data, training=settings)
    assert stage.train() == 0
    assert (stage.summary()["steps"], stage.summary()["best_step"]) == (8, 4)
    assert any(line.startswith("8,") and ",train,loss," in line for line in stage.log())
    told = capsys.readouterr().err
    assert "at most 24 steps" in told
    assert "over after step 8 of 24: early stopping, 1 evaluation without a better loss" in told


@pytest.mark.parametrize("step", [5, 7])
def test_a_training_that_is_broken_off_stops_at_the_same_step(step, quiet, tmp_path, tiny_model, data, monkeypatch):
    """The second time with one evaluation without improvement behind it."""
    stage = Stage(tmp_path / "resumed", tiny_model, data, **SETTINGS)
    interrupt(stage, monkeypatch, step=step)
    assert stage.train("--log-steps", "5") == 0
    assert stage.summary()["resumed_from_step"] == step - 1
    assert content(stage) == content(quiet)


def test_one_that_is_killed_when_it_is_over_trains_no_step_more(quiet, tmp_path, tiny_model, data, monkeypatch):
    from stagewise.training import run

    stage = Stage(tmp_path / "killed", tiny_model, data, **SETTINGS)

    def killed(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "save_trained", killed)
        with pytest.raises(KeyboardInterrupt):
            stage.train("--log-steps", "5")
    steps = []
    with acting_after_step(monkeypatch, lambda trainer: steps.append(trainer.state.global_step)):
        assert stage.train("--log-steps", "5") == 0
    assert steps == [] and stage.summary()["resumed_from_step"] == 8
    assert content(stage) == content(quiet)


def test_a_stage_that_goes_on_with_its_parents_optimizer_counts_its_own_evaluations(
    quiet, tmp_path, tiny_model, data, scores, monkeypatch
):
    """Its parent's best score, 0.6, and its two evaluations without improvement are none of the child's."""
    scores |= {10: 0.1, 12: 0.3, 14: 0.2, 16: 0.2}
    settings = SETTINGS | {"training": SETTINGS["training"] | {"optimizer_state": "parent"}}
    child = Stage(quiet.folder.parent, tiny_model, data, "child", parent=quiet, **settings)
    interrupt(child, monkeypatch, step=13)
    assert child.train() == 0
    summary = child.summary()
    assert (summary["steps"], summary["best_step"], summary["resumed_from_step"]) == (16, 12, 12)
    assert summary["best_eval_step"] > 8, "nor is its log"
    scores[14], scores[12] = 0.05, 0.05
    shorter = Stage(quiet.folder.parent, tiny_model, data, "shorter", parent=quiet, seed=1, **settings)
    assert shorter.train() == 0
    assert shorter.summary()["steps"] == 14


def test_the_recipe_of_a_training_without_limits_is_as_before(tmp_path, tiny_model, data):
    stage = Stage(tmp_path, tiny_model, data)
    recipe = json.loads((stage.folder / "recipe.json").read_text())
    assert not {"max_steps", "early_stopping"} & set(recipe["training"])
    assert "max_length" not in recipe["tasks"]["toy"]
