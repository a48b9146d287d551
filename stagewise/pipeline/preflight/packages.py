"""Checks of optional packages, and of what a compute type and quantization need."""

import netrc
import os
from importlib.util import find_spec

from stagewise.errors import InputError
from stagewise.models.compute_type import check_compute_type, lacks_bfloat16
from stagewise.models.gpus import expected_gpu, gpu_capability
from stagewise.models.torch_environment import cpu_has_bfloat16
from stagewise.pipeline.preflight.check import Finding, check
from stagewise.pipeline.preflight.context import Context


@check("logging", step="training")
def check_report_to(context: Context):
    """Packages of ``logging.report_to`` are installed."""
    names = context.config.logging.report_to
    missing = [name for name in names if find_spec(name) is None and not (name == "tensorboard" and _tensorboard_x())]
    for name in missing:
        sentence = f"config: logging.report_to names '{name}', which is not installed; install it or take it out"
        yield Finding(f"{name} is not installed", "failure", sentence)
    if "wandb" in names and "wandb" not in missing and not _wandb_has_login():
        yield Finding(
            "wandb without a login",
            "warning",
            "config: logging.report_to names 'wandb', and no login is found; run `wandb login`, or set WANDB_API_KEY, "
            "or WANDB_MODE=offline",
        )
    if not missing:
        yield Finding(", ".join(names) or "no tracker")


def _tensorboard_x() -> bool:
    return find_spec("tensorboardX") is not None


def _wandb_has_login() -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        return True
    try:
        return any("wandb" in host for host in netrc.netrc().hosts)
    except (OSError, netrc.NetrcParseError):
        return False


@check("generated texts")
def check_text_measures(context: Context):
    """The package that compares generated texts with references is installed."""
    if not any(task.kind == "generation" for task in context.config.active_tasks.values()):
        return
    if find_spec("rouge_score") is None:
        yield Finding(
            "rouge-score is not installed",
            "failure",
            "config: tasks of kind 'generation' need the package rouge-score; install it (envs/run-cpu.txt has it)",
        )
    else:
        yield Finding("compared with references")


@check("compute type")
def check_compute_type_and_quantization(context: Context):
    """The hardware and packages have what `dtype` and `quantization` need."""
    nf4 = context.config.quantization == "nf4"
    name = f"{context.dtype}, nf4" if nf4 else context.dtype
    if nf4 and find_spec("bitsandbytes") is None:
        yield Finding(
            "bitsandbytes is not installed",
            "failure",
            "config: quantization 'nf4' needs the package bitsandbytes; install it (envs/run-cuda.txt has it) or set "
            "quantization to 'none'",
        )
    elif context.elsewhere:
        yield Finding(name)
    elif expected_gpu():
        yield _on_gpu(name, context.dtype)
    elif context.dtype == "bfloat16" and not cpu_has_bfloat16():
        yield Finding(
            f"{name}, which this CPU emulates",
            "warning",
            "config: dtype is bfloat16, which this CPU only emulates: training is slow; set dtype to float32 for a new "
            "experiment, or use another machine",
        )
    else:
        yield Finding(name)


def _on_gpu(name: str, dtype: str) -> Finding:
    capability = gpu_capability()
    try:
        check_compute_type(dtype, capability)
    except InputError as error:
        return Finding(name, "failure", str(error))
    if not lacks_bfloat16(capability):
        return Finding(name)
    sentence = (
        f"dtype: this GPU has compute capability {capability[0]}.{capability[1]} and computes in float32; Ampere or "
        "newer (8.0: A100, RTX 30) computes in bfloat16, faster and with about half the memory"
    )
    return Finding(name, "warning", sentence)
