"""A training that has diverged ends in one sentence, and leaves nothing that is not finite."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file, save_file

from scripts import merge_adapters, train_adapter
from stagewise.models.finite import all_finite, optimizer_tensors
from stagewise.provenance.files import sha256_file
from stagewise.provenance.receipts import read_receipt, write_receipt
from tests.helpers.contradicting_tasks import AdapterFolder, task_settings, write_data
from tests.helpers.toy_stage import Stage, acting_after_step
from tests.helpers.toy_task import write_toy_recipe, write_toy_split

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_split(tmp_path_factory.mktemp("data"))


def refused(stage: Stage, capsys) -> str:
    """Train to one sentence; return it. Neither the adapter nor a checkpoint that is not finite is there."""
    assert stage.train() == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert not stage.file("").exists() and not (stage.cached / "adapter").exists()
    for weights in stage.checkpoints.rglob(f"checkpoint-*/{WEIGHTS}"):
        assert all(math.isfinite(float(abs(value).max())) for value in load_file(weights).values())
    assert not list(stage.checkpoints.rglob(".checkpoint-*"))
    return error


@pytest.mark.parametrize(
    ("rate", "says"),
    [
        (1e30, "the training loss is not finite (NaN or infinite) at step 3 of 8 (learning rate 9.5e+29)"),
        (1e38, "a weight of the adapter is not finite (NaN or infinite) at step 2 of 8 (learning rate 1e+38)"),
    ],
)
def test_an_absurd_learning_rate_stops_the_stage(tmp_path, tiny_model, data, capsys, rate, says):
    error = refused(Stage(tmp_path, tiny_model, data, training={"learning_rate": rate}), capsys)
    assert f"base/seed-0/toy: the training has diverged: {says}; no checkpoint was saved; lower " in error


def test_a_last_step_that_diverges_is_noticed_at_its_evaluation(tmp_path, tiny_model, data, capsys, monkeypatch):
    """The weights are finite and absurd after it, and nothing but the evaluation computes with them."""

    def inflate(trainer) -> None:
        if trainer.state.global_step == 8:
            for parameter in trainer.model.parameters():
                if parameter.requires_grad:
                    parameter.data.fill_(3e38)

    stage = Stage(tmp_path, tiny_model, data, training={"eval_every": 4})
    with acting_after_step(monkeypatch, inflate):
        error = refused(stage, capsys)
    assert "the validation loss is not finite (NaN or infinite) at step 8" in error
    assert f"the last good checkpoint is {stage.cached / 'checkpoint-4'}" in error
    # The checkpoint is as good as it says: without the accident the same command finishes from there.
    assert stage.train() == 0
    assert stage.summary()["resumed_from_step"] == 4


def spoil_weight(trainer):
    next(p for p in trainer.model.parameters() if p.requires_grad).data.view(-1)[0] = float("inf")


def spoil_optimizer(trainer):
    next(value for value in optimizer_tensors(trainer.optimizer) if value.dim()).view(-1)[0] = float("nan")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_weight, "a weight of the adapter is not finite (NaN or infinite) at step 4 of 8"),
        (spoil_optimizer, "the optimizer's state is not finite (NaN or infinite) at step 4 of 8"),
    ],
)
def test_a_state_that_is_not_finite_is_never_saved(tmp_path, tiny_model, data, capsys, monkeypatch, spoil, says):
    stage = Stage(tmp_path, tiny_model, data, training={"eval_every": 2, "best_metric": "last"})
    with acting_after_step(monkeypatch, lambda trainer: trainer.state.global_step == 4 and spoil(trainer)):
        assert says in refused(stage, capsys)
    assert [path.name for path in stage.cached.glob("checkpoint-*")] == ["checkpoint-2"]


REMEDY = '''
from stagewise.remedies.base import Remedy, TrainingHook


class Spoils(Remedy):
    """Adds a term that is not finite from the third step on."""

    def hook(self, context):
        return Hook()


class Hook(TrainingHook):
    steps = 0

    def loss(self, batch):
        return batch.nll.sum() * 0 + float("inf" if self.steps >= 2 else 0)

    def after_step(self):
        self.steps += 1
'''


def test_a_remedys_loss_that_is_not_finite_stops_the_stage(tmp_path, tiny_model, data, capsys, monkeypatch):
    (tmp_path / "spoils.py").write_text(REMEDY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    stage = Stage(tmp_path, tiny_model, data, remedies={"spoils:Spoils": {}})
    assert "the training loss is not finite (NaN or infinite) at step 3 of 8" in refused(stage, capsys)


def test_no_gradient_overflows_unseen(tmp_path, tiny_model, data, capsys, monkeypatch):
    """Clipping a gradient whose norm is infinite would set it to zero and go on."""
    from stagewise.training import trainer

    original = trainer.StageTrainer._clip_grad_norm

    def clip(self, model):
        for parameter in model.parameters():
            if parameter.grad is not None and self.state.global_step == 2:
                parameter.grad.fill_(3e38)
        return original(self, model)

    monkeypatch.setattr(trainer.StageTrainer, "_clip_grad_norm", clip)
    assert "the gradient is not finite (NaN or infinite) at step 3 of 8" in refused(
        Stage(tmp_path, tiny_model, data), capsys
    )


def change_weights(adapter: Path, number: float) -> None:
    """Set a tensor of both factors of a finished adapter to a number, and make its receipt right again."""
    receipt, weights = read_receipt(adapter, "the adapter"), load_file(adapter / WEIGHTS)
    for factor in "AB":
        next(value for name, value in weights.items() if f"lora_{factor}" in name)[:] = number
    save_file(weights, adapter / WEIGHTS, metadata={"format": "pt"})
    write_receipt(adapter, {key: receipt[key] for key in ("inputs", "image")})


@pytest.mark.parametrize(
    ("remedies", "says"),
    [
        ({}, "is not finite (NaN or infinite) before the first"),
        ({"ewc": {"items": 4}}, "the Fisher information of first is"),
    ],
)
def test_a_parent_of_absurd_weights_is_refused_before_the_first_step(tmp_path, tiny_model, capsys, remedies, says):
    """Its weights are finite, and compute no numbers."""
    adapters = AdapterFolder(tmp_path, tiny_model, write_data(tmp_path / "data"))
    adapters.train("parent", "first", epochs=1)
    change_weights(adapters.adapter("parent"), 3e38)
    tasks = {task: task_settings(adapters.data, task) for task in ("first", "second")}
    adapters.recipe("child", ["parent"], learns=["second"], tasks=tasks, remedies=remedies)
    assert train_adapter.main([*adapters._argv("child"), "--parent", str(adapters.adapter("parent"))]) == 2
    assert says in capsys.readouterr().err


def test_an_adapter_that_is_not_finite_is_neither_copied_nor_trained_on(tmp_path, tiny_model, data, capsys):
    stage = Stage(tmp_path, tiny_model, data, training={"epochs": 1})
    assert stage.train() == 0
    good = sha256_file(stage.file(WEIGHTS))
    change_weights(stage.file(""), float("nan"))
    child = Stage(tmp_path, tiny_model, data, "child", parent=stage)
    assert child.train() == 2
    assert f"{stage.file(WEIGHTS)}: the weights '" in capsys.readouterr().err
    # One that an older version has put into the cache is made again.
    cached = stage.cached / "adapter"
    for path in cached.iterdir():
        path.unlink()
    for path in stage.file("").iterdir():
        path.rename(cached / path.name)
    assert stage.train() == 0
    assert sha256_file(stage.file(WEIGHTS)) == good


def test_a_merge_that_is_not_finite_is_no_adapter(tmp_path, tiny_model, data, capsys, monkeypatch):
    from stagewise.remedies.blend import Blend

    first = Stage(tmp_path, tiny_model, data, training={"epochs": 1})
    second = Stage(tmp_path, tiny_model, data, "child", parent=first, training={"epochs": 1})
    assert first.train() == second.train() == 0
    merged = Stage(tmp_path, tiny_model, data, "merged")
    changes = {"lineage": "base/seed-0/toy/child/merged", "training": None, "remedies": {"blend": {}}}
    merged.recipe = write_toy_recipe(merged.folder, tiny_model, data, [first.recipe, second.recipe], **changes)
    merge = Blend.merge

    def overflow(self, adapters, folder, load_base, seed):
        merge(self, adapters, folder, load_base, seed)
        from safetensors.torch import load_file, save_file

        tensors = {name: value * 1e38 * 1e38 for name, value in load_file(folder / WEIGHTS).items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})

    monkeypatch.setattr(Blend, "merge", overflow)
    assert run_merge(merged, first, second) == 2
    assert "come out not finite" in capsys.readouterr().err
    assert not merged.file("").exists() and not (merged.cached / "adapter").exists()


def run_merge(merged: Stage, *parents: Stage) -> int:
    return merge_adapters.main(
        [
            *("--recipe", str(merged.folder / "recipe.json"), "--output", str(merged.folder / "adapter")),
            *("--checkpoints", str(merged.checkpoints), *merged.arguments[:4]),
            *("--parents", *(str(parent.folder / "adapter") for parent in parents)),
        ]
    )


def test_numbers_that_overflow_when_squared_are_finite():
    assert all_finite([torch.tensor([3e38, -3e38]), torch.tensor([1, 2]), torch.tensor([], dtype=torch.float32)])
    assert all_finite([torch.tensor([65504.0], dtype=torch.float16)])
    assert not all_finite([torch.zeros(3), torch.tensor([0.0, float("nan")])])
    assert not all_finite([torch.tensor([-float("inf")], dtype=torch.bfloat16)])
