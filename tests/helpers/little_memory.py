"""A device on which larger forward passes run out of memory."""

import torch


def limit_passes(monkeypatch, items: int, training: bool = True) -> list[int]:
    """Let a forward pass of the tiny model with more items run out of memory, in training or without gradients.

    Returns
    -------
    Items of the passes that are tried from now on.
    """
    from transformers import LlamaModel

    tried, forward = [], LlamaModel.forward

    def limited(self, input_ids=None, **kwargs):
        if torch.is_grad_enabled() == training:
            tried.append(len(input_ids))
            if len(input_ids) > items:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return forward(self, input_ids=input_ids, **kwargs)

    monkeypatch.setattr(LlamaModel, "forward", limited)
    return tried
