"""Gpm: learn in directions in which the earlier tasks' inputs have little energy."""

import random
from typing import ClassVar

from pydantic import Field

from stagewise.config.base import MAX_COUNT, Number, Whole
from stagewise.errors import InputError
from stagewise.remedies.base import Remedy, Row, TrainingContext, TrainingHook
from stagewise.remedies.orthogonal import ProjectedLora, check_directions_left, remove_directions

_TOKENS_PER_BATCH = 4096


class Gpm(Remedy):
    """Gradient projection memory (Saha et al. 2021): a new LoRA per stage that leaves the earlier tasks' inputs alone.

    Its A is kept orthogonal to the principal directions of each layer's inputs on the earlier tasks, as that of InfLoRA
    is (Liang & Li 2024), so that it adds nothing to the layer's output for what lies in them. They are computed with
    the parent's model when the stage begins, the oldest task first.
    """

    paper: ClassVar[str] = "Saha et al. 2021 (GPM), arXiv:2103.09762"
    needs_earlier: ClassVar[bool] = True
    needs_parent: ClassVar[bool] = True
    new_lora: ClassVar[bool] = True

    threshold: Number = Field(
        0.95, gt=0, le=1, description="Share of the inputs' energy, per layer and task, that the directions hold."
    )
    items: Whole = Field(64, ge=1, le=MAX_COUNT, description="Training items of each earlier task that are read.")
    tokens: Whole = Field(
        1024,
        ge=1,
        le=MAX_COUNT,
        description="Tokens drawn among those items, whose inputs count. Memory is their number times a layer's width.",
    )

    @property
    def label(self) -> str:
        return f"gpm-{self.threshold:g}"

    def hook(self, context: TrainingContext) -> TrainingHook:
        """Compute the directions, and project the new LoRA's A for the first time."""
        from stagewise.models.adapters import adapted_layers

        rank, tokens = context.lora.r, 0
        layers = {layer.name: layer for layer in adapted_layers(context.model) if layer.a[-rank:].any()}
        directions = dict.fromkeys(layers)
        for task, rows in context.earlier_rows.items():
            drawn = random.Random(f"gpm {context.seed} {task}").sample(rows, min(self.items, len(rows)))
            tokens += sum(len(row["input_ids"]) for row in drawn)
            inputs, shared = layer_inputs(context, list(layers), drawn, self.tokens)
            for name, values in inputs.items():
                directions[name] = principal_directions(values, directions[name], self.threshold)
                check_directions_left("gpm", name, len(directions[name]), values.shape[1], "lower its threshold")
            directions |= {name: directions[other] for name, other in shared.items()}
        hook = ProjectedLora(
            [(layer, directions[name].to(layer.a.device, layer.a.dtype)) for name, layer in layers.items()], rank
        )
        hook.extra_tokens = tokens
        hook.after_step()
        return hook


def layer_inputs(
    context: TrainingContext, layers: list[str], rows: list[Row], tokens: int
) -> tuple[dict, dict[str, str]]:
    """Read rows with the model as it is, and collect layers' inputs at tokens drawn among all of them.

    Returns
    -------
    inputs, shared
        Inputs by layer, shape (tokens, width), and for each layer that reads the same tensor as another one its name.

    Raises
    ------
    InputError
        If they are not finite.
    """
    import torch

    from stagewise.inference.likelihood import batches, pad_left
    from stagewise.models.load import compute_context

    model, base = context.model, context.model.get_base_model()
    lengths = [len(row["input_ids"]) for row in rows]
    chosen = _draw_tokens(lengths, tokens, context.seed)
    recorder = _Recorder(base, layers)
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    with torch.no_grad(), compute_context(model), recorder:
        for group in batches(lengths, _TOKENS_PER_BATCH):
            ids, mask, positions = pad_left(
                [rows[i]["input_ids"] for i in group], context.tokenizer.pad_token_id, device
            )
            recorder.counted = torch.zeros_like(mask, dtype=torch.bool)
            for row, i in enumerate(group):
                recorder.counted[row, [mask.shape[1] - lengths[i] + token for token in chosen[i]]] = True
            base.base_model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
    model.train(was_training)
    inputs = {name: torch.cat(parts) for name, parts in recorder.parts.items()}
    if not all(bool(values.isfinite().all()) for values in inputs.values()):
        raise InputError(
            f"remedies.gpm: the parent's activations on {rows[0]['task']} are not finite (NaN or infinite); train the "
            "parent with a lower training.learning_rate, or leave the remedy out"
        )
    return inputs, recorder.shared


def _draw_tokens(lengths: list[int], tokens: int, seed: int) -> list[list[int]]:
    """Draw tokens among those of all items: the positions of each item."""
    every = [(item, position) for item, length in enumerate(lengths) for position in range(length)]
    chosen = [[] for _ in lengths]
    for item, position in random.Random(f"gpm tokens {seed}").sample(every, min(tokens, len(every))):
        chosen[item].append(position)
    return chosen


class _Recorder:
    """Records the inputs of layers at the `counted` tokens of a batch, in the forward passes inside the block."""

    def __init__(self, base, layers: list[str]):
        self.base, self.layers = base, layers
        self.counted = None
        self.parts: dict[str, list] = {}
        self.shared: dict[str, str] = {}
        self._last = None, None

    def __enter__(self):
        self._handles = [
            self.base.get_submodule(name).register_forward_pre_hook(
                lambda module, arguments, name=name: self._record(name, arguments[0])
            )
            for name in self.layers
        ]
        return self

    def __exit__(self, *error) -> None:
        self._last = None, None
        for handle in self._handles:
            handle.remove()

    def _record(self, name: str, inputs) -> None:
        last_inputs, last_name = self._last
        if inputs is last_inputs:  # such as a layer's queries, keys and values
            self.shared[name] = last_name
            return
        self._last = inputs, name
        vectors = inputs.reshape(-1, inputs.shape[-1])  # which some layers get already
        self.parts.setdefault(name, []).append(vectors[self.counted.reshape(-1)].float())


def principal_directions(inputs, basis, threshold: float):
    """Extend an orthonormal basis by the fewest principal directions of inputs that hold a share of their energy.

    GPM, eq. 9: ||P||² + ||R_k||² >= threshold ||X||² (Frobenius), where P is the inputs' part in the basis and R_k the
    best approximation of rank k to the rest. Without a basis it is eq. 5.

    Parameters
    ----------
    inputs
        Shape (tokens, width).
    basis
        Shape (directions, width); None for a first task.

    Returns
    -------
    The longer basis, float64.
    """
    import torch

    inputs = inputs.double()
    basis = inputs.new_zeros(0, inputs.shape[1]) if basis is None else basis
    rest = remove_directions(inputs, basis)
    total = inputs.square().sum()
    # Squared singular values and vectors of the shorter side, in a fraction of the time of a decomposition of both.
    is_wide = rest.shape[0] < rest.shape[1]
    squares, vectors = torch.linalg.eigh(rest @ rest.T if is_wide else rest.T @ rest)
    squares, vectors = squares.flip(0).clamp(min=0), vectors.flip(1)
    energy = total - rest.square().sum() + torch.cat([squares.new_zeros(1), squares.cumsum(0)])
    needed = int((energy < threshold * total).sum())
    rank = int((squares > 1e-13 * total).sum())  # rounding alone may keep the last sums below the total
    vectors = vectors[:, : min(needed, rank)]
    return torch.cat([basis, torch.linalg.qr(rest.T @ vectors if is_wide else vectors).Q.T])
