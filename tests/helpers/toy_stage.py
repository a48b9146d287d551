"""One adapter's folder and the command that trains it on the toy task, in this process."""

import json
from contextlib import contextmanager
from pathlib import Path

from scripts import train_adapter
from tests.helpers.toy_task import write_toy_recipe


class Stage:
    """A stage of the toy task: 8 steps, unless its settings say otherwise."""

    def __init__(self, root: Path, model, data, name="toy", parent: "Stage | None" = None, **changes):
        self.folder = root / name
        self.arguments = ["--model", str(model), "--data", str(data), "--report-to"]
        self.checkpoints = root / "checkpoints"
        if parent:
            self.arguments += ["--parent", str(parent.folder / "adapter")]
            changes |= {"stage": 2, "lineage": "base/seed-0/toy/child"}
        self.recipe = write_toy_recipe(self.folder, model, data, [parent.recipe] if parent else [], **changes)

    def train(self, *more: str) -> int:
        """Run the training step."""
        return train_adapter.main(
            [
                *("--recipe", str(self.folder / "recipe.json"), "--output", str(self.folder / "adapter")),
                *("--checkpoints", str(self.checkpoints), *self.arguments, *more),
            ]
        )

    @property
    def cached(self) -> Path:
        """The adapter's folder in the cache, with its checkpoints."""
        (folder,) = (path for path in (self.checkpoints / self.recipe.fingerprint[:16]).iterdir() if path.is_dir())
        return folder

    def file(self, name) -> Path:
        return self.folder / "adapter" / name

    def summary(self) -> dict:
        return json.loads(self.file("training.json").read_text())

    def log(self) -> list[str]:
        """Lines of the training log, but for those that a clock decides."""
        lines = self.file("training_log.csv").read_text().splitlines()
        return [line for line in lines if "runtime" not in line and "per_second" not in line]


@contextmanager
def acting_after_step(monkeypatch, act):
    """Call `act(trainer)` after every optimizer step of trainings inside the block."""
    from transformers import TrainerCallback

    from stagewise.training import trainer

    original = trainer.StageTrainer.__init__

    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        stage_trainer = self

        class Act(TrainerCallback):
            def on_step_end(self, args, state, control, **_):
                act(stage_trainer)

        self.add_callback(Act())

    with monkeypatch.context() as patch:
        patch.setattr(trainer.StageTrainer, "__init__", init)
        yield


def interrupt(stage: Stage, monkeypatch, step: int) -> None:
    """Train until some step is done and nothing of it is saved, and break off."""

    def stop(trainer) -> None:
        if trainer.state.global_step == step:
            raise KeyboardInterrupt

    with acting_after_step(monkeypatch, stop):
        try:
            stage.train()
        except KeyboardInterrupt:
            return
    raise AssertionError(f"step {step} was never reached")
