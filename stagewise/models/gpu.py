"""Check that torch can use the GPU that is here: otherwise it would compute on the CPU without a word."""

import os
from pathlib import Path

from stagewise.errors import InputError
from stagewise.models.compute_type import torch_uses_cuda
from stagewise.models.machine import Memory

_DEVICES = Path("/dev")


def accessible_gpus() -> int:
    """Count the NVIDIA devices that this process may open and ``CUDA_VISIBLE_DEVICES`` does not hide.

    A container or a batch job without a GPU lists the machine's all the same, and cannot open them. An Apptainer
    container gets the driver only if the variable is set (profiles/default).
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None and "APPTAINER_CONTAINER" in os.environ:
        return 0
    if visible is not None and (not visible.strip() or visible.strip().startswith(("-", "NoDev"))):
        return 0
    return sum(_can_be_opened(path) for path in _DEVICES.glob("nvidia[0-9]*"))


def _can_be_opened(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError:
        return False
    return True


def check_gpu() -> str:
    """Say which GPU torch uses; empty if there is none, or torch is a CPU build.

    Call `before_torch` first.

    Raises
    ------
    InputError
        If there is a GPU, torch is built for CUDA, and cannot use it.
    """
    if not accessible_gpus() or not torch_uses_cuda():
        return ""
    import torch

    on_cpu = "or set CUDA_VISIBLE_DEVICES= (empty) to compute on the CPU"
    if not torch.cuda.is_available():
        raise InputError(
            f"GPU: torch {torch.__version__} cannot use the GPU of this machine; install a driver for CUDA "
            f"{torch.version.cuda}, {on_cpu}"
        )
    name, (major, minor) = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
    if not supports(torch.cuda.get_arch_list(), major, minor):
        raise InputError(
            f"GPU: torch {torch.__version__} has no code for {name} (compute capability {major}.{minor}); install a "
            f"build that has, {on_cpu}"
        )
    return f"{name}, compute capability {major}.{minor}"


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
