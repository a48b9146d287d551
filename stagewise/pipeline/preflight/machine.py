"""Checks of this machine: GPU, cores."""

import os

from stagewise.models.compute_type import torch_uses_cuda
from stagewise.models.gpu import accessible_gpus, check_gpu
from stagewise.models.machine import usable_cores
from stagewise.pipeline.preflight.check import Finding, check
from stagewise.pipeline.preflight.context import Context


@check("GPU")
def check_graphics_processor(context: Context):
    """A GPU that is here is one that torch can use."""
    if context.elsewhere:
        yield Finding("each training refuses one that torch cannot use", "later")
    elif not accessible_gpus():
        yield Finding("none: trainings use the CPU")
    elif not torch_uses_cuda():
        yield Finding(
            "not used",
            "warning",
            "this machine has a GPU, and the installed torch is a CPU build that will not use it; `make run` installs "
            "the CUDA build",
        )
    else:
        from stagewise.models.torch_environment import before_torch

        before_torch()
        yield Finding(check_gpu())


@check("cores")
def check_cores(context: Context):
    """As many threads as cores, at most."""
    cores, given = usable_cores(), os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > cores:
        sentence = f"OMP_NUM_THREADS is {given} and this process may use {cores} cores; lower it, or unset it"
        yield Finding(f"{cores}, and {given} threads", "warning", sentence)
    else:
        yield Finding(f"{cores}")
