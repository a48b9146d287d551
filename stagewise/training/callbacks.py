"""Callbacks of the trainer. Importing this module imports transformers."""

from collections.abc import Callable

from transformers import TrainerCallback

from stagewise.remedies.base import TrainingHook
from stagewise.training.hooks import act_after_step


class LogLastStep(TrainerCallback):
    """Logs every step that may be the last, whatever the interval: its loss is the final loss."""

    def __init__(self, may_be_last: Callable[[int], bool]):
        self.may_be_last = may_be_last

    def on_step_end(self, args, state, control, **kwargs):
        if self.may_be_last(state.global_step):
            control.should_log = True
        return control


class ResumeLog(TrainerCallback):
    """Takes up the sums of the training log where the checkpoint has left them; transformers starts at zero."""

    def __init__(self, take_up: Callable[[], None]):
        self.take_up = take_up

    def on_train_begin(self, args, state, control, **kwargs):
        self.take_up()


class RunHooksAfterStep(TrainerCallback):
    """Calls the remedies' hooks after an optimizer step."""

    def __init__(self, hooks: list[TrainingHook]):
        self.hooks = hooks

    def on_optimizer_step(self, args, state, control, **kwargs):
        act_after_step(self.hooks)
