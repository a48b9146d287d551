"""Check an image: the packages of the lock in its versions, no others, 4-bit layers and Triton kernels that work.

python -I check.py lock.txt       (an image's %test: apptainer test [--nv] image.sif)
"""

import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

TOOLS = {"pip", "setuptools"}  # of the virtual environment itself

# What Triton builds before a first launch is such a module, with CUDA's functions in it.
MODULE = """
#include <Python.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "launcher", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_launcher(void) { return PyModule_Create(&definition); }
"""
CAPABILITY = 80  # of the kernel that is compiled where no GPU is: an A100's


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def check_versions(lock: Path) -> int:
    """Compare the installed packages with the lock; return their number."""
    pins = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    locked = {canonical(name): version for name, version in pins}
    assert locked, f"{lock}: no package is pinned in it"
    installed = {canonical(d.metadata["Name"]): d.version.partition("+")[0] for d in distributions()}
    problems = [
        f"{name} {installed.get(name)} instead of {pin}" for name, pin in locked.items() if installed.get(name) != pin
    ]
    problems += [f"{name} is not locked" for name in sorted(installed.keys() - locked.keys() - TOOLS)]
    assert not problems, f"the image does not fit {lock}: {'; '.join(problems)}"
    return len(locked)


def check_path() -> None:
    """Check that Python imports nothing from outside the image."""
    outside = [p for p in sys.path if not p.startswith((sys.prefix, sys.base_prefix))]
    assert not outside, f"Python looks for modules in {', '.join(outside)}"


def check_four_bit(device: str) -> float:
    """Run an NF4 layer; return its relative difference from the exact layer."""
    import bitsandbytes as bnb
    import torch

    torch.manual_seed(0)
    exact = torch.nn.Linear(128, 64, bias=False)
    x = torch.randn(4, 128)
    layer = bnb.nn.Linear4bit(128, 64, bias=False, compute_dtype=torch.float32, quant_type="nf4")
    layer.load_state_dict(exact.state_dict())
    layer = layer.to(device)  # quantises
    assert layer.weight.dtype == torch.uint8 and layer.weight.numel() == 128 * 64 // 2, "the weights are not in 4 bit"
    assert layer.weight.quant_state.quant_type == "nf4", "the weights are not NF4"
    stored = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state).cpu()
    with torch.no_grad():
        y, expected = layer(x.to(device)).cpu(), exact(x)
    difference = ((y - expected).norm() / expected.norm()).item()
    assert torch.allclose(y, x @ stored.T, rtol=1e-2, atol=1e-2), f"{device}: the layer does not use its own weights"
    assert 0.001 < difference < 0.3, f"{device}: {difference:.3f} off is no error of rounding to 4 bit"
    return difference


def check_triton(device: str) -> None:
    """Build a C module and compile a kernel as Triton does before a launch; on a GPU launch the kernel too."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TRITON_CACHE_DIR"] = cache  # nothing may come from an earlier build
        import torch
        import triton
        import triton.language as tl
        from triton.backends.compiler import GPUTarget
        from triton.runtime.build import compile_module_from_src

        @triton.jit
        def double(x_ptr, y_ptr, SIZE: tl.constexpr):
            offsets = tl.arange(0, SIZE)
            tl.store(y_ptr + offsets, 2 * tl.load(x_ptr + offsets))

        try:
            compile_module_from_src(MODULE, "launcher")
        except (RuntimeError, subprocess.CalledProcessError) as error:
            raise AssertionError(f"Triton needs a C compiler and Python.h: {error}") from None
        source = triton.compiler.ASTSource(double, {"x_ptr": "*fp32", "y_ptr": "*fp32"}, {"SIZE": 16})
        assert triton.compile(source, target=GPUTarget("cuda", CAPABILITY, 32)).asm["cubin"], "no machine code"
        if device == "cuda":
            x = torch.arange(16.0, device=device)
            y = torch.empty_like(x)
            double[(1,)](x, y, 16)
            assert torch.equal(y, 2 * x), "a Triton kernel computes something else"


def main(lock: str) -> None:
    """Check packages, import path, layers and kernels."""
    check_path()
    print(f"{check_versions(Path(lock))} packages as locked, and no other")

    import torch

    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        print(f"{device}: an NF4 layer is {check_four_bit(device):.1%} off, by rounding to 4 bit")
        if find_spec("triton"):
            check_triton(device)
            print(f"{device}: Triton {'launches' if device == 'cuda' else 'builds and compiles'} a kernel")
    if not torch.cuda.is_available():
        print("no GPU seen: on a machine that has one, apptainer test --nv checks it too")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except AssertionError as error:
        sys.exit(f"error: {error}")
