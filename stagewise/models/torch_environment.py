"""Environment that torch needs, to be set before torch is imported: this module imports nothing heavy."""

import importlib
import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

from stagewise.imports import import_once
from stagewise.models.gpus import VISIBLE_VARIABLE, device_setting

_POLICY, _SPINS = "OMP_WAIT_POLICY", ("GOMP_SPINCOUNT", "1000")

_TOO_LATE = (
    "torch was imported first, so its threads wait busily and slow down other programs on these cores; results are "
    f"the same (set {_SPINS[0]}={_SPINS[1]} before Python starts to avoid it)"
)


def before_torch() -> None:
    """Prepare the process for torch; every step that uses torch calls this first.

    - OpenMP threads spin only briefly while they wait, then sleep. By default they spin for long, and one busy
      neighbour on the same cores makes a training step two to nine times slower; sleeping at once
      (``OMP_WAIT_POLICY=PASSIVE``) costs a third of the speed on idle cores. ``python -m benchmarks.levers`` measures
      it. OpenMP reads the variable once, when torch is loaded.
    - The hub libraries stay off the network: models come from files alone (`scripts.fetch_model` fetches them).
    - With ``STAGEWISE_DEVICE=cpu`` torch sees no GPU.

    Values that the user has set stay. In a process that has loaded torch, such as a notebook, OpenMP goes on as it is,
    which changes no result; a warning says so once.

    Raises
    ------
    InputError
        If ``STAGEWISE_DEVICE`` has no value that is known.
    """
    if device_setting() == "cpu":
        os.environ[VISIBLE_VARIABLE] = ""
    if _POLICY not in os.environ and _SPINS[0] not in os.environ:
        if "torch" in sys.modules:
            warnings.warn(_TOO_LATE, stacklevel=3)
        os.environ[_SPINS[0]] = _SPINS[1]  # once torch is loaded, for processes that this one starts
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def import_libraries(*modules: str, quantization: str = "none") -> None:
    """Import modules that import torch, in about half the time that plain imports take.

    It prepares the process with `before_torch`. The first call of a process that has not loaded torch imports

    - without bitsandbytes, and with it torch's compiler, if the model is not quantized: peft imports it to look at its
      version. It stays hidden from this process;
    - without scipy, which transformers imports for losses of object detection. Later imports get it;
    - without the garbage collector (`imports.import_once`).

    In a process that has loaded torch already they are just imported.

    Parameters
    ----------
    modules
        Names of modules.
    quantization
        Of the base model, as in `models.load.load_base`.

    Raises
    ------
    RuntimeError
        If quantization is asked for in a process that imported the libraries without it.
    """
    if quantization != "none" and sys.modules.get("bitsandbytes", "") is None:
        raise RuntimeError("this process imported its libraries without quantization; quantize in another process")
    before_torch()
    if "torch" not in sys.modules:
        if quantization == "none":
            _hide("bitsandbytes")
        hidden = _hide("scipy")
        with import_once():
            _import(modules)
        if hidden:
            del sys.modules["scipy"]
    else:
        _import(modules)


def _import(modules: Iterable[str]) -> None:
    for name in modules:
        importlib.import_module(name)


def _hide(package: str) -> bool:
    """Let a package look as if it were not installed, unless it is imported already; return whether it is hidden."""
    # With None there, `import` and `importlib.util.find_spec` say that there is no such module.
    return sys.modules.setdefault(package, None) is None


def cpu_has_bfloat16(cpuinfo="/proc/cpuinfo") -> bool:
    """Check that the CPU multiplies bfloat16 in hardware: the kernel lists ``avx512_bf16`` or ``amx_bf16``.

    Otherwise torch emulates bfloat16, which is slower than float32 and less exact. Without such a file (not on Linux)
    the answer is no.
    """
    try:
        text = Path(cpuinfo).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags
