"""Triton kernels of trl's loss without a GPU: compiled for any, from the arguments of a launch."""

from dataclasses import dataclass, field

import torch
from trl.kernels import ChunkedLogProbFunction

_POINTERS = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int64: "*i64", torch.int32: "*i32"}


@dataclass
class CompiledLaunch:
    """Stands in for a kernel: a launch compiles it for `capabilities` and computes by `substitute`.

    Parameters
    ----------
    kernel
        Triton's function.
    substitute
        Function with the same arguments that works on a CPU.
    capabilities
        Compute capabilities, as 80 for 8.0.
    """

    kernel: object
    substitute: object
    capabilities: list[int]
    sizes: dict[int, int] = field(default_factory=dict)
    """Bytes of machine code by capability."""

    def __getitem__(self, grid):
        def launch(*arguments, **named):
            values = dict(zip(self.kernel.arg_names, arguments, strict=False)) | named
            for capability in self.capabilities:
                self.sizes[capability] = len(compile_kernel(self.kernel, values, capability))
            return self.substitute(*arguments, **named)

        return launch


def compile_kernel(kernel, values: dict, capability: int) -> bytes:
    """Compile a kernel for the arguments of a launch; return the machine code."""
    import triton
    from triton.backends.compiler import GPUTarget

    constants = {p.name: values[p.name] for p in kernel.params if p.is_constexpr}
    signature = {name: "constexpr" if name in constants else _type(values[name]) for name in kernel.arg_names}
    source = triton.compiler.ASTSource(kernel, signature, constants)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]


def _type(value) -> str:
    if isinstance(value, torch.Tensor):
        return _POINTERS[value.dtype]
    return "fp32" if isinstance(value, float) else "i32"


def loss_and_gradients(dtype=torch.float32) -> list[torch.Tensor]:
    """Run trl's loss, as its SFT trainer calls it, on five tokens of a vocabulary of two and a bit blocks."""
    draw = torch.Generator().manual_seed(1)
    hidden = torch.randn(5, 16, generator=draw).to(dtype).requires_grad_()
    weight = torch.randn(2100, 16, generator=draw).to(dtype)
    targets = torch.tensor([0, 5, 2099, 1024, 7])
    outputs = ("log_probs", "entropy", "is_top1")
    log_probs, entropy, *_ = ChunkedLogProbFunction.apply(hidden, weight, None, targets, 1.0, 2048, None, 1.0, outputs)
    log_probs.sum().backward()
    return [log_probs.detach(), entropy.detach(), hidden.grad]
