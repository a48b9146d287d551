"""A training that knows its limit stops at a checkpoint before it, and the same command goes on to the same adapter."""

import os
import re
import signal
import time

import pytest

from stagewise.errors import UNFINISHED, InputError
from stagewise.provenance.files import sha256_file
from stagewise.training import time_limit
from stagewise.training.checkpoints import CheckpointFolder
from stagewise.training.time_limit import END_TIME_VARIABLE, TimeLimit
from tests.helpers.toy_stage import Stage, acting_after_step
from tests.helpers.toy_task import write_toy_split

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_split(tmp_path_factory.mktemp("data"))


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(time_limit.time, "time", lambda: Clock.now)
    monkeypatch.delenv(END_TIME_VARIABLE, raising=False)
    return Clock


def test_the_earlier_end_counts(clock, monkeypatch):
    assert TimeLimit().deadline is None and TimeLimit().minutes_left is None
    assert TimeLimit(10).deadline == 1600
    monkeypatch.setenv(END_TIME_VARIABLE, "1300")
    assert TimeLimit(10).deadline == TimeLimit().deadline == 1300
    clock.now = 1240
    assert TimeLimit(10).minutes_left == 1
    for value in ("Unknown", "900"):  # the latter was another job's
        monkeypatch.setenv(END_TIME_VARIABLE, value)
        assert TimeLimit().deadline is None


def test_a_limit_leaves_time_for_a_step_its_evaluation_and_a_checkpoint(clock):
    limit = TimeLimit(10)  # a margin of 30 seconds
    for seconds in (20.0, 5.0):
        limit.measure_step(seconds)
    limit.measure("evaluation", 100.0)
    limit.measure("checkpoint", 7.0)
    clock.now = 1600 - 30 - 20 - 7 - 1
    assert not limit.is_over(evaluates=False) and limit.is_over(evaluates=True)
    clock.now += 2
    assert limit.is_over(evaluates=False)
    clock.now = 1600 - 30 - 20 - 7 - 100 - 1
    assert not limit.is_over(evaluates=True)
    # A slow step long ago is forgotten.
    for _ in range(20):
        limit.measure_step(5.0)
    assert limit.seconds == {"step": 5.0, "evaluation": 100.0, "checkpoint": 7.0}


def test_a_long_limit_has_a_margin_of_a_minute(clock):
    limit = TimeLimit(1000)
    clock.now = 1000 + 60000 - 61
    assert not limit.is_over(False)
    clock.now += 2
    assert limit.is_over(False)


def test_a_limit_in_which_nothing_can_be_done_is_refused(clock):
    limit = TimeLimit(10)
    limit.expect({"step": 60.0, "evaluation": 500.0, "checkpoint": 5.0})
    clock.now += 100
    limit.check_start("here", evaluates=False)
    with pytest.raises(InputError, match=r"here: a time limit of 10 minutes is too short .* at least 13 minutes"):
        limit.check_start("here", evaluates=True)
    limit.measure("evaluation", 10.0)  # a faster machine than the last time
    limit.check_start("here", evaluates=True)


# Dropout's draws make the random state count, and the interval of logs is not that of checkpoints.
def settings(**training) -> dict:
    return {"training": training, "lora": {"r": 4, "alpha": 8, "dropout": 0.1}}


def out_of_time(trainer) -> None:
    trainer._limit.deadline = time.time()


@pytest.mark.parametrize("eval_every", [3, "epoch"])
def test_one_step_an_attempt_ends_with_the_adapter_of_a_quiet_run(
    tmp_path, tiny_model, data, monkeypatch, capsys, eval_every
):
    """Neither the choice of the best checkpoint nor the training log knows of the attempts."""
    from stagewise.training.trainer import StageTrainer

    by_step = {0: 0.9, 3: 0.8, 4: 0.8, 6: 0.5, 8: 0.1}  # asked about no other step; the first one stays the best
    monkeypatch.setattr(StageTrainer, "_evaluate_labels", lambda self, _: {"macro_f1": by_step[self.state.global_step]})
    given = settings(eval_every=eval_every, best_metric="macro_f1")
    quiet = Stage(tmp_path / "quiet", tiny_model, data, **given)
    assert quiet.train() == 0
    capsys.readouterr()

    stage, steps = Stage(tmp_path / "stage", tiny_model, data, **given), []
    stops = [1, 2, 3, 4, 5, 6, 7] if eval_every == 3 else [3, 4, 5]
    with acting_after_step(monkeypatch, lambda trainer: trainer.state.global_step in stops and out_of_time(trainer)):
        while (code := stage.train("--time-limit", "60")) == UNFINISHED:
            *_, sentence = capsys.readouterr().err.splitlines()
            steps.append(CheckpointFolder(stage.cached).last().step)
            where = f"base/seed-0/toy: stopped after step {steps[-1]} of 8"
            assert sentence.startswith(f"unfinished: {where}, before its time limit of ")
            assert sentence.endswith("the same command goes on from there")
            assert not stage.file("").exists()
    assert code == 0 and steps == stops
    assert stage.summary()["best_step"] == quiet.summary()["best_step"] == (3 if eval_every == 3 else 4)
    assert sha256_file(stage.file(WEIGHTS)) == sha256_file(quiet.file(WEIGHTS))
    assert stage.log() == quiet.log()


