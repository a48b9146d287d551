"""A base model that is loaded once for all that one process trains and scores with it.

PEFT and trl change a model when they use it: modules are replaced, forward methods patched, hooks and settings left
behind. Each user gets the model as it was loaded, so that a process that uses it again computes what a fresh one would.
Importing this module imports no torch.
"""

import copy
import gc
from collections.abc import Iterable

from stagewise.models.frozen_layers import FrozenLayers, KeptLayers
from stagewise.models.receipts import model_receipt


class SharedBase:
    """A base model, loaded at its first use.

    Parameters
    ----------
    model_dir, quantization, dtype
        As for `stagewise.models.load.load_base`.
    kept_layers
        Where the frozen layers' output is kept; None computes it in every pass.

    Attributes
    ----------
    weights_digest
        SHA-256 of its weights in memory as the last training that was audited left them; None before the first
        (`stagewise.training.audit`).
    """

    def __init__(
        self, model_dir, quantization: str = "none", dtype: str = "auto", kept_layers: KeptLayers | None = None
    ):
        self.model_dir, self.quantization, self.dtype = model_dir, quantization, dtype
        self.kept_layers = kept_layers
        self.weights_digest: str | None = None
        self._model = None
        self._state: _LoadedState | None = None

    @property
    def is_loaded(self) -> bool:
        return self._model is not None

    def take(self):
        """Return the model as it was loaded (`stagewise.models.load.load_base`); earlier users must be done with it.

        Raises
        ------
        InputError
            If it cannot be loaded.
        """
        if self._model is None:
            from stagewise.models.load import load_base

            self._model = load_base(self.model_dir, self.quantization, self.dtype)
            self._state = _LoadedState(self._model)
        else:
            self._state.restore()
            _free_memory()
        return self._model

    def frozen_layers(self, model, *, training: bool = False) -> FrozenLayers | None:
        """Take up what is kept of the frozen layers of a model built on this one (`FrozenLayers.open`)."""
        identity = {"model": model_receipt(self.model_dir)["fingerprint"], "quantization": self.quantization}
        return FrozenLayers.open(model, self.kept_layers, identity, training=training)


class _LoadedState:
    """State of a model's modules and configurations, besides the values of weights, which nobody changes."""

    def __init__(self, model):
        self.parameters = list(model.parameters())
        configurations = [model.config, getattr(model, "generation_config", None)]
        configurations += [getattr(module, "config", None) for module in model.modules()]
        holders = {id(holder): holder for holder in (*model.modules(), *configurations) if holder is not None}
        self.attributes = [(vars(holder), _contents(vars(holder))) for holder in holders.values()]

    def restore(self) -> None:
        for attributes, contents in self.attributes:
            attributes.clear()
            for name, (value, copied) in contents.items():
                attributes[name] = _refilled(value, copied)
        for parameter in self.parameters:
            parameter.requires_grad_(False)
            parameter.grad = None


def _contents(attributes: dict) -> dict[str, tuple]:
    """Each attribute, and a copy of it if it is a container, whose content may change."""
    containers = dict, list, set
    return {
        name: (value, copy.copy(value) if isinstance(value, containers) else None) for name, value in attributes.items()
    }


def _refilled(value, copied: Iterable | None):
    """Put a container's content back; its identity stays, since others may refer to it."""
    if copied is None:
        return value
    value.clear()
    (value.extend if isinstance(value, list) else value.update)(copied)
    return value


def _free_memory() -> None:
    """Let go of what the last user left: a trainer and its optimizer refer to each other."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
