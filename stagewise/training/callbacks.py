"""Callbacks after an optimizer step. Importing this module imports transformers."""

from transformers import TrainerCallback

from stagewise.remedies.base import TrainingHook
from stagewise.training.hooks import act_after_step


class LogLastStep(TrainerCallback):
    """Logs the last step too, whatever the interval: its loss is the final loss."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step >= state.max_steps:
            control.should_log = True
        return control


class RunHooksAfterStep(TrainerCallback):
    """Calls the remedies' hooks after an optimizer step."""

    def __init__(self, hooks: list[TrainingHook]):
        self.hooks = hooks

    def on_optimizer_step(self, args, state, control, **kwargs):
        act_after_step(self.hooks)
