"""The averaged weights are the formula's, and it is they that are evaluated, chosen and saved, also after a kill."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from stagewise.errors import InputError
from stagewise.measures import evaluate
from stagewise.models.adapters import ADAPTER_WEIGHTS
from stagewise.provenance.files import sha256_file
from stagewise.training.hooks import HOOK_STATE
from tests.helpers.contradicting_tasks import AdapterFolder, write_data
from tests.helpers.toy_stage import Stage, acting_after_step, interrupt
from tests.helpers.toy_task import write_toy_split

DECAY = {"ema": {"decay": 0.8}}
UNIFORM = {"ema": {"average": "uniform", "last": 0.5}}
LORA = {"lora": {"r": 4, "alpha": 8, "dropout": 0.1}}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_split(tmp_path_factory.mktemp("data"))


AT_THE_END = {"training": {"best_metric": "last", "eval_every": 3}, **LORA}


@pytest.fixture(scope="module")
def parent(tmp_path_factory, tiny_model, data):
    stage = Stage(tmp_path_factory.mktemp("parent"), tiny_model, data, name="parent", **AT_THE_END)
    assert stage.train() == 0
    return stage


def factors(trainer) -> dict[str, np.ndarray]:
    """The weights that training goes on from, by their names in an adapter's file."""
    named = trainer.model.named_parameters()
    return {n.replace(".default", ""): p.detach().numpy().copy() for n, p in named if p.requires_grad}


def train_recorded(stage: Stage, monkeypatch) -> list[dict[str, np.ndarray]]:
    """Train; returns the factors after each step."""
    steps: list[dict[str, np.ndarray]] = []
    with acting_after_step(monkeypatch, lambda trainer: steps.append(factors(trainer))):
        assert stage.train() == 0
    return steps


def mean(steps, weights) -> dict[str, np.ndarray]:
    """Average of the factors after each step, in double precision."""
    return {
        name: sum(w * step[name].astype(float) for w, step in zip(weights, steps, strict=True)) / sum(weights)
        for name in steps[0]
    }


@pytest.mark.parametrize(
    ("remedies", "weights"),
    [
        # Kingma & Ba 2015, section 3: (1 - d) sum of d^(n-t) w_t over n = 8 steps, divided by 1 - d^n.
        (DECAY, [0.2 * 0.8 ** (8 - t) / (1 - 0.8**8) for t in range(1, 9)]),
        # Izmailov et al. 2018, algorithm 1: the mean of the last weights, here those of steps 5 to 8.
        (UNIFORM, [0, 0, 0, 0, 0.25, 0.25, 0.25, 0.25]),
    ],
)
@pytest.mark.parametrize("beside", [{}, {"anchor": {"strength": 1}}])
def test_the_saved_adapter_is_the_average_along_the_stage(
    tmp_path, tiny_model, data, parent, monkeypatch, remedies, weights, beside
):
    stage = Stage(tmp_path, tiny_model, data, "child", parent, remedies=remedies | beside, **AT_THE_END)
    steps = train_recorded(stage, monkeypatch)
    assert len(steps) == 8 and sum(weights) == pytest.approx(1)
    saved, expected = load_file(stage.file(ADAPTER_WEIGHTS)), mean(steps, weights)
    assert saved.keys() == expected.keys()
    for name, factor in saved.items():
        np.testing.assert_allclose(factor, expected[name], atol=1e-6, rtol=0)
    assert max(abs(saved[name] - steps[-1][name]).max() for name in saved) > 1e-3


@pytest.mark.parametrize(("best", "cuts"), [("last", (2, 8)), ("loss", (5,))])
def test_a_training_resumed_after_any_step_ends_with_the_same_bytes(
    tmp_path, tiny_model, data, monkeypatch, best, cuts
):
    settings = {"training": {"best_metric": best, "eval_every": 1}, "remedies": DECAY, **LORA}
    quiet = Stage(tmp_path / "quiet", tiny_model, data, **settings)
    assert quiet.train() == 0
    for step in cuts:
        stage = Stage(tmp_path / f"cut-{step}", tiny_model, data, **settings)
        interrupt(stage, monkeypatch, step)
        assert (stage.cached / f"checkpoint-{step - 1}" / HOOK_STATE).is_file()
        assert stage.train() == 0 and stage.summary()["resumed_from_step"] == step - 1
        assert sha256_file(stage.file(ADAPTER_WEIGHTS)) == sha256_file(quiet.file(ADAPTER_WEIGHTS))
        assert stage.log() == quiet.log()
    # Killed between the last checkpoint and the finished adapter: nothing is left to train.
    for path in (quiet.cached / "adapter").iterdir():
        path.unlink()
    weights = sha256_file(quiet.file(ADAPTER_WEIGHTS))
    assert quiet.train() == 0 and quiet.summary()["resumed_from_step"] == 8
    assert sha256_file(quiet.file(ADAPTER_WEIGHTS)) == weights


def test_a_damaged_hook_state_sends_a_training_to_the_checkpoint_before(
    tmp_path, tiny_model, data, monkeypatch, capsys
):
    settings = {"training": {"best_metric": "last", "eval_every": 2}, "remedies": UNIFORM, **LORA}
    stage = Stage(tmp_path, tiny_model, data, **settings)
    interrupt(stage, monkeypatch, step=7)
    path = stage.cached / "checkpoint-6" / HOOK_STATE
    path.write_bytes(path.read_bytes()[:-4])
    assert stage.train() == 0 and stage.summary()["resumed_from_step"] == 4
    assert f"this checkpoint has a damaged {HOOK_STATE}" in capsys.readouterr().err


def test_a_plain_training_has_no_hook_state(tmp_path, tiny_model, data):
    stage = Stage(tmp_path, tiny_model, data, training={"epochs": 1})
    assert stage.train() == 0
    assert not list(stage.cached.rglob(HOOK_STATE))


@pytest.mark.parametrize("best", ["last", "loss"])
def test_validation_is_that_of_the_saved_weights(tmp_path, tiny_model, best):
    """The label measures in the log, at the step that was kept, are those of the adapter that is published."""
    adapters = AdapterFolder(tmp_path, tiny_model, write_data(tmp_path / "data"))
    # So high a learning rate that the weights of a step and their average answer differently.
    summary = adapters.train("one", "first", epochs=2, learning_rate=2e-2, best_metric=best, remedies={"ema": {}})
    scores, gold = adapters.logprobs("one", "first", "validation")
    assert summary["validation_answers"]["first"] == " ".join(map(str, scores.argmax(1)))
    log = [line.split(",") for line in (adapters.adapter("one") / "training_log.csv").read_text().splitlines()]
    kept = str(summary["best_step"] if best == "loss" else summary["steps"])
    logged = {
        metric: float(value) for step, _, split, metric, value in log[1:] if (step, split) == (kept, "validation")
    }
    measured = evaluate(gold, scores)
    assert measured["brier"] > 1e-3 and {name: logged[name] for name in measured} == pytest.approx(measured, abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decay": 1}, "less than 1"),
        ({"average": "uniform", "decay": 0.9}, "'decay' goes with average: ema"),
        ({"last": 0.2}, "'last' goes with average: uniform"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    from stagewise.config.base import validate
    from stagewise.remedies.ema import Ema

    with pytest.raises(InputError, match=message):
        validate(Ema, settings, "ema")
    assert Ema(decay=0.9).label == "ema-0.9" and Ema(average="uniform").label == "ema-uniform-50"
