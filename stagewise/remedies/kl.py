"""KL: stay near the parent's predictions on the stage's own items."""

from typing import ClassVar, Literal

from pydantic import Field

from stagewise.config.base import MAX_COUNT, Number
from stagewise.errors import InputError
from stagewise.remedies.base import Batch, Remedy, TrainingContext, TrainingHook

_TOKENS_PER_BATCH = 4096


class Kl(Remedy):
    """KL divergence from the parent's next-token distributions at the answers of the stage's own items.

    How far it grows on the new task alone foretells what is forgotten of earlier ones (Shenfeld et al. 2025). It needs
    no earlier item, and holds the stage's own answers back too, so that its strength is a trade-off.
    """

    paper: ClassVar[str] = "Shenfeld et al. 2025 (RL's Razor), arXiv:2509.04259"
    needs_parent: ClassVar[bool] = True

    strength: Number = Field(0.1, gt=0, le=MAX_COUNT, description="Weight of the divergence.")
    direction: Literal["forward", "reverse"] = Field(
        "forward",
        description="`forward` is KL(parent || student), the paper's measure; `reverse` KL(student || parent).",
    )

    @property
    def label(self) -> str:
        return f"kl-{self.strength:g}" if self.direction == "forward" else f"kl-reverse-{self.strength:g}"

    def hook(self, context: TrainingContext) -> TrainingHook:
        return ParentDivergence(context, self)


class ParentDivergence(TrainingHook):
    """Divergence over the whole vocabulary, a mean over each row's answer tokens and over the step's rows.

    Attributes
    ----------
    states
        The parent's last hidden states at the positions that predict a row's answer, by row number: shape (answer
        tokens, width). The head is frozen, so the parent's logits follow from them.
    """

    def __init__(self, context: TrainingContext, settings: Kl):
        self.model, self.settings = context.model, settings
        _check_frozen_head(context.model)
        numbers = [number for number, row in enumerate(context.rows) if row["task"] in context.learns]
        self.starts = {number: context.rows[number]["prompt_tokens"] - 1 for number in numbers}
        self.states = _parent_states(context, numbers)
        self.extra_tokens = sum(len(context.rows[number]["input_ids"]) - 1 for number in numbers)

    def loss(self, batch: Batch):
        import torch

        from stagewise.models.own_logits import own_logits

        places = [
            (place, self.starts[number] + n, 1 / (len(self.states[number]) * batch.step_rows))
            for place, number in enumerate(batch.row_numbers)
            if number in self.states
            for n in range(len(self.states[number]))
        ]
        if not places:
            return None
        device = batch.hidden_states.device
        rows, positions, weights = (torch.tensor(values, device=device) for values in zip(*places, strict=True))
        parent_states = torch.cat([self.states[number] for number in batch.row_numbers if number in self.states])
        with torch.no_grad():
            parent = own_logits(self.model, parent_states.to(device)).log_softmax(-1)
        student = own_logits(self.model, batch.hidden_states[rows, positions]).log_softmax(-1)
        one, other = (parent, student) if self.settings.direction == "forward" else (student, parent)
        divergence = (one.exp() * (one - other)).sum(-1)  # of each position, nats
        return self.settings.strength * (weights * divergence).sum()


def _check_frozen_head(model) -> None:
    """Raise an ``InputError`` if the adapter brings an output head, which is trained: the parent's would be gone."""
    head = model.get_base_model().get_output_embeddings()
    if any(parameter.requires_grad for parameter in head.parameters()):
        raise InputError(
            "remedies.kl: the parent adapter brings an output head of its own, which is trained, so that the parent's "
            "distributions cannot be computed from its hidden states; take remedies.distill, or leave the remedy out"
        )


def _parent_states(context: TrainingContext, numbers: list[int]) -> dict:
    """Read the rows once with the parent; see `ParentDivergence.states`.

    Raises
    ------
    InputError
        If a state is not finite.
    """
    import torch

    from stagewise.inference.likelihood import batches

    model, states = context.model, {}
    # The last token is only predicted.
    fed = {number: context.rows[number]["input_ids"][:-1] for number in numbers}
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for group in batches([len(fed[number]) for number in numbers], _TOKENS_PER_BATCH):
                chosen = [numbers[i] for i in group]
                hidden = _last_hidden_states(context, [fed[number] for number in chosen])
                for number, row in zip(chosen, hidden, strict=True):
                    answer = slice(context.rows[number]["prompt_tokens"] - 1, len(fed[number]))
                    states[number] = row[answer].to("cpu", copy=True)  # a view would keep all positions
    finally:
        model.train(was_training)
    if not all(bool(values.isfinite().all()) for values in states.values()):
        raise InputError(
            "remedies.kl: a hidden state is not finite (NaN or infinite) at the parent adapter; train the parent with "
            "a lower training.learning_rate, or leave the remedy out"
        )
    return states


def _last_hidden_states(context: TrainingContext, rows: list[list[int]]):
    """Compute the decoder's output for rows padded on the right, as in training: shape (rows, longest, width)."""
    from contextlib import nullcontext

    import torch

    from stagewise.models.load import compute_context
    from stagewise.models.token_tree import TokenTree, base_model

    device, longest = next(context.model.parameters()).device, max(map(len, rows))
    pad = context.tokenizer.pad_token_id
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
    layers = context.frozen_layers
    replayed = layers.replayed([TokenTree(tuple(row)) for row in rows], longest) if layers else nullcontext()
    with compute_context(context.model), replayed:
        decoder = base_model(context.model).base_model
        return decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
