"""Check that torch can use the GPU that is here: otherwise it would compute on the CPU without a word."""

import json
import subprocess
import sys
from pathlib import Path

from stagewise.errors import InputError
from stagewise.models.gpus import DEVICE_VARIABLE, expected_gpu, installed_driver, torch_uses_cuda
from stagewise.models.machine import Memory

_ON_CPU = f"or set {DEVICE_VARIABLE}=cpu to compute on the CPU"


def check_gpu() -> str:
    """Say which GPU torch uses; empty if none is expected (`expected_gpu`).

    Call `before_torch` first.

    Raises
    ------
    InputError
        If a GPU was asked for or is there, and torch cannot use it.
    """
    expected = expected_gpu()
    if not expected:
        return ""
    if not torch_uses_cuda():
        raise InputError(
            f"GPU: {expected}, and torch {_torch_version()}, which is installed, is a build for the CPU ({_driver()}); "
            f"install one for CUDA (`make run` does), {_ON_CPU}"
        )
    import torch

    built = f"torch {torch.__version__} for CUDA {torch.version.cuda}"
    if not torch.cuda.is_available():
        raise InputError(
            f"GPU: {expected}, and {built} cannot use it: {_reason()} ({_driver()}); install a driver for CUDA "
            f"{torch.version.cuda} or newer, start the container with --nv, {_ON_CPU}"
        )
    name, (major, minor) = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
    if not supports(torch.cuda.get_arch_list(), major, minor):
        raise InputError(
            f"GPU: {built} has no code for {name} (compute capability {major}.{minor}; {_driver()}); install a build "
            f"that has, use another GPU, {_ON_CPU}"
        )
    return f"{name}, compute capability {major}.{minor}"


def check_gpu_apart() -> str:
    """Call `check_gpu` in a process of its own, so that neither torch nor its hold on a GPU stays in this one."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", _APART], cwd=root, capture_output=True, text=True)
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise InputError(
            f"GPU: {expected_gpu()}, and torch cannot be imported: {(done.stderr.splitlines() or ['it died'])[-1]}; "
            "repair the environment"
        ) from None
    if "refusal" in answer:
        raise InputError(answer["refusal"])
    return answer["gpu"]


_APART = """
import json
from stagewise.errors import InputError
from stagewise.models.gpu import check_gpu
from stagewise.models.torch_environment import before_torch
try:
    before_torch()
    answer = {"gpu": check_gpu()}
except InputError as error:
    answer = {"refusal": str(error)}
print(json.dumps(answer))
"""


def _torch_version() -> str:
    from importlib.metadata import version

    return version("torch")


def _driver() -> str:
    driver = installed_driver()
    return "no driver is to be seen" if driver is None else str(driver)


def _reason() -> str:
    """Torch's own reason, of which it only warns once: the first sentence."""
    import torch

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return " ".join(str(error).split()).split(". ")[0].rstrip(".")[:200]
    return "it counts no device"


def supports(architectures: list[str], major: int, minor: int) -> bool:
    """Tell if a build of torch runs on a compute capability.

    Machine code (``sm_80``) runs on the same major version from its minor one on, intermediate code (``compute_90``)
    on every later one (CUDA C++ programming guide, section 3.1.3). A build that lists nothing is taken to run.
    """
    for architecture in architectures:
        kind, _, digits = architecture.partition("_")
        number = digits.rstrip("abcdefghijklmnopqrstuvwxyz")
        built = int(number[:-1]), int(number[-1])
        if (kind == "sm" and built[0] == major and built[1] <= minor) or (
            kind == "compute" and built <= (major, minor)
        ):
            return True
    return not architectures


def gpu_memory() -> Memory:
    """Memory of the current CUDA device."""
    import torch

    free, total = torch.cuda.mem_get_info()
    return Memory(total, free)
