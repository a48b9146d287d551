"""A causal language model's own logits: scaled, capped and shifted as the model does it, in float32.

Importing this module imports no torch.
"""

from contextlib import contextmanager

from stagewise.errors import InputError
from stagewise.models.load import compute_context
from stagewise.models.token_tree import base_model


def own_logits(model, hidden_states):
    """Compute the logits that a model makes of its decoder's output, with their gradient.

    They come from the model's own forward pass, in which the decoder returns what is given. A product with the output
    weights alone would miss the scale of Granite and Cohere, the cap of Gemma 2 and the bias of Phi.

    Parameters
    ----------
    model
        Causal language model of transformers, with or without an adapter.
    hidden_states
        Last hidden states of the decoder, in the type that it gives them, shape (positions, width).

    Returns
    -------
    Tensor of float32, (positions, vocabulary).

    Raises
    ------
    InputError
        If the model's forward pass does not go through its decoder.
    """
    import torch

    base = base_model(model)
    ids = torch.zeros(1, len(hidden_states), dtype=torch.long, device=hidden_states.device)
    with compute_context(model), float32_head(base), _decoder_returns(base, hidden_states[None]) as calls:
        logits = base(input_ids=ids, use_cache=False).logits[0].float()
    if not calls:
        raise InputError(
            f"{type(base).__name__}: its forward pass does not go through its decoder, so no logits can be made of "
            "hidden states; leave out the remedy that needs them, or use another model"
        )
    return logits


class _DecoderOutput:
    """Output of a decoder with the last hidden states alone; whatever else a family's forward pass asks for is None."""

    def __init__(self, last_hidden_state):
        self.last_hidden_state = last_hidden_state

    def __getitem__(self, index):
        return (self.last_hidden_state,)[index]

    def __getattr__(self, name: str) -> None:
        return None


@contextmanager
def _decoder_returns(base, hidden_states):
    """Let the decoder return these states; yields a list that gets an entry of every call."""
    decoder, calls = base.get_decoder(), []
    before = decoder.__dict__.get("forward")

    def forward(*args, **kwargs):
        calls.append(True)
        return _DecoderOutput(hidden_states)

    decoder.forward = forward
    try:
        yield calls
    finally:
        if before is None:
            del decoder.forward
        else:
            decoder.forward = before


@contextmanager
def float32_head(model, rows: int = 16384):
    """Compute the output head of a bfloat16 model in float32, `rows` of its vocabulary at a time.

    bfloat16 keeps 8 bits: two labels' logits around 20 are 0.125 apart or equal, and a tie would go to the label
    that is declared first.
    """
    import torch
    from torch.utils.checkpoint import checkpoint

    head = _head(model)
    if type(head) is not torch.nn.Linear or head.weight.dtype == torch.float32:
        yield
        return

    def product(hidden, part):
        return hidden @ part.float().T

    def in_float32(module, inputs, output):
        hidden = inputs[0].float()
        with torch.autocast(hidden.device.type, enabled=False):
            # Computed again in a backward pass, which would otherwise keep a float32 copy of all weights.
            parts = [
                checkpoint(product, hidden, part, use_reentrant=False, preserve_rng_state=False)
                if hidden.requires_grad
                else product(hidden, part)
                for part in module.weight.split(rows)
            ]
            logits = torch.cat(parts, -1)
            return logits if module.bias is None else logits + module.bias.float()

    hook = head.register_forward_hook(in_float32)
    try:
        yield
    finally:
        hook.remove()


def _head(model):
    """The layer that computes the output head: an adapter's own copy, or the one that its factors are added to."""
    head = model.get_output_embeddings()
    if (copies := getattr(head, "modules_to_save", None)) is not None:
        return copies[head.active_adapters[0]]
    return getattr(head, "base_layer", head)
