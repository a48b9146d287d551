"""Remedies' hooks in the training loop, as one. Importing this module imports no torch."""

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stagewise.remedies.base import TrainingHook

if TYPE_CHECKING:
    from stagewise.training.checkpoints import Checkpoint

HOOK_STATE = "hook_state.safetensors"
"""File in a checkpoint with the hooks' state, if they have any; a tensor's name begins with the hook's number."""


def act_after_step(hooks: list[TrainingHook]) -> None:
    """Let every hook act after an optimizer step, and then let them read the weights that all have left."""
    for hook in hooks:
        hook.after_step()
    for hook in hooks:
        hook.observe_step()


@contextmanager
def evaluated_weights(hooks: list[TrainingHook]):
    """Put the weights to evaluate and to save on the model inside the block."""
    with ExitStack() as stack:
        for hook in hooks:
            stack.enter_context(hook.evaluated_weights())
        yield


def save_hook_state(hooks: list[TrainingHook], folder: Path) -> None:
    """Write the hooks' state to a checkpoint's folder; no file if there is none."""
    from safetensors.torch import save_file

    state = {f"{n}.{name}": tensor for n, hook in enumerate(hooks) for name, tensor in hook.state().items()}
    if state:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / HOOK_STATE)


def load_hook_state(hooks: list[TrainingHook], checkpoint: "Checkpoint") -> None:
    """Let the hooks take up the state of a checkpoint of this stage."""
    from safetensors.torch import load_file

    path = checkpoint.folder / HOOK_STATE
    tensors = load_file(path) if path.is_file() else {}
    for number, hook in enumerate(hooks):
        prefix = f"{number}."
        state = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        if state:
            hook.load_state(state)
