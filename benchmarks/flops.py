"""Floating-point operations of a transformer's passes, from its configuration.

A product of a (m, k) and a (k, n) matrix takes 2·m·k·n operations, so a forward pass takes 2 per weight and token, and
a backward pass 2 for the gradient of a layer's input and 2 for that of its weights (Kaplan et al. 2020,
arXiv:2001.08361, section 2.1). Frozen weights have no gradient of their own, and frozen layers below the first adapted
one have no backward pass at all.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder with gated MLPs and grouped-query attention."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    vocabulary: int
    head_size: int

    @classmethod
    def of(cls, config: dict) -> "Shape":
        """Read the sizes of a model's ``config.json``."""
        heads = config["num_attention_heads"]
        return cls(
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            layers=config["num_hidden_layers"],
            heads=heads,
            key_value_heads=config.get("num_key_value_heads") or heads,
            vocabulary=config["vocab_size"],
            head_size=config.get("head_dim") or config["hidden_size"] // heads,
        )

    @property
    def products(self) -> list[tuple[int, int]]:
        """Input and output width of each matrix of a layer: q, k, v, o, gate, up, down."""
        attention, cached = self.heads * self.head_size, self.key_value_heads * self.head_size
        h, i = self.hidden, self.intermediate
        return [(h, attention), (h, cached), (h, cached), (attention, h), (h, i), (h, i), (i, h)]

    @property
    def layer_weights(self) -> int:
        """Weights in the matrices of a layer."""
        return sum(inputs * outputs for inputs, outputs in self.products)


def forward_flops(shape: Shape, length: float, layers: int | None = None) -> float:
    """Operations of a forward pass per token of a text of `length` tokens, through the last `layers`; no output head.

    Attention adds 4·length·width for scores and weighted values of all positions, half of it under a causal mask.
    """
    layers = shape.layers if layers is None else layers
    return layers * (2 * shape.layer_weights + 2 * length * shape.heads * shape.head_size)


def lora_flops(shape: Shape, rank: int) -> float:
    """Operations of the adapter's forward pass per token and layer: two narrow products beside each matrix."""
    return sum(2 * rank * (inputs + outputs) for inputs, outputs in shape.products)


def training_flops(
    shape: Shape, length: float, rank: int, adapted: int | None = None, frozen_kept: bool = False
) -> float:
    """Operations of a training step per token, LoRA on the last `adapted` layers (all if None); no output head.

    Backward through an adapted layer takes as much as forward (the gradient of its input), and twice as much for the
    adapter (also that of its weights). With `frozen_kept`, the frozen layers' outputs are at hand: what a step then
    needs.
    """
    adapted = shape.layers if adapted is None else adapted
    through = 2 * forward_flops(shape, length, adapted) + 3 * adapted * lora_flops(shape, rank)
    return through if frozen_kept else through + forward_flops(shape, length, shape.layers - adapted)


def head_flops(shape: Shape, positions: float) -> float:
    """Operations of the output head at so many positions."""
    return 2 * positions * shape.hidden * shape.vocabulary


def share_of_rate(tokens_per_second: float, flops_per_token: float, gflops: float) -> float:
    """Share of a measured rate in GFLOP/s (10⁹ operations a second) that a speed makes use of."""
    return tokens_per_second * flops_per_token / (gflops * 1e9)
