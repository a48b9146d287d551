"""Kernels of trl's loss, and the positions that it computes the output head at. Importing this module imports torch.

trl 1.16 decides both by one private function, ``_use_triton``, which two of its modules hold by name.
"""

import subprocess
import sysconfig
from pathlib import Path

import torch
import trl.trainer.utils
from trl.kernels import chunked_logprob

from stagewise.errors import InputError

_SWITCH = "_use_triton"


def choose_loss_kernels(device: torch.device) -> str | None:
    """Let trl's loss run on any machine, with the head computed only at the positions of the loss.

    On a GPU that is what trl does, by Triton kernels, which need a C compiler and Python's headers before their first
    launch. Without them PyTorch's operations, trl's own for other devices, compute the same loss to rounding.

    On a CPU trl computes the head at every position, which costs a third of a step and changes no figure. If trl has
    no such switch any more, training is slower there and still right.

    Returns
    -------
    What to tell the user if Triton cannot be used on a GPU; None if there is nothing to tell.

    Raises
    ------
    InputError
        If Triton cannot be used, and trl has no switch that turns it off.
    """
    if device.type != "cuda":
        _switch(trl.trainer.utils, on=True)
        return None
    problem = triton_problem(device)
    if problem is None:
        return None
    remedy = "install a C compiler and Python's headers (on Debian: gcc libc6-dev python3.11-dev)"
    if not _switch(chunked_logprob, on=False):
        raise InputError(f"Triton, which computes the loss on a GPU, cannot launch a kernel ({problem}); {remedy}")
    _switch(trl.trainer.utils, on=True)
    return f"Triton cannot launch a kernel ({problem}): PyTorch computes the loss, more slowly; {remedy}"


def _switch(module, on: bool) -> bool:
    """Set a module's switch for all devices; return False if it has none."""
    if not hasattr(module, _SWITCH):
        return False
    setattr(module, _SWITCH, lambda device: on)
    return True


def triton_problem(device: torch.device) -> str | None:
    """Launch a tiny Triton kernel on a GPU; return why that fails, or None."""
    try:
        _launch(device)
    except Exception as error:  # of the compiler, Triton, the driver
        return _reason(error)
    return None


def _launch(device: torch.device) -> None:
    import triton
    import triton.language as tl

    @triton.jit
    def fill(x_ptr, SIZE: tl.constexpr):
        tl.store(x_ptr + tl.arange(0, SIZE), 1.0)

    triton.runtime.driver.active.get_current_device()  # builds the C module that launches kernels
    x = torch.zeros(16, device=device)
    fill[(1,)](x, 16)
    if x.sum().item() != 16:
        raise RuntimeError("its kernel does not do what it should")


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        header = Path(sysconfig.get_paths()["include"]) / "Python.h"
        return "the C compiler fails" if header.is_file() else f"{header} is missing"
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
