"""Remedies for numerical traps of the libraries below us, each with a test that fails without it.

`before_torch` must run before torch is imported anywhere in the process, so this module imports nothing heavy.
"""

import os
import sys
from pathlib import Path

_POLICY, _SPINS = "OMP_WAIT_POLICY", ("GOMP_SPINCOUNT", "1000")


def before_torch() -> None:
    """Prepare the process for torch; every step that uses torch calls this first.

    - OpenMP threads spin only briefly while they wait, then sleep. By default they spin for long, and one busy
      neighbour on the same cores makes a training step two to nine times slower; sleeping at once
      (``OMP_WAIT_POLICY=PASSIVE``) costs a third of the speed on idle cores. ``python -m benchmarks.waiting`` measures
      it. OpenMP reads the variable once, when torch is loaded.
    - The hub libraries stay off the network: models come from files alone (`scripts.fetch_model` fetches them).

    A value that the user has set stays. Where torch is loaded already nothing can be changed any more, so a
    forgotten call does not go unnoticed: that is an error unless one of the two had been set before.

    Raises
    ------
    RuntimeError
        Where torch was imported before this call and nothing is set.
    """
    if _POLICY not in os.environ and _SPINS[0] not in os.environ:
        if "torch" in sys.modules:
            raise RuntimeError(f"torch was imported before {_SPINS[0]} could be set; call before_torch() first")
        os.environ[_SPINS[0]] = _SPINS[1]
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def cpu_has_bfloat16(cpuinfo="/proc/cpuinfo") -> bool:
    """Whether the CPU multiplies bfloat16 in hardware: the kernel lists ``avx512_bf16`` or ``amx_bf16``.

    Elsewhere torch emulates bfloat16, which is slower than float32 and less exact. Where there is no such file
    (not Linux) the answer is no.
    """
    try:
        text = Path(cpuinfo).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def keep_4bit_weights_trainable(model) -> int:
    """Forbid bitsandbytes to repack 4-bit weights for CPU inference; return the number of layers.

    On CPUs with avx512_bf16, bitsandbytes (0.50.2) repacks a ``Linear4bit`` at its first forward pass in
    evaluation mode without gradients, for good. The backward pass does not know the packed order, so every gradient
    after any evaluation is wrong (cosine about 0.3 with the right one) and training goes on silently.
    Must run right after loading, before any forward pass.
    """
    from bitsandbytes.nn import Linear4bit

    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False
    return len(layers)


def float32_trainable(model) -> int:
    """Cast every trainable parameter to float32 in place; return how many parameters are trainable.

    trl casts the adapter of a quantized model to bfloat16 when it builds a trainer, but a resumed run loads it as
    float32: the two runs then part. Call this right after the trainer is built, before the optimizer is.
    """
    import torch

    count = 0
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
            count += parameter.numel()
    return count
