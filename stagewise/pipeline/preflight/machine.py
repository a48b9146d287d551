"""Checks of this machine: GPU, cores."""

import os

from stagewise.models.gpu import check_gpu_apart
from stagewise.models.gpus import expected_gpu
from stagewise.models.machine import usable_cores
from stagewise.pipeline.preflight.check import Finding, check
from stagewise.pipeline.preflight.context import Context


@check("GPU")
def check_graphics_processor(context: Context):
    """A GPU that was asked for or is here is one that torch can use."""
    if context.elsewhere:
        yield Finding("each training refuses one that torch cannot use", "later")
    else:
        yield Finding(check_gpu_apart() if expected_gpu() else "none: trainings use the CPU")


@check("cores")
def check_cores(context: Context):
    """As many threads as cores, at most."""
    cores, given = usable_cores(), os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > cores:
        sentence = f"OMP_NUM_THREADS is {given} and this process may use {cores} cores; lower it, or unset it"
        yield Finding(f"{cores}, and {given} threads", "warning", sentence)
    else:
        yield Finding(f"{cores}")
