"""Compute types by name: what ``auto`` stands for, decided once per experiment. Imports no torch."""

import ctypes
import os
import re
from importlib.util import find_spec
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.errors import InputError
from stagewise.lineage import BASE, lineage_tree
from stagewise.provenance.receipts import RECEIPT
from stagewise.provenance.sealed_json import read_sealed
from stagewise.recipe import Recipe

COMPUTE_TYPES = ("float32", "bfloat16")

# From this CUDA compute capability on, GPUs multiply bfloat16 in hardware.
_BFLOAT16_CAPABILITY = (8, 0)


def resolve(name: str) -> str:
    """Resolve ``auto`` by this machine's hardware; other names stay.

    It is bfloat16 on GPUs that compute in it (CUDA compute capability 8.0 and above), and float32 on older ones and on
    every CPU: many of those that have avx512_bf16, without AMX, are slower in bfloat16, and a type by the kind of CPU
    would make one experiment into two.
    """
    if name != "auto":
        return name
    capability = gpu_capability()
    return "bfloat16" if capability is not None and capability >= _BFLOAT16_CAPABILITY else "float32"


def lacks_bfloat16(capability: tuple[int, int] | None) -> bool:
    """Tell if a GPU of this compute capability does not compute in bfloat16; False if there is no GPU."""
    return capability is not None and capability < _BFLOAT16_CAPABILITY


def check_compute_type(name: str, capability: tuple[int, int] | None) -> None:
    """Refuse bfloat16 on a GPU that does not compute in it, where it would be slower than float32.

    Raises
    ------
    InputError
        If the type is bfloat16 and the GPU, of this compute capability, is older than Ampere.
    """
    if name == "bfloat16" and lacks_bfloat16(capability):
        raise InputError(
            f"dtype: this GPU has compute capability {capability[0]}.{capability[1]} and does not compute in bfloat16; "
            "take one of Ampere or newer (8.0: A100, RTX 30), or set dtype to float32 for a new experiment"
        )


def experiment_compute_type(config: Config, results, gpu_jobs: bool = False) -> str:
    """Resolve the compute type of an experiment.

    ``auto`` keeps the type of what is finished below `results`, so that planning on another machine makes nothing
    stale; only if nothing is finished does hardware decide.

    Parameters
    ----------
    config
        The experiment.
    results
        Its results folder.
    gpu_jobs
        True if the profile has trainings ask for GPUs: theirs count then, and are taken to be of Ampere or newer, not
        this machine's, which may be a login node.
    """
    if config.dtype != "auto":
        return config.dtype
    return finished_compute_type(config, results) or ("bfloat16" if gpu_jobs else resolve("auto"))


def with_compute_type(config: Config) -> Config:
    """Replace ``auto`` in a configuration by the experiment's compute type."""
    return config.model_copy(update={"dtype": experiment_compute_type(config, config.results)})


def finished_compute_type(config: Config, results) -> str | None:
    """Compute type that the experiment's recipes or the base model's predictions name; None if there are none."""
    results = Path(results)
    files = [results / lineage / "recipe.json" for lineage in lineage_tree(config)]
    for path in [*files, results / BASE / "predictions" / RECEIPT]:
        try:
            name = Recipe.read(path).dtype if path.name == "recipe.json" else _read_dtype(path)
        except (InputError, OSError):
            continue  # missing, edited or damaged: it is made again
        if name in COMPUTE_TYPES:
            return name
    return None


def _read_dtype(receipt: Path) -> str | None:
    return read_sealed(receipt, "the predictions' receipt").get("dtype")


def gpu_capability() -> tuple[int, int] | None:
    """CUDA compute capability of the GPU that torch would use; None if it would use none.

    NVIDIA's management library tells without torch, in milliseconds.
    """
    if not torch_uses_cuda():
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    first = None if visible is None else visible.split(",")[0].strip()
    if first is not None and (not first or first.startswith("-")):
        return None
    if first and first.startswith("MIG-"):
        return _BFLOAT16_CAPABILITY  # a slice of a GPU, and only GPUs from this capability on can be sliced
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    if library.nvmlInit_v2() != 0:
        return None
    try:
        gpus = _gpus(library)
    finally:
        library.nvmlShutdown()
    if first is None:
        # CUDA puts the fastest first, whatever their order on the bus.
        return max((capability for _, capability in gpus), default=None)
    if first.isdecimal():
        return gpus[int(first)][1] if int(first) < len(gpus) else None
    return next((capability for identifier, capability in gpus if identifier.startswith(first)), None)


def _gpus(library) -> list[tuple[str, tuple[int, int]]]:
    """Identifier and compute capability of every GPU, in the order of the bus."""
    count = ctypes.c_uint()
    if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return []
    gpus = []
    for index in range(count.value):
        handle, identifier = ctypes.c_void_p(), ctypes.create_string_buffer(96)
        major, minor = ctypes.c_int(), ctypes.c_int()
        failed = (
            library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle))
            or library.nvmlDeviceGetUUID(handle, identifier, len(identifier))
            or library.nvmlDeviceGetCudaComputeCapability(handle, ctypes.byref(major), ctypes.byref(minor))
        )
        if not failed:
            gpus.append((identifier.value.decode(), (major.value, minor.value)))
    return gpus


def torch_uses_cuda() -> bool:
    """Check that torch, if it is installed here at all, was built for CUDA; it is not imported for that."""
    spec = find_spec("torch")
    if spec is None or not spec.origin:
        return True
    try:
        version = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return True
    return not re.search(r"^cuda\b[^=\n]*= *None", version, flags=re.MULTILINE)
