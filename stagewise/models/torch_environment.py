"""Environment that torch needs, to be set before torch is imported: this module imports nothing heavy."""

import os
import sys
from pathlib import Path

_POLICY, _SPINS = "OMP_WAIT_POLICY", ("GOMP_SPINCOUNT", "1000")


def before_torch() -> None:
    """Prepare the process for torch; every step that uses torch calls this first.

    - OpenMP threads spin only briefly while they wait, then sleep. By default they spin for long, and one busy
      neighbour on the same cores makes a training step two to nine times slower; sleeping at once
      (``OMP_WAIT_POLICY=PASSIVE``) costs a third of the speed on idle cores. ``python -m benchmarks.levers`` measures
      it. OpenMP reads the variable once, when torch is loaded.
    - The hub libraries stay off the network: models come from files alone (`scripts.fetch_model` fetches them).

    Values that the user has set stay. Once torch is loaded nothing can be changed any more, so a call that comes too
    late is an error, unless one of the two was set before.

    Raises
    ------
    RuntimeError
        If torch was imported before this call and nothing is set.
    """
    if _POLICY not in os.environ and _SPINS[0] not in os.environ:
        if "torch" in sys.modules:
            raise RuntimeError(f"torch was imported before {_SPINS[0]} could be set; call before_torch() first")
        os.environ[_SPINS[0]] = _SPINS[1]
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


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