def test_sigterm_is_heeded_at_the_next_step(tmp_path, tiny_model, data, monkeypatch, capsys):
    """Also if whatever reads the output has had it too, and is gone."""
    given = settings(eval_every=4, best_metric="last")
    quiet = Stage(tmp_path / "quiet", tiny_model, data, **given)
    assert quiet.train() == 0
    stage = Stage(tmp_path / "stage", tiny_model, data, **given)
    before, outputs = signal.getsignal(signal.SIGTERM), [os.fstat(number).st_ino for number in (1, 2)]

    def terminate(trainer) -> None:
        if trainer.state.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            assert os.readlink("/proc/self/fd/1") == os.readlink("/proc/self/fd/2") == os.devnull

    with acting_after_step(monkeypatch, terminate):
        assert stage.train() == UNFINISHED
    assert signal.getsignal(signal.SIGTERM) is before
    assert [os.fstat(number).st_ino for number in (1, 2)] == outputs
    assert "stopped after step 3 of 8, asked to (SIGTERM); the same command goes on" in capsys.readouterr().err
    assert stage.train() == 0
    assert stage.summary()["resumed_from_step"] == 3
    assert sha256_file(stage.file(WEIGHTS)) == sha256_file(quiet.file(WEIGHTS))


def test_sigterm_before_a_step_needs_no_checkpoint(tmp_path, tiny_model, data, monkeypatch, capsys):
    """In the evaluation of the start nothing is lost."""
    from stagewise.training.trainer import StageTrainer

    stage = Stage(tmp_path, tiny_model, data, **settings(eval_every=4))
    evaluate = StageTrainer.evaluate

    def terminated(self, *args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(StageTrainer, "evaluate", terminated)
        assert stage.train() == UNFINISHED
    assert "stopped before the next step, asked to (SIGTERM); run it again" in capsys.readouterr().err
    assert not list(stage.cached.glob("*checkpoint-*"))


def test_the_last_step_is_finished_rather_than_stopped_at(tmp_path, tiny_model, data, monkeypatch):
    stage = Stage(tmp_path, tiny_model, data, **settings(eval_every=4))
    with acting_after_step(monkeypatch, lambda trainer: trainer.state.global_step == 8 and out_of_time(trainer)):
        assert stage.train() == 0


def test_an_attempt_that_can_do_nothing_says_so(tmp_path, tiny_model, data, capsys, monkeypatch):
    stage = Stage(tmp_path, tiny_model, data, **settings(eval_every=2))
    assert stage.train("--time-limit", "0") == 2
    error = capsys.readouterr().err
    assert "error: base/seed-0/toy: a time limit of 0 minutes is too short to get any further" in error
    # The step that would come next is followed by an evaluation that took an hour the last time.
    with acting_after_step(monkeypatch, lambda trainer: trainer.state.global_step == 3 and out_of_time(trainer)):
        monkeypatch.setattr(TimeLimit, "seconds", {"step": 1.0, "evaluation": 3600.0, "checkpoint": 1.0})
        assert stage.train("--time-limit", "30") == UNFINISHED
    assert stage.train("--time-limit", "30") == 2
    assert re.search("at least (6[6-9]|7[0-9]) minutes", capsys.readouterr().err)  # an hour, and what loading took
    assert stage.train("--time-limit", "90") == 0


def test_a_limit_that_is_no_number_is_refused(tmp_path, tiny_model, data, capsys):
    assert Stage(tmp_path, tiny_model, data).train("--time-limit", "nan") == 2
    assert "--time-limit must be a number of minutes" in capsys.readouterr().err


def test_a_limit_is_no_part_of_what_an_adapter_is(tmp_path, tiny_model, data, monkeypatch):
    stage = Stage(tmp_path, tiny_model, data, training={"epochs": 1})
    assert stage.train("--time-limit", "60") == 0
    made = stage.cached.name
    monkeypatch.setattr("stagewise.training.run.train_stage", lambda *_: pytest.fail("trained again"))
    assert stage.train("--time-limit", "30") == 0
    assert stage.cached.name == made
