"""A check that a model's answers are numbers."""

import numpy as np

from stagewise.errors import InputError


def check_finite_logprobs(logprobs, task: str, model_dir, adapter_dir, dtype: str) -> None:
    """Refuse log-probabilities of which any is NaN or infinite.

    Parameters
    ----------
    logprobs
        Array of any shape, nats.
    adapter_dir
        Folder of the adapter that was asked; None for the base model.

    Raises
    ------
    InputError
        Naming the adapter, or the base model, and what can be done.
    """
    if np.isfinite(np.asarray(logprobs, dtype=float)).all():
        return
    what = f"log-probabilities of {task} are not finite (NaN or infinite)"
    if adapter_dir is not None:
        raise InputError(
            f"{adapter_dir}: with this adapter the {what}, so its training has diverged; train it again with a lower "
            "training.learning_rate"
        )
    raise InputError(
        f"{model_dir}: the base model's {what} in {dtype}; set dtype to another type, or fetch the model again or name "
        "another one"
    )
