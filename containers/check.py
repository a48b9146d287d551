"""Check an image: the packages of the lock in its versions, no others, and 4-bit layers that work.

python -I check.py lock.txt       (an image's %test: apptainer test [--nv] image.sif)
"""

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

TOOLS = {"pip", "setuptools"}  # of the virtual environment itself


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


def main(lock: str) -> None:
    """Check packages, import path and layers."""
    check_path()
    print(f"{check_versions(Path(lock))} packages as locked, and no other")

    import torch

    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        print(f"{device}: an NF4 layer is {check_four_bit(device):.1%} off, by rounding to 4 bit")
    if not torch.cuda.is_available():
        print("no GPU seen: on a machine that has one, apptainer test --nv checks it too")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except AssertionError as error:
        sys.exit(f"error: {error}")
