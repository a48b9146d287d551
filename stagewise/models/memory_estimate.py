"""Estimates of the memory that training and scoring take."""

from dataclasses import dataclass

from stagewise.config.training import Lora
from stagewise.models.machine import Memory
from stagewise.models.module_tree import Module, ModuleTree
from stagewise.models.target_modules import adapted_modules, adapter_parameters

DTYPE_BYTES = {"float32": 4, "bfloat16": 2}

NF4_BYTES = 0.516
"""Bytes a weight: 4 bits, and 0.127 bits of doubly quantized scales (arXiv:2305.14314, section 3)."""

OPTIMIZER_BYTES = 16
"""Bytes a trained weight: itself, its gradient and AdamW's two moments, all in float32."""

LIBRARIES = {"cpu": 1.1e9, "cuda": 0.6e9}
"""Bytes of the imported libraries in a process, and of CUDA's context and work spaces on a GPU."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes."""

    weights: float
    """The base model, the adapter and its optimizer: a lower bound of everything."""
    training: float
    scoring: float

    @property
    def peak(self) -> float:
        """A stage is scored while it is trained, but no activations are kept meanwhile."""
        return max(self.training, self.scoring)


def estimate_memory(
    tree: ModuleTree,
    lora: Lora,
    dtype: str,
    quantization: str,
    tokens: int,
    tokens_per_batch: int,
    device: str,
    micro_batch: int,
    gradient_checkpointing: bool,
) -> MemoryEstimate:
    """Estimate the memory of a stage on a device, ``cpu`` or ``cuda``.

    - weights: parameters · bytes of the compute type (NF4 for linear layers if quantized) + 16 bytes for each weight
      of the adapter
    - training: weights + libraries + `micro_batch` · `tokens` · kept bytes a token. Every linear layer of the adapted
      decoder layers keeps its input and its output in the compute type for the backward pass, and an adapted one its
      input in float32 once more, to which PEFT casts it. With gradient checkpointing a decoder layer keeps its input
      alone, and one layer is computed again at a time.
    - scoring: weights + libraries + `tokens_per_batch` · (the cache of keys and values, twice, and four of the widest
      outputs in float32)

    Remedies that hold a second model or a second set of weights are left out. `weights` is exact but for buffers. The
    rest is right within a factor of about two: fragmentation, and copies that CPU kernels make, are unknown; the
    default experiment is estimated at 2.1 GB in bfloat16 and took 2.8 GB on a CPU.

    Parameters
    ----------
    tokens
        Tokens of the longest item, prompt and answer.
    tokens_per_batch
        `evaluation.tokens_per_batch`.
    micro_batch
        Items in a forward pass of training.
    """
    adapted = adapted_modules(tree, lora)
    size = DTYPE_BYTES[dtype]
    weights = weight_bytes(tree, size, quantization) + OPTIMIZER_BYTES * adapter_parameters(adapted, lora.r)
    layers = min(lora.last_layers or tree.layers, tree.layers)
    linear = [module for name, module in tree.modules.items() if module.linear and name != tree.head]
    one_layer = size * sum(module.inputs + module.outputs for module in linear) / tree.layers
    one_layer += 4 * sum(module.inputs for module in adapted.values()) / layers
    kept = tree.hidden * size * layers + one_layer if gradient_checkpointing else one_layer * layers
    widest = max((module.outputs for module in linear), default=tree.hidden)
    cache = 2 * 2 * tree.layers * tree.hidden * size
    fixed = weights + LIBRARIES[device]
    return MemoryEstimate(
        weights=weights,
        training=fixed + micro_batch * tokens * kept,
        scoring=fixed + max(tokens_per_batch, tokens) * (cache + 4 * 4 * widest),
    )


def weight_bytes(tree: ModuleTree, size: int, quantization: str) -> float:
    """Bytes of a base model's weights; `size` are those of one in the compute type."""
    if quantization == "none":
        return size * tree.parameters
    linear = sum(_weights(module) for name, module in tree.modules.items() if name != tree.head)
    return size * (tree.parameters - linear) + NF4_BYTES * linear


def _weights(module: Module) -> int:
    return module.inputs * module.outputs if module.linear else 0


def too_large(weights: float, memory: Memory) -> str | None:
    """Say that weights cannot fit into a memory, whatever else it holds; None if they can."""
    if memory.total is None or weights <= memory.total:
        return None
    return (
        f"the model's weights take {gigabytes(weights)}, and there are {gigabytes(memory.total)} of memory; "
        "choose a smaller model or quantization 'nf4', or use another machine"
    )


def gigabytes(size: float) -> str:
    """Write a number of bytes."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
